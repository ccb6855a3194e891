"""The few-shot methods that train inside the backbone, for the engine."""

from __future__ import annotations

from trifocal.concepts.low_rank import ClipLora, ClipLoraConfig
from trifocal.concepts.prompt_learning import Coop, CoopConfig

METHODS = {"coop": (CoopConfig, Coop), "clip_lora": (ClipLoraConfig, ClipLora)}
