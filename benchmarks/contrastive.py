"""The tiled contrastive loss against the plain one: peak memory, time, value and gradients.

    python benchmarks/contrastive.py [--pairs 8192] [--width 512] [--tile N] [--repeats 5]

Peer: `F.cross_entropy` over the whole matrix of logits and over its transpose, as CLIP's paper and
open_clip write it. Memory is the peak of a fresh process above what stands before the loss (the
embeddings), forward and backward; time is the median of interleaved repeats in one process.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import re
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.losses import contrastive_loss

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain_loss(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """Return the loss over the whole (B, B) matrix of logits."""
    logits = scale * a @ b.T
    labels = torch.arange(len(a))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def choose(name: str, tile: int | None) -> Loss:
    """Return one of the two formulations."""
    if name == "plain":
        return plain_loss
    return lambda a, b, scale: contrastive_loss(a, b, scale, tile=tile)


def inputs(pairs: int, width: int) -> list[Tensor]:
    """Return a, b and the scale: unit vectors whose partners resemble each other."""
    rng = torch.Generator().manual_seed(0)
    a, noise = (torch.randn((pairs, width), generator=rng) for _ in range(2))
    rows = [F.normalize(a, dim=1), F.normalize(a + 6 * noise, dim=1)]
    return [x.requires_grad_() for x in (*rows, torch.tensor(100.0))]


def step(loss: Loss, leaves: list[Tensor]) -> tuple[float, Tensor, list[Tensor]]:
    """Return seconds, value and gradients of one forward and backward pass."""
    start = time.perf_counter()
    value = loss(*leaves)
    gradients = torch.autograd.grad(value, leaves)
    return time.perf_counter() - start, value.detach(), list(gradients)


def memory(field: str) -> float:
    """Return VmRSS (now) or VmHWM (peak) of this process in MiB."""
    status = Path("/proc/self/status")
    if not status.exists():  # elsewhere than on Linux: the peak, which stands for both
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text())
    assert found
    return int(found[1]) / 1024


def peak(name: str, pairs: int, width: int, tile: int | None, threads: int) -> float:
    """Return the MiB that one step takes beyond its inputs; call in a fresh process."""
    torch.set_num_threads(threads)
    step(choose(name, tile), inputs(64, width))  # loads the libraries
    leaves = inputs(pairs, width)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the inputs
    before = memory("VmRSS")
    kept = step(choose(name, tile), leaves)
    assert kept[1].isfinite()
    return memory("VmHWM") - before


def main() -> None:
    """Check equality, then print the ratios."""
    parser = argparse.ArgumentParser(description="tiled against plain contrastive loss")
    parser.add_argument("--pairs", type=int, default=8192)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--tile", type=int, help="edge of a tile (default: the library's choice)")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    threads = torch.get_num_threads()
    size = f"{arguments.pairs} pairs of width {arguments.width}"
    print(f"{size}, float32, {threads} CPU threads, torch {torch.__version__}")

    names = ("tiled", "plain")
    peaks = {}
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            options = (name, arguments.pairs, arguments.width, arguments.tile, threads)
            peaks[name] = pool.apply(peak, options)

    leaves = inputs(arguments.pairs, arguments.width)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    results = {}
    for repeat in range(arguments.repeats + 1):
        for name in names:
            taken, value, gradients = step(choose(name, arguments.tile), leaves)
            results[name] = [value, *gradients]
            if repeat:  # the first round warms up
                seconds[name].append(taken)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    differences = [
        (one - other).abs().max().item() for one, other in zip(*results.values(), strict=True)
    ]
    print(f"value {results['tiled'][0]:.6f}; largest difference of value and gradients:", end=" ")
    print(", ".join(f"{difference:.1e}" for difference in differences))
    assert max(differences) <= 1e-6 * max(1.0, float(results["plain"][0]))

    for name in names:
        print(f"{name}: {median[name]:.3f} s, {peaks[name]:.0f} MiB")
    print(f"RATIO peak memory {peaks['tiled'] / peaks['plain']:.2f}  (bar: <= 0.35)")
    print(f"RATIO time        {median['tiled'] / median['plain']:.2f}  (bar: <= 1.1)")


if __name__ == "__main__":
    main()
