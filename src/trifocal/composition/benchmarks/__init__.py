"""Tests of composition: BENCHMARKS maps the name of each to its class."""

from __future__ import annotations

from trifocal.composition.benchmarks.sugarcrepe import PairItem, PairItems, SugarCrepe

BENCHMARKS = {SugarCrepe.name: SugarCrepe}

__all__ = ["BENCHMARKS", "PairItem", "PairItems", "SugarCrepe"]
