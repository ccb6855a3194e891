"""What is trained inside a backbone: all, the text tower, LoRA; and interpolation to the base."""

from __future__ import annotations

from trifocal.tuning.adaptation import load_model, save_adaptation
from trifocal.tuning.groups import decay_groups
from trifocal.tuning.interpolate import interpolate
from trifocal.tuning.lora import LoraConfig, apply_lora, merge_lora
from trifocal.tuning.tuned import Encoded, TunedClip, Tuning

__all__ = [
    "Encoded",
    "LoraConfig",
    "TunedClip",
    "Tuning",
    "apply_lora",
    "decay_groups",
    "interpolate",
    "load_model",
    "merge_lora",
    "save_adaptation",
]
