"""What is asked of a model in training: contrastive, calibrated, local and hard-negative losses."""

from __future__ import annotations

from trifocal.losses.alignment import local_alignment_scores
from trifocal.losses.calibration import calibrated_loss
from trifocal.losses.contrastive import contrastive_loss
from trifocal.losses.dual import (
    dual_contrastive_loss,
    triple_contrastive_loss,
    wrong_region_loss,
)
from trifocal.losses.hard_negative import fsc_clip_loss, negclip_loss

__all__ = [
    "calibrated_loss",
    "contrastive_loss",
    "dual_contrastive_loss",
    "fsc_clip_loss",
    "local_alignment_scores",
    "negclip_loss",
    "triple_contrastive_loss",
    "wrong_region_loss",
]
