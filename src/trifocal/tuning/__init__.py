"""What is trained inside a backbone: full fine-tuning, LoRA, and interpolation back to the base."""

from __future__ import annotations

from trifocal.tuning.adaptation import load_model, save_adaptation
from trifocal.tuning.groups import decay_groups
from trifocal.tuning.interpolate import interpolate
from trifocal.tuning.lora import LoraConfig, apply_lora, merge_lora
from trifocal.tuning.tuned import Encoded, TunedClip

__all__ = [
    "Encoded",
    "LoraConfig",
    "TunedClip",
    "apply_lora",
    "decay_groups",
    "interpolate",
    "load_model",
    "merge_lora",
    "save_adaptation",
]
