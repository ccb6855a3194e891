"""The evaluation suite: what sharing, trimming and counting save.

    OMP_NUM_THREADS=1 python benchmarks/evaluate.py MODEL --root ANNOTATIONS --images PHOTOS
    OMP_NUM_THREADS=1 python benchmarks/evaluate.py --only ranks large

1. suite: SugarCrepe, SugarCrepe++ and VALSE, as far as their photos are there, against encoding every
   question of each by itself: its picture opened and encoded, its texts at the full context length.
2. second: what SugarCrepe++ costs after SugarCrepe, which asks about the same photos.
3. templates: a classifier of 80 prompts a class against one class after another at full length
   (CLIP_benchmark's way).
4. ranks: recall@1, 5 and 10 in both directions of 5,000 pictures and 25,000 texts against top-k and
   one-hot products (CLIP_benchmark's way), 64 queries at a time; both must agree.
5. large: the same recalls of 100,000 pictures and 100,000 texts.

Times are those of the cores, since the machine may have other work; the memory of 4 and 5 is what the
process grew by. Nothing is kept on the disk.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from trifocal.clip import Clip, TextBatch
from trifocal.composition.benchmarks.suite import Suite
from trifocal.evaluate.benchmarks.zero_shot import zero_shot_classifier
from trifocal.evaluate.runner import Job, evaluate, make_job
from trifocal.features.embed import load_pixels
from trifocal.metrics.ranks import retrieval_ranks
from trifocal.tuning import load_model

SUITE = ("sugarcrepe", "sugarcrepe_pp", "valse")
# As long as CLIP's own 80 for ImageNet ("a bad photo of a {c}.").
KINDS = ("photo", "picture", "drawing", "rendering", "sketch", "painting", "cartoon", "sculpture")
LOOKS = ("bad", "good", "large", "small", "dark", "bright", "clean", "dirty", "blurry", "cropped")
TEMPLATES = [f"a {look} {kind} of a {{c}}." for look in LOOKS for kind in KINDS]
THINGS = [
    "dog",
    "cat",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "bird",
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "bench",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "kite",
    "bottle",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "bed",
    "toilet",
    "laptop",
    "mouse",
    "keyboard",
    "oven",
]
RECALLS = (1, 5, 10)
PARTS = ("suite", "second", "templates", "ranks", "large")


def timed(run: Callable[[], object]) -> tuple[float, object]:
    """Return the seconds that a call took of the cores, and what it returned."""
    start = time.process_time()
    found = run()
    return time.process_time() - start, found


def grown() -> int:
    """Return the largest size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def whole(model: Clip, texts: Sequence[str]) -> Tensor:
    """Return (N, D) unit embeddings of texts, each padded to the context length."""
    batch = model.tokenize(texts)
    ids = batch.ids.new_zeros(len(texts), model.context_length)
    ids[:, : batch.ids.shape[1]] = batch.ids
    as_it_was, model.text_in_one_pass = model.text_in_one_pass, True
    with torch.inference_mode():
        pooled = model.encode_text(TextBatch(ids, batch.lengths, model.context_length)).pooled
    model.text_in_one_pass = as_it_was
    return pooled


def one_by_one(model: Clip, jobs: Sequence[Job], batch: int = 128) -> None:
    """Encode the pictures and the texts of every question of every benchmark."""
    for job in jobs:
        questions = job.benchmark.items(job.root).items
        for start in range(0, len(questions), batch):
            some = questions[start : start + batch]
            pixels = [load_pixels(model, picture) for one in some for picture in one.images]
            with torch.inference_mode():
                model.encode_image(torch.stack(pixels))
            whole(model, [text for one in some for text in one.texts])


def suite(model: Clip, jobs: Sequence[Job]) -> None:
    """Print how much faster the runner is than one question after another."""
    asked = sum(len(job.benchmark.items(job.root).items) for job in jobs)
    ours, _ = timed(lambda: evaluate(model, jobs))
    theirs, _ = timed(lambda: one_by_one(model, jobs))
    print(
        f"suite: {asked} questions, {ours:.1f} s; one by one {theirs:.1f} s: {theirs / ours:.1f} x"
    )


def second(model: Clip, jobs: Sequence[Job]) -> None:
    """Print what a second benchmark about the same photos costs besides."""
    first, _ = timed(lambda: evaluate(model, jobs[:1]))
    both, _ = timed(lambda: evaluate(model, jobs[:2]))
    print(f"second: {first:.2f} s, with another {both:.2f} s: {100 * (both / first - 1):+.1f} %")


