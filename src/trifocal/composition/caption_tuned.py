"""What FSC-CLIP and its baselines share: batches of captions with hard negatives, and options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from trifocal.clip import Clip, ImageEmbedding
from trifocal.clip.embeddings import Pictures
from trifocal.composition.batching import CaptionBatching, Negatives, Prompts
from trifocal.composition.further_terms import (
    DistillTerm,
    PromptTerm,
    TeacherTerm,
    Term,
    without_prompts,
)
from trifocal.composition.noise import moved, set_text_attention_dropout
from trifocal.composition.options import CaptionOptions
from trifocal.data.batching import Transform
from trifocal.data.samples import Source
from trifocal.errors import UserError
from trifocal.tuning import Encoded, Surgery, TunedClip
from trifocal.tuning.frozen_base import FrozenBase


class CaptionTuned(TunedClip):
    """A CLIP that is trained on captioned pictures.

    Args:
        clip: The backbone.
        surgery: What is changed in it, and what is trained; by default all of it.
        options: Noise, and terms beside the method's own objective; none by default.

    Attributes:
        negative_kinds: The hard negatives that the data workers must make, in order.

    Raises:
        UserError: a table of the options cannot be read, or a term could have no effect.
    """

    samples = "captions"
    negative_kinds: tuple[str, ...] = ()

    def __init__(
        self, clip: Clip, surgery: Surgery | None = None, options: CaptionOptions | None = None
    ) -> None:
        super().__init__(clip, surgery)
        self.options = options = options or CaptionOptions()
        self.further: list[Term] = []
        self._teacher = TeacherTerm(options.teacher) if options.teacher is not None else None
        self._prompts = (
            PromptTerm(options.prompts, clip.embed_dim) if options.prompts is not None else None
        )
        self.further += [term for term in (self._teacher, self._prompts) if term is not None]
        if options.distill.image or options.distill.text:
            self.further.append(self._distill())
        if options.noise.attention:
            set_text_attention_dropout(clip.network, options.noise.attention)

    def terms(self, encoded: Encoded, batch: Any) -> dict[str, Tensor]:
        """Return the objective's terms and the further ones."""
        found = self.objective(without_prompts(encoded, batch), batch)
        for term in self.further:
            found = {**found, **term(encoded, batch)}
        return found

    def embed_pictures(self, pictures: Pictures) -> ImageEmbedding:
        """Return what the objective reads of pictures, moved at random in training if so wanted."""
        image = super().embed_pictures(pictures)
        length = self.options.noise.features
        if not self.training or not length:
            return image
        return replace(image, pooled=moved(image.pooled, length))

    def batching(
        self,
        transform: Transform | None = None,
        negatives: Negatives | None = None,
        *,
        flip: bool = False,
    ) -> CaptionBatching:
        """Return how captioned pictures become batches.

        Args:
            transform: PIL image and generator to a uint8 tensor (3, H, W).
            negatives: Maker of hard negatives of `negative_kinds`.
            flip: Whether half of the pictures are mirrored.
        """
        prompts = None
        if self._prompts is not None:
            prompts = Prompts(self._prompts.texts, self._prompts.options.share)
        return CaptionBatching(
            self.clip.tokenizer,
            transform,
            negatives,
            tuple(self.negative_kinds),
            flip=flip,
            drop=self.options.noise.words,
            prompts=prompts,
        )

    @property
    def reads_base_in_place(self) -> bool:
        """Whether a term runs the model itself, beside the step's own pass, as its base."""
        return any(isinstance(term, DistillTerm) and term.base.is_shared for term in self.further)

    def look_over(self, source: Source) -> None:
        """Say what of a source the options cannot use.

        Raises:
            UserError: they can use nothing of it.
        """
        if self._teacher is not None:
            self._teacher.look_over(source)

    def _distill(self) -> DistillTerm:
        weights = self.options.distill
        for name, learns in (("image", self.trains_images), ("text", self.learns_texts)):
            if getattr(weights, name) and not learns:
                raise UserError(
                    f"method.distill.{name} is {getattr(weights, name)}, but what {name}s are "
                    "embedded to stays as it is; leave it out."
                )
        return DistillTerm(weights, FrozenBase(self))

    @property
    def learns_texts(self) -> bool:
        """Whether what texts are embedded to changes in training."""
        return self.trains_texts
