"""What the focus on regions offers, by the names of recipes and of the command line."""

from __future__ import annotations

from trifocal.regions.baselines import (
    RegionEdges,
    RegionEdgesConfig,
    RegionFinetune,
    RegionFinetuneConfig,
    RegionLora,
    RegionLoraConfig,
    RegionPrompts,
    RegionPromptsConfig,
)
from trifocal.regions.benchmarks.coco_regions import CocoRegions
from trifocal.regions.benchmarks.fg_ovd import FgOvd
from trifocal.regions.benchmarks.refcoco import RefCoco
from trifocal.regions.benchmarks.sherlock import Sherlock
from trifocal.regions.rca import Rca, RcaConfig

METHODS = {
    "rca": (RcaConfig, Rca),
    "region_finetune": (RegionFinetuneConfig, RegionFinetune),
    "region_edges": (RegionEdgesConfig, RegionEdges),
    "region_lora": (RegionLoraConfig, RegionLora),
    "region_prompts": (RegionPromptsConfig, RegionPrompts),
}

BENCHMARKS = {one.name: one for one in (Sherlock, RefCoco, CocoRegions, FgOvd)}
