"""How fast the built-in world is drawn and captioned: one process, from a cold start.

    taskset -c 0 python benchmarks/world.py [--size 64] [--scenes 2000]

Small pictures are put together from sprites that are drawn once and kept, so the first thousand
scenes are the slow ones; both rates are printed.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from trifocal.world.source import WorldCaptions


def rate(source: WorldCaptions, indices: range) -> float:
    """Return samples a second over some indices."""
    start = time.perf_counter()
    for index in indices:
        source.sample(index, np.random.default_rng(index))
    return len(indices) / (time.perf_counter() - start)


def main() -> None:
    """Print both rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--scenes", type=int, default=2000)
    arguments = parser.parse_args()
    source = WorldCaptions(size=4 * arguments.scenes, image_size=arguments.size)
    cold = rate(source, range(arguments.scenes))
    warm = rate(source, range(arguments.scenes, 2 * arguments.scenes))
    print(f"{arguments.scenes} scenes of {arguments.size} px, one core")
    print(f"RATE from a cold start {cold:.0f} samples/s  (bar at 64 px: >= 300)")
    print(f"RATE after that        {warm:.0f} samples/s")


if __name__ == "__main__":
    main()
