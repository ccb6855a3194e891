"""Composition: do the words stand in the right relation? FSC-CLIP and its baselines."""

from __future__ import annotations

from trifocal.composition.baselines import Finetune, FinetuneConfig, NegClip, NegClipConfig
from trifocal.composition.method import FscClip, FscClipConfig

METHODS = {
    "finetune": (FinetuneConfig, Finetune),
    "negclip": (NegClipConfig, NegClip),
    "fsc_clip": (FscClipConfig, FscClip),
}

__all__ = [
    "METHODS",
    "Finetune",
    "FinetuneConfig",
    "FscClip",
    "FscClipConfig",
    "NegClip",
    "NegClipConfig",
]
