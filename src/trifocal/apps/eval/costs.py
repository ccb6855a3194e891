"""What a gain may cost, scored beside it: zero-shot accuracy and retrieval where their data are there."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from trifocal.errors import UserError
from trifocal.evaluate.names import DRAWN
from trifocal.evaluate.registry import GROUPS
from trifocal.evaluate.runner import make_job, members

COSTS = "costs"  # the group of benchmarks
_TOLD = ("all", COSTS, *DRAWN, *GROUPS[COSTS])  # what has them already


def costs_to_add(arguments: argparse.Namespace, settings: Mapping[str, Any]) -> list[str]:
    """Return the benchmarks to score besides, for a report that compares a model with its base.

    None where the command names some of them, the data of none are in the root, or --no-costs was given.
    """
    named = {name.partition(":")[0] for name in arguments.benchmarks}
    compares = arguments.report and (arguments.base or arguments.interpolate)
    somewhere = arguments.root or arguments.captions
    if arguments.no_costs or not compares or not somewhere or named & {*_TOLD}:
        return []
    names = [*members(COSTS, arguments.root), "retrieval"]
    return [name for name in names if _has_data(name, arguments.root, settings)]


def _has_data(name: str, root: str | None, settings: Mapping[str, Any]) -> bool:
    try:
        job = make_job(name, root, **settings)
        return not job.benchmark.check(job.root)
    except UserError:
        return False
