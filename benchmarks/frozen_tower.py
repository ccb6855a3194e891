"""Training beside a frozen image tower: pictures embedded once, against encoding them in every step.

    python benchmarks/frozen_tower.py --data ROOT [--photos 1024] [--steps 12] [--batch 128]

Flickr8k's training photos (`ROOT/photos/flickr8k`), a centered crop, so that both runs show the
same pictures; the two are the same recipe but for its section `embeddings`.

* `photo_clip`: plain fine-tuning of the text tower of the CLIP in `ROOT/photo_clip`;
* `photo_clip, patches`: the same with FSC-CLIP's local term, whose patches are kept in float16;
* `ViT-B/32`: plain fine-tuning of the text tower of a CLIP of that shape, with random weights;
* `ViT-B/32, LABCLIP`: both towers frozen, a matrix behind the texts trained.

Each run is a process of its own. A speed is that of the second half of the steps, waiting for data
included. Beside it stands the time of all cores for a thousand samples, data workers included, which
says the same and does not depend on what else the machine does. Filling the store, once for all runs,
is not part of either. Memory is the highest resident set of the main process, mapped rows included.
`Products` are those of matrices in the first step, in GFLOP a sample, and how many times more of them
the run anew has: what the store could gain at most if nothing else took time, decoding aside.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from trifocal.clip import Clip, build_clip, load_clip
from trifocal.clip.shape import SHAPES
from trifocal.data.captions import CaptionData
from trifocal.train import train
from trifocal.train.build import build_batching, build_method
from trifocal.train.embeddings import EmbeddingsRecipe
from trifocal.train.logs import read_lines
from trifocal.train.recipe import Recipe, ScheduleRecipe

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "photo_clip": ("photo_clip", {"name": "finetune", "tuning": "text"}),
    "photo_clip, patches": (
        "photo_clip",
        {"name": "fsc_clip", "tuning": "text", "negatives": ["swap"]},
    ),
    "ViT-B/32": ("ViT-B-32", {"name": "finetune", "tuning": "text"}),
    "ViT-B/32, LABCLIP": ("ViT-B-32", {"name": "labclip"}),
}


def write_table(root: Path, file: Path, photos: int) -> None:
    """Write the captions of the first training photos as a table."""
    flickr = root / "photos" / "flickr8k"
    chosen = set((flickr / "trainImages.txt").read_text().split()[:photos])
    with (flickr / "captions.txt").open(newline="") as source, file.open("w", newline="") as to:
        rows = csv.writer(to)
        rows.writerow(["image", "caption"])
        rows.writerows(row for row in csv.reader(source) if row[0] in chosen)


def load(root: Path, name: str) -> Clip:
    """Return the CLIP of a setting."""
    clip = load_clip(str(root / "photo_clip"))
    return clip if name == "photo_clip" else build_clip(SHAPES[name], clip.tokenizer, seed=0)


@dataclass(frozen=True)
class Measured:
    """What a run came to.

    Attributes:
        speed: Samples per second.
        seconds: Of all cores, for a thousand samples.
        memory: Peak of the main process in MB.
        products: Of matrices, in the first step, GFLOP a sample.
        loss: Of the last step.
    """

    speed: float
    seconds: float
    memory: float
    products: float
    loss: float


class Stopwatch:
    """Progress that notes after each step what time it is, and what the main process has worked.

    Attributes:
        products: Counts the first step's; both runs are counted, and timed after it.
    """

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []
        self.products = FlopCounterMode(display=False)

    def start(self, what: str, total: int) -> None:
        """Begin anew: the last job is the training."""
        self.times = []

    def advance(self, count: int) -> None:
        """Note a step; the engine tells of zero steps at its start."""
        if not self.times:
            self.products.__enter__()
        elif len(self.times) == 1:
            self.products.__exit__(None, None, None)
        self.times.append((time.perf_counter(), time.process_time()))


def run(
    root: Path, folder: Path, setting: str, name: str, kept: bool, steps: int, batch: int, to: Any
) -> None:
    """Train, in a process of its own, and send what was `Measured`."""
    model, method = SETTINGS[setting]
    recipe = Recipe(
        name=name,
        output=str(folder / "runs"),
        method=method,
        data=CaptionData(
            path=str(folder / "captions.csv"),
            images=str(root / "photos" / "flickr8k" / "images"),
            crop=None,
        ),
        schedule=ScheduleRecipe(warmup_steps=1, steps=steps),
        batch_size=batch,
        precision="fp32",
        workers=1,
        log_every=1,
        checkpoint_every=0,
        embeddings=EmbeddingsRecipe(cache=str(folder / "store"), patches="float16")
        if kept
        else None,
    )
    clip = load(root, model)
    one = build_method(recipe, clip)
    watch = Stopwatch()
    done = train(
        one,
        recipe.data.open(clip.image_size),
        build_batching(recipe, one),
        recipe,
        resume="never",
        progress=watch,
    )
    half = steps // 2
    (begun, worked), (ended, works) = watch.times[half], watch.times[-1]
    samples = (steps - half) * batch
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    in_workers = (used[1].ru_utime + used[1].ru_stime) / (steps * batch)
    lines = read_lines(done.folder / "metrics.jsonl")
    to.send(
        Measured(
            samples / (ended - begun),
            1000 * ((works - worked) / samples + in_workers),
            used[0].ru_maxrss / 1024,
            watch.products.get_total_flops() / batch / 1e9,
            [line["loss"] for line in lines if line["event"] == "train"][-1],
        )
    )


def apart(*arguments: Any) -> Measured:
    """Return what `run` sends."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=run, args=(*arguments, there))
    process.start()
    there.close()
    made = here.recv()
    process.join()
    return made


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, metavar="ROOT")
    parser.add_argument("--photos", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    given = parser.parse_args()
    if given.data is None:
        print("left out: it needs photos; give --data ROOT")
        return
    print(
        "| setting | samples/s: anew, kept, ratio | core seconds for 1,000: anew, kept, ratio | "
        "products: anew, kept, ratio | peak MB: anew, kept, filling | store MB | loss anew, kept |\n|---|---|---|---|---|---|---|"
    )
    for setting in given.settings:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_table(given.data, folder / "captions.csv", given.photos)
            common = (given.data, folder, setting)
            fill = apart(*common, "fill", True, 2, given.batch)
            kept = apart(*common, "kept", True, given.steps, given.batch)
            anew = apart(*common, "anew", False, given.steps, given.batch)
            files = (folder / "store").rglob("*.safetensors")
            store = sum(file.stat().st_size for file in files) / 1e6
            print(
                f"| {setting} | {anew.speed:.1f}, {kept.speed:.1f}, {kept.speed / anew.speed:.1f} | "
                f"{anew.seconds:.1f}, {kept.seconds:.1f}, {anew.seconds / kept.seconds:.1f} | "
                f"{anew.products:.2f}, {kept.products:.2f}, {anew.products / kept.products:.1f} | "
                f"{anew.memory:.0f}, {kept.memory:.0f}, {fill.memory:.0f} | {store:.1f} | "
                f"{anew.loss:.6f}, {kept.loss:.6f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