def templates(model: Clip) -> None:
    """Print how much faster one sorted batch is than class by class."""
    ours, made = timed(lambda: zero_shot_classifier(model, THINGS, TEMPLATES))

    def class_by_class() -> Tensor:
        rows = []
        for name in THINGS:
            texts = [template.replace("{c}", name) for template in TEMPLATES]
            rows.append(normalize(whole(model, texts).mean(dim=0), dim=0))
        return torch.stack(rows)

    theirs, same = timed(class_by_class)
    assert isinstance(made, Tensor)
    assert isinstance(same, Tensor)
    torch.testing.assert_close(made, same, atol=1e-4, rtol=0)
    print(
        f"templates: {len(THINGS)} classes, {ours:.1f} s; class by class {theirs:.1f} s: "
        f"{theirs / ours:.1f} x"
    )


def pool(images: int, texts: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit embeddings of pictures, and of texts that are somewhat like theirs."""
    generator = torch.Generator().manual_seed(0)
    pictures = normalize(torch.randn(images, width, generator=generator), dim=1)
    owner = torch.arange(texts) % images
    noise = torch.randn(texts, width, generator=generator)
    return pictures, normalize(pictures[owner] + 0.3 * noise, dim=1), owner


def counted(images: Tensor, texts: Tensor, owner: Tensor) -> list[float]:
    ways = retrieval_ranks(images, texts, owner)
    return [ranks.recall(k) for ranks in ways for k in RECALLS]


def multiplied(images: Tensor, texts: Tensor, owner: Tensor, batch: int = 64) -> list[float]:
    """Return the same recalls by top-k, one-hot, and a product with the matrix of true pairs."""
    scores = texts @ images.T
    pairs = torch.zeros(len(texts), len(images), dtype=torch.bool)
    pairs[torch.arange(len(texts)), owner] = True
    found = []
    for matrix, true in ((scores, pairs), (scores.T, pairs.T)):
        for k in RECALLS:
            hits = []
            for start in range(0, len(matrix), batch):
                rows = slice(start, start + batch)
                best = matrix[rows].topk(k, dim=1).indices
                chosen = one_hot(best, num_classes=matrix.shape[1])
                hits.append((chosen * true[rows, None]).sum(dim=(1, 2)) > 0)
            found.append(float(torch.cat(hits).double().mean()))
    return found


def ranks() -> None:
    """Print how much faster counting in tiles is."""
    data = pool(5_000, 25_000, 512)
    before = grown()
    ours, recalls = timed(lambda: counted(*data))
    memory = grown() - before
    theirs, same = timed(lambda: multiplied(*data))
    more = grown() - before
    assert isinstance(recalls, list)
    assert isinstance(same, list)
    assert max(abs(one - other) for one, other in zip(recalls, same, strict=True)) < 1e-3
    print(
        f"ranks: 5,000 x 25,000: {ours:.1f} s and {memory} MiB; one-hot {theirs:.1f} s and {more} "
        f"MiB: {theirs / ours:.1f} x"
    )


def large(width: int = 64) -> None:
    """Print what a pool of 100,000 pictures and texts costs."""
    data = pool(100_000, 100_000, width)
    before = grown()
    seconds, recalls = timed(lambda: counted(*data))
    memory = grown() - before
    assert isinstance(recalls, list)
    shown = ", ".join(f"{100 * one:.1f}" for one in recalls)
    print(f"large: 100,000 x 100,000 of width {width}: {seconds:.0f} s and {memory} MiB; {shown} %")


def main() -> None:
    parser = argparse.ArgumentParser(description="The evaluation suite against the plain way.")
    parser.add_argument("model", nargs="?", help="a model's name, file or folder")
    parser.add_argument("--root", type=Path, help="folder of the benchmarks' annotation files")
    parser.add_argument("--images", type=Path, help="folder of COCO's photos")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    without = {"ranks": ranks, "large": large}
    for part in [one for one in PARTS if one in asked.only]:
        if part in without:
            without[part]()
        elif asked.model is None:
            print(f"{part}: left out, as no MODEL is given")
        elif part == "templates":
            templates(load_model(asked.model).eval())
        elif asked.root is None or asked.images is None:
            print(f"{part}: left out; it asks about photos: give --root and --images")
        else:
            model = load_model(asked.model).eval()
            jobs = [
                make_job(name, asked.root, images=asked.images, available_only=True)
                for name in SUITE
            ]
            assert all(isinstance(job.benchmark, Suite) for job in jobs)
            (suite if part == "suite" else second)(model, jobs)


if __name__ == "__main__":
    main()
