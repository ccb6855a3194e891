"""What RCA and its baselines share: regional prompts, their batches, and the losses on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from trifocal import config as plain_config
from trifocal.clip import Clip
from trifocal.errors import UserError
from trifocal.losses.contrastive import contrastive_loss
from trifocal.losses.dual import dual_terms, triple_contrastive_loss, wrong_region_loss
from trifocal.regions.augment import Augmentation
from trifocal.regions.batching import Loss, RegionBatch, RegionBatching
from trifocal.regions.encoder import CONVENTION
from trifocal.regions.prompts import PromptConfig, picture_size
from trifocal.tuning import Encoded, PositionConfig, Surgery, TunedClip


@dataclass(frozen=True)
class RegionConfig:
    """Settings that all methods on regions have.

    Attributes:
        prompt: How a region is shown and described.
        loss: "dual" is RCA's; "inference" and "clue" have one text a region, "multitask" draws
            which of the two; "triple" adds clue against inference; "wrong_region" contrasts a
            text with other regions of the same picture too (referring expressions).
        stacked: In the dual loss, classify a picture among clues and inferences at once.
        positions: How the image tower's positions are laid over the two slots: the present table
            stretched ("interpolate"), or one a slot ("tile").
        augmentation: What is done to the slots in training.
    """

    prompt: PromptConfig = field(default_factory=PromptConfig)
    loss: Loss = "dual"
    stacked: bool = False
    positions: Literal["interpolate", "tile"] = "interpolate"
    augmentation: Augmentation = field(default_factory=Augmentation)


class RegionTuned(TunedClip):
    """A CLIP that is trained on regional prompts.

    Attributes:
        config: The method's settings.
        input_size: (height, width) of its pictures.
    """

    samples = "regions"

    def __init__(self, clip: Clip, config: RegionConfig, surgery: Surgery) -> None:
        if config.prompt.layout == "separate":
            raise UserError(
                "prompt.layout 'separate' is for models that are not trained on regions; "
                "train with 'stacked' or 'side_by_side'."
            )
        super().__init__(clip, surgery)
        self.config = config
        self.input_size = picture_size(config.prompt, clip.image_size[0])
        clip.conventions = {**clip.conventions, CONVENTION: plain_config.plain(config.prompt)}

    def batching(self) -> RegionBatching:
        """Return how regions become batches."""
        clip, config = self.clip, self.config
        return RegionBatching(
            clip.tokenizer, clip.preprocess, config.prompt, config.loss, config.augmentation
        )

    def objective(self, encoded: Encoded, batch: RegionBatch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, by name."""
        images, texts, scale = encoded.image.pooled, encoded.text.pooled, encoded.scale
        count, loss = batch.size, self.config.loss
        if loss == "wrong_region":
            right, wrong = images[:count], images[count:]
            return {"wrong_region": wrong_region_loss(right, wrong, texts, scale)}
        if loss in ("inference", "clue", "multitask"):
            return {loss: contrastive_loss(images, texts, scale)}
        inferences, clues = texts[:count], texts[count:]
        if loss == "triple":
            return {"triple": triple_contrastive_loss(images, clues, inferences, scale)}
        stacked = self.config.stacked
        clue, inference = dual_terms(images, clues, inferences, scale, stacked=stacked)
        return {"inference": inference, "clue": clue}


def position_surgery(clip: Clip, config: RegionConfig, *, trained: bool) -> PositionConfig | None:
    """Return the position table that the prompts need.

    A frozen table that is only stretched needs no copy of its own: the tower stretches it itself.
    """
    height, width = picture_size(config.prompt, clip.image_size[0])
    rows, columns = height // clip.patch_size, width // clip.patch_size
    if height % clip.patch_size or width % clip.patch_size:
        raise UserError(
            f"prompt.size {config.prompt.size} is not a multiple of the patches' side "
            f"{clip.patch_size}."
        )
    mode = "interpolate" if rows == columns else config.positions  # one slot has no halves to tile
    if (rows, columns) == clip.patch_grid or (mode == "interpolate" and not trained):
        return None
    return PositionConfig(rows, columns, mode)
