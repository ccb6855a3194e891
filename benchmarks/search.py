"""A million pictures are searched: how long a query takes, and how much of the truth it finds.

    python benchmarks/search.py [--rows 100000] [--width 512] [--features FILE]

The rows are made from real image features where a file of them is given (`train16` of a few-shot
feature file, say): each is the mean of two of them, moved a little; without one they are drawn around
random centers. Queries are rows that were moved as much. Looking at all rows is the truth and the peer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from trifocal.search.nearest import Cells, build_cells, exact_scores

_AT_ONCE = 65_536
_MOVED = 0.6  # length of the noise, beside a unit row


def seeds(file: str | None, width: int, made: torch.Generator) -> Tensor:
    """Return (n, D) unit rows to make others from."""
    if file is None:
        return normalize(torch.randn(4000, width, generator=made), dim=1)
    with safe_open(file, "pt") as opened:
        names = [name for name in opened.keys() if not name.endswith("_label")]  # noqa: SIM118
        parts = [opened.get_tensor(name).float() for name in names]
    return normalize(torch.cat([part for part in parts if part.ndim == 2]), dim=1)


def drawn(base: Tensor, count: int, made: torch.Generator) -> Tensor:
    """Return (count, D) unit rows near pairs of the base."""
    one, other = (torch.randint(len(base), (count,), generator=made) for _ in range(2))
    share = torch.rand(count, 1, generator=made)
    noise = torch.randn(count, base.shape[1], generator=made) * _MOVED / base.shape[1] ** 0.5
    return normalize(share * base[one] + (1 - share) * base[other] + noise, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Search over many rows: time and recall.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--features", metavar="FILE")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--top", type=int, default=10)
    options = parser.parse_args()
    made = torch.Generator().manual_seed(1)
    base = seeds(options.features, options.width, made)
    with tempfile.TemporaryDirectory() as folder:
        rows = torch.empty(options.rows, base.shape[1], dtype=torch.float16)
        for start in range(0, options.rows, _AT_ONCE):
            count = min(_AT_ONCE, options.rows - start)
            rows[start : start + count] = drawn(base, count, made).half()
        save_file({"vectors": rows}, Path(folder, "vectors.safetensors"))
        del rows
        with safe_open(Path(folder, "vectors.safetensors"), "pt") as opened:
            rows = opened.get_tensor("vectors")  # mapped, as an index has them
        start = time.perf_counter()
        build_cells(rows, Path(folder, "cells.faiss"), lambda _: None)
        print(f"{len(rows):,} x {rows.shape[1]}: cells made in {time.perf_counter() - start:.0f} s")
        size = Path(folder, "cells.faiss").stat().st_size >> 20
        asked = torch.randint(len(rows), (options.queries,), generator=made)
        noise = torch.randn(options.queries, rows.shape[1], generator=made)
        queries = normalize(rows[asked].float() + noise * _MOVED / rows.shape[1] ** 0.5, dim=1)
        start = time.perf_counter()
        truth = [exact_scores(rows, query).topk(options.top).indices for query in queries[:20]]
        print(f"all rows: {1000 * (time.perf_counter() - start) / len(truth):.0f} ms a query")
        print(
            f"{'probed':>6} {'median ms':>10} {'90 % ms':>8} {'recall':>7}   ({size} MB of cells)"
        )
        for probed in (8, 16, 24, 32, 64):
            cells = Cells(Path(folder, "cells.faiss"), rows, probed)
            for query in queries[:5]:
                cells.nearest(query, options.top)
            taken, found = [], 0
            for number, query in enumerate(queries):
                start = time.perf_counter()
                _, places = cells.nearest(query, options.top)
                taken.append(1000 * (time.perf_counter() - start))
                if number < len(truth):
                    found += len({*places.tolist()} & {*truth[number].tolist()})
            times = torch.tensor(taken)
            share = found / (len(truth) * options.top)
            print(f"{probed:>6} {times.median():>10.1f} {times.quantile(0.9):>8.1f} {share:>7.1%}")


if __name__ == "__main__":
    main()
