"""Few-shot heads: fitting, searching, discovering, each against its straightforward form.

    python benchmarks/concepts.py [--features caltech101.safetensors] [--repeats 3]

1. Fit and predict on 16 shots of 100 classes: CCLI and the concept map against Tip-Adapter-F at
   its published recipe (20 epochs, batch 256; Zhang et al., arXiv 2207.09519), written as its
   released code does it: a linear layer of keys, a product with one-hot labels. Our own
   Tip-Adapter-F runs beside it and must give the same logits. Concepts are 2,000 random unit
   rows; they cost what real ones cost.
   With --folder FOLDER of ready features (`NAME.safetensors` with train1, train2, ..., and
   text.safetensors), of --sets: the concept map's seconds of the processor at each number of shots,
   beside GDA, ProKeR and the linear probe. To compare versions, run each commit's own.
2. The search for alpha and beta on validation rows against the released loop over 200 x 20 points;
   both must find the same pair.
3. Visual concepts of 1,000 classes x 16 shots x 2,000 text concepts: seconds, and the memory that
   it adds to a process of its own.

Without --features, unit features of the same shapes are drawn. Times are medians of interleaved
repeats in one process.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from trifocal.concepts import CCLI, ConceptMap, Head, discover_visual_concepts
from trifocal.concepts.baselines import GDA, LinearProbe, ProKeR, TipAdapterF
from trifocal.concepts.search import TIP_GRIDS, search_alpha_beta
from trifocal.concepts.support import unit

CLASSES, SHOTS, WIDTH, CONCEPTS = 100, 16, 512, 2000
ALPHA, BETA = 1.17, 5.5


class Data:
    """Support, validation and test features with their labels, class texts and concepts."""

    def __init__(self, file: str | None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.concepts = unit(torch.randn(CONCEPTS, WIDTH, generator=generator))
        if file:
            parts = load_file(file)
            rows = {name: unit(parts[name].float()) for name in ("train16", "val", "test")}
            labels = {name: parts[f"{name}_label"].long() for name in rows}
        else:
            centers = unit(torch.randn(CLASSES, WIDTH, generator=generator))
            sizes = {"train16": CLASSES * SHOTS, "val": 1649, "test": 2465}
            labels = {name: torch.arange(size) % CLASSES for name, size in sizes.items()}
            rows = {
                name: unit(
                    centers[label] + 0.06 * torch.randn(len(label), WIDTH, generator=generator)
                )
                for name, label in labels.items()
            }
        self.support, self.val, self.test = rows["train16"], rows["val"], rows["test"]
        self.labels, self.val_labels = labels["train16"], labels["val"]
        classes = int(self.labels.max()) + 1
        means = torch.zeros(classes, WIDTH).index_add_(0, self.labels, self.support)
        noise = torch.randn(classes, WIDTH, generator=generator)
        self.text = unit(unit(means) + 1.5 * unit(noise))  # a text is right more or less


def released_tip_adapter_f(data: Data) -> Tensor:
    """Return test logits of Tip-Adapter-F as its released code trains it."""
    onehot = F.one_hot(data.labels).float()
    weights = data.text.T
    adapter = nn.Linear(WIDTH, len(data.support), bias=False)
    adapter.weight = nn.Parameter(data.support.clone())
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=1e-3, eps=1e-4)
    steps = 20 * -(-len(data.support) // 256)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        for rows in torch.randperm(len(data.support), generator=generator).split(256):
            features = data.support[rows]
            cache = ((-1) * (BETA - BETA * adapter(features))).exp() @ onehot
            loss = F.cross_entropy(100.0 * features @ weights + cache * ALPHA, data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        cache = ((-1) * (BETA - BETA * adapter(data.test))).exp() @ onehot
        return 100.0 * data.test @ weights + cache * ALPHA


def fitted(make: Callable[[], Head], data: Data) -> Tensor:
    """Return test logits of a head."""
    head = make().fit(data.support, data.labels, data.text, data.concepts)
    return head.logits(data.test)


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def race_heads(data: Data, repeats: int) -> None:
    """Print what fitting and predicting take."""
    ours = fitted(TipAdapterF, data)
    peer = released_tip_adapter_f(data)
    apart = float((ours - peer).abs().max())
    assert apart < 1e-2, f"the two Tip-Adapter-F differ by {apart}"
    runs: dict[str, Callable[[], object]] = {
        "Tip-Adapter-F, released form": lambda: released_tip_adapter_f(data),
        "Tip-Adapter-F, ours": lambda: fitted(TipAdapterF, data),
        "CCLI": lambda: fitted(CCLI, data),
        "concept map": lambda: fitted(ConceptMap, data),
        "CCLI tf": lambda: fitted(lambda: CCLI(head="tf"), data),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds(run))
    base = statistics.median(times["Tip-Adapter-F, released form"])
    own = statistics.median(times["Tip-Adapter-F, ours"])
    print(f"fit and predict, {len(data.support)} support rows (logits differ by {apart:.1e}):")
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"  {name:30s} {middle:6.2f} s  {middle / base:5.2f} x  ({middle / own:.2f} x ours)")


def race_shots(folder: Path, name: str, repeats: int) -> None:
    """Print the seconds of the processor that fitting and predicting take, the least of some repeats."""
    parts = load_file(folder / f"{name}.safetensors")
    texts = load_file(folder / "text.safetensors")
    concepts = torch.cat([texts[n].float() for n in ("lvis", "coco", "objects365", "openimages")])
    asked = parts.get("test", parts["train1"]).float()
    for shots in (1, 2, 4, 8, 16):
        if f"train{shots}" not in parts:
            continue
        support, labels = parts[f"train{shots}"].float(), parts[f"train{shots}_label"].long()
        times: dict[str, float] = {}
        for make in (ConceptMap, GDA, ProKeR, LinearProbe):
            taken = []
            for _ in range(repeats):
                start = time.process_time()
                make().fit(support, labels, None, concepts).predict(asked)
                taken.append(time.process_time() - start)
            times[make.__name__] = min(taken)
        told = ", ".join(f"{head} {value:.3f} s" for head, value in times.items())
        print(f"{name}, {shots} shots: {told}", flush=True)


def race_search(data: Data) -> None:
    """Print what the search takes; both must find the same."""
    val, labels = data.val[:500], data.val_labels[:500]
    base, affinity = 100 * val @ data.text.T, val @ data.support.T
    onehot = F.one_hot(data.labels).float()
    grid = TIP_GRIDS["caltech101"]

    def loop() -> tuple[float, float]:
        best, found = -1.0, (0.0, 0.0)
        for beta in grid.betas:
            for alpha in grid.alphas:
                cache = ((-1) * (beta - beta * (val @ data.support.T))).exp() @ onehot
                right = float(((base + cache * alpha).argmax(1) == labels).float().mean())
                if right > best:
                    best, found = right, (alpha, beta)
        return found

    def search() -> tuple[float, float]:
        found = search_alpha_beta(base, affinity, data.labels, labels, grid.alphas, grid.betas)
        return found.alpha, found.beta

    taken = statistics.median([seconds(search) for _ in range(3)])
    start = time.perf_counter()
    slow = loop()
    whole = time.perf_counter() - start
    assert slow == search(), "the loop and the search disagree"
    print(f"alpha and beta, 200 x 20 points, 500 rows: loop {whole:.1f} s, search {taken:.2f} s")
    print(f"  {whole / taken:.0f} x, the same pair (alpha {slow[0]:.3f}, beta {slow[1]:.3f})")


def discover(queue: multiprocessing.Queue) -> None:
    """Put the seconds and the added memory in bytes of one discovery."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(1000).repeat_interleave(16)
    support = unit(torch.randn(16000, WIDTH, generator=generator))
    concepts = unit(torch.randn(2000, WIDTH, generator=generator))
    discover_visual_concepts(concepts[:8], support[:64], labels[:64], 4, 4)  # loads what is lazy
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = seconds(lambda: discover_visual_concepts(concepts, support, labels, 1000, 8))
    queue.put((taken, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10))


def measure_discovery() -> None:
    """Print what discovering visual concepts takes, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=discover, args=(queue,))
    process.start()
    taken, added = queue.get()
    process.join()
    print(f"visual concepts, 1,000 classes x 16 shots x 2,000 concepts: {taken:.2f} s,")
    print(f"  {added / 2**20:.0f} MB more than before")


def main() -> None:
    """Run all three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--features", type=Path, help="a file with train16, val and test")
    parser.add_argument("--folder", type=Path, help="a folder of ready features")
    parser.add_argument("--sets", default="oxford_pets,ucf101,imagenet")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.folder:
        for name in arguments.sets.split(","):
            race_shots(arguments.folder, name, arguments.repeats)
        return
    measure_discovery()  # first: a child inherits the peak of its parent
    data = Data(arguments.features)
    race_heads(data, arguments.repeats)
    race_search(data)


if __name__ == "__main__":
    main()
