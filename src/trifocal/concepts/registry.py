"""What the focus on concepts offers, by the names of recipes and of the command line.

Heads learn from features and take seconds; methods train inside the backbone, on the engine.
"""

from __future__ import annotations

from trifocal.concepts.head_registry import DEFAULT_HEAD, HEADS
from trifocal.concepts.low_rank import ClipLora, ClipLoraConfig
from trifocal.concepts.prompt_learning import Coop, CoopConfig

__all__ = ["DEFAULT_HEAD", "HEADS", "METHODS"]

METHODS = {"coop": (CoopConfig, Coop), "clip_lora": (ClipLoraConfig, ClipLora)}
