"""Regions: why does this part of the picture look like that? RCA and its baselines."""

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
from trifocal.regions.encoder import RegionEncoder, region_encoder
from trifocal.regions.method import Rca, RcaConfig

METHODS = {
    "rca": (RcaConfig, Rca),
    "region_finetune": (RegionFinetuneConfig, RegionFinetune),
    "region_edges": (RegionEdgesConfig, RegionEdges),
    "region_lora": (RegionLoraConfig, RegionLora),
    "region_prompts": (RegionPromptsConfig, RegionPrompts),
}

__all__ = [
    "METHODS",
    "Rca",
    "RcaConfig",
    "RegionEdges",
    "RegionEdgesConfig",
    "RegionEncoder",
    "RegionFinetune",
    "RegionFinetuneConfig",
    "RegionLora",
    "RegionLoraConfig",
    "RegionPrompts",
    "RegionPromptsConfig",
    "region_encoder",
]
