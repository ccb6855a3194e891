"""Feed every reader with very many inputs, and say what became of them.

    python -m tests.fuzz --inputs 100000

prints a line for each reader, and stores the first inputs of each kind of failure under --keep.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.fuzz.reader import Bench
from tests.fuzz.readers import READERS

_COLUMNS = ("inputs", "returned", "refused", "failed", "slowest", "inputs/s")
_MOST_MEMORY = 6 << 30  # of the process: a reader that wants more must not take the machine along
_KEPT = 2  # inputs that are stored of a kind of failure


def main() -> int:
    """Run the command; return 1 if there was a failure."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000, help="for each reader")
    parser.add_argument("--reader", action="append", choices=READERS, metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="most for each reader")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"))
    arguments = parser.parse_args()
    logging.getLogger("trifocal").addHandler(logging.NullHandler())
    print(f"{'reader':<28}" + "".join(f"{name:>11}" for name in _COLUMNS))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, most))
    failed = 0
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        for name in arguments.reader or READERS:
            failed += _run(name, arguments, Path(folder, "bench"))
            shutil.rmtree(Path(folder, "bench"), ignore_errors=True)
    return int(failed > 0)


def _run(name: str, arguments: argparse.Namespace, folder: Path) -> int:
    """Feed one reader and print its line; return how many inputs failed."""
    bench = Bench(READERS[name], folder)
    bench.check_seeds()
    count: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    slowest, start, made = 0.0, time.perf_counter(), 0
    while made < arguments.inputs and time.perf_counter() - start < arguments.seconds:
        place = f"{arguments.seed}:{name}:{made}"
        outcome = bench.feed(Random(place))
        made += 1
        slowest = max(slowest, outcome.seconds)
        count["failed" if outcome.fault else "returned" if outcome.returned else "refused"] += 1
        if outcome.fault:
            kind = _kind(outcome.fault)
            kinds[kind] += 1
            if kinds[kind] <= _KEPT:
                target = arguments.keep / name.replace(" ", "_").replace(":", "") / str(made - 1)
                bench.keep(outcome, Random(place), target)
    rate = made / (time.perf_counter() - start)
    values = [made, *(count[key] for key in _COLUMNS[1:4])]
    print(
        f"{name:<28}"
        + "".join(f"{value:>11,}" for value in values)
        + f"{slowest:>10.2f}s{rate:>11,.0f}",
        flush=True,
    )
    for kind, number in kinds.most_common():
        print(f"    {number:,} x {kind}", flush=True)
    return count["failed"]


def _kind(fault: str) -> str:
    """Return what a failure is, and the last place of ours that it went through."""
    rows = fault.strip().splitlines()
    ours = [row.strip() for row in rows if "/trifocal/" in row or "/fuzz/readers/" in row]
    place = ours[-1].split("/trifocal/")[-1] if ours else ""
    return f"{rows[-1].partition(':')[0][:70]} ({place})"


if __name__ == "__main__":
    sys.exit(main())
