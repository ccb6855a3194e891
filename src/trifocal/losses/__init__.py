"""What is asked of a model in training: contrastive, calibrated, local and hard-negative losses."""

from __future__ import annotations

from trifocal.losses.alignment import local_alignment_scores
from trifocal.losses.calibration import calibrated_loss
from trifocal.losses.contrastive import contrastive_loss, pair_loss
from trifocal.losses.dual import (
    dual_contrastive_loss,
    triple_contrastive_loss,
    wrong_region_loss,
)
from trifocal.losses.hard_negative import Choice, Slots, global_choice, local_choice

__all__ = [
    "Choice",
    "Slots",
    "calibrated_loss",
    "contrastive_loss",
    "dual_contrastive_loss",
    "global_choice",
    "local_alignment_scores",
    "local_choice",
    "pair_loss",
    "triple_contrastive_loss",
    "wrong_region_loss",
]
