"""All benchmarks by name: those of the three foci, and those of a CLIP as a whole."""

from __future__ import annotations

from typing import Any

from trifocal.composition.registry import BENCHMARKS as COMPOSITION
from trifocal.evaluate.benchmarks.hard_negatives import CaptionNegatives
from trifocal.evaluate.benchmarks.negbench_retrieval import NegBenchRetrieval
from trifocal.evaluate.benchmarks.retrieval import Retrieval
from trifocal.evaluate.benchmarks.word_maps import WordMaps
from trifocal.evaluate.benchmarks.world import World
from trifocal.evaluate.benchmarks.world_regions import WorldRegions
from trifocal.evaluate.benchmarks.zero_shot import ZeroShot
from trifocal.plugins import Registry
from trifocal.regions.registry import BENCHMARKS as REGIONS

_OWN: dict[str, type[Any]] = {
    World.name: World,
    WorldRegions.name: WorldRegions,
    ZeroShot.name: ZeroShot,
    Retrieval.name: Retrieval,
    CaptionNegatives.name: CaptionNegatives,
    NegBenchRetrieval.name: NegBenchRetrieval,
    WordMaps.name: WordMaps,
    **COMPOSITION,
    **REGIONS,
}

BENCHMARKS: Registry[type[Any]] = Registry("benchmark", _OWN)

# What the command line runs under one name: of each of these whatever has its data.
GROUPS: dict[str, tuple[str, ...]] = {
    "composition": tuple(COMPOSITION),
    "regions": tuple(REGIONS),
    "costs": (ZeroShot.name, Retrieval.name),
    "all": (*COMPOSITION, NegBenchRetrieval.name, ZeroShot.name, Retrieval.name, *REGIONS),
}
