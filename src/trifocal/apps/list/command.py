"""`trifocal list`: the names that other commands take, with a line on each."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping

from trifocal.apps.list import catalog


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    found = {
        "benchmarks": catalog.benchmarks,
        "methods": catalog.methods,
        "heads": catalog.heads,
        "models": catalog.models,
        "recipes": catalog.recipes,
    }[arguments.kind]()
    if arguments.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        print("\n".join(aligned(found, shutil.get_terminal_size().columns)))
    return 0


def aligned(found: Mapping[str, str], width: int) -> Iterator[str]:
    """Yield a line for each name, with what it is in a column, cut where the terminal ends."""
    column = max(map(len, found)) + 2
    for name, about in found.items():
        yield f"{name:<{column}}{textwrap.shorten(about, width - column, placeholder=' …')}"
