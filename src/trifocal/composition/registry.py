"""What the focus on composition offers, by the names of recipes and of the command line."""

from __future__ import annotations

from trifocal.composition.baselines import Finetune, FinetuneConfig, NegClip, NegClipConfig
from trifocal.composition.benchmarks.sugarcrepe import SugarCrepe
from trifocal.composition.fsc_clip import FscClip, FscClipConfig

METHODS = {
    "finetune": (FinetuneConfig, Finetune),
    "negclip": (NegClipConfig, NegClip),
    "fsc_clip": (FscClipConfig, FscClip),
}

BENCHMARKS = {SugarCrepe.name: SugarCrepe}
