"""Tests of regions: BENCHMARKS maps the name of each to its class."""

from __future__ import annotations

from trifocal.regions.benchmarks.refcoco import RefCoco
from trifocal.regions.benchmarks.sherlock import Sherlock
from trifocal.regions.benchmarks.submission import check_submission, write_submission

BENCHMARKS = {Sherlock.name: Sherlock, RefCoco.name: RefCoco}

__all__ = ["BENCHMARKS", "RefCoco", "Sherlock", "check_submission", "write_submission"]
