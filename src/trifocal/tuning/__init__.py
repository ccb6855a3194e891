"""What is changed and trained inside a backbone, and how that is kept beside its base."""

from __future__ import annotations

from trifocal.tuning.adaptation import load_model, save_adaptation
from trifocal.tuning.adapters import AdapterConfig
from trifocal.tuning.context import ContextConfig
from trifocal.tuning.deep_prompts import DeepPromptConfig
from trifocal.tuning.groups import decay_groups
from trifocal.tuning.interpolate import interpolate
from trifocal.tuning.lora import LoraConfig, apply_lora, merge_lora
from trifocal.tuning.surgery import PositionConfig, Surgery, operate
from trifocal.tuning.tuned_clip import Encoded, TunedClip, Tuning, simple

__all__ = [
    "AdapterConfig",
    "ContextConfig",
    "DeepPromptConfig",
    "Encoded",
    "LoraConfig",
    "PositionConfig",
    "Surgery",
    "TunedClip",
    "Tuning",
    "apply_lora",
    "decay_groups",
    "interpolate",
    "load_model",
    "merge_lora",
    "operate",
    "save_adaptation",
    "simple",
]
