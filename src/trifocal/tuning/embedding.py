"""A method embeds as the Clip that it tunes: whoever scores it need not know which of the two it is.

See `clip.encoder.Encoder` for what these members are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from trifocal.clip import Clip, ImageEmbedding, Preprocess, TextBatch, TextEmbedding, Tokenizer
from trifocal.clip.trained_on import TrainedOn


class EmbedsAsClip:
    """What a holder of a Clip offers of its members.

    Attributes:
        clip: The Clip.
    """

    clip: Clip

    @property
    def name(self) -> str:
        """See `Clip`."""
        return self.clip.name

    @property
    def tokenizer(self) -> Tokenizer:
        """See `Clip`."""
        return self.clip.tokenizer

    @property
    def preprocess(self) -> Preprocess:
        """See `Clip`."""
        return self.clip.preprocess

    @property
    def conventions(self) -> dict[str, Any]:
        """See `Clip`."""
        return self.clip.conventions

    @property
    def trained_on(self) -> TrainedOn:
        """See `Clip`."""
        return self.clip.trained_on

    @property
    def image_size(self) -> tuple[int, int]:
        """See `Clip.image_size`."""
        return self.clip.image_size

    @property
    def logit_scale(self) -> Tensor:
        """See `Clip.logit_scale`."""
        return self.clip.logit_scale

    @property
    def image_projection(self) -> Tensor:
        """See `Clip.image_projection`."""
        return self.clip.image_projection

    def tokenize(self, texts: str | Sequence[str]) -> TextBatch:
        """See `Clip.tokenize`."""
        return self.clip.tokenize(texts)

    def encode_image(self, pixels: Tensor, *, patches: bool = False) -> ImageEmbedding:
        """See `Clip.encode_image`."""
        return self.clip.encode_image(pixels, patches=patches)

    def encode_text(
        self, texts: Sequence[str] | TextBatch, *, tokens: bool = False
    ) -> TextEmbedding:
        """See `Clip.encode_text`."""
        return self.clip.encode_text(texts, tokens=tokens)

    def image_features(self, pixels: Tensor, *, projected: bool = True) -> Tensor:
        """See `Clip.image_features`."""
        return self.clip.image_features(pixels, projected=projected)

    def text_features(self, texts: Sequence[str] | TextBatch) -> Tensor:
        """See `Clip.text_features`."""
        return self.clip.text_features(texts)

    def fingerprint(self) -> str:
        """See `Clip.fingerprint`."""
        return self.clip.fingerprint()

    def image_fingerprint(self) -> str:
        """See `Clip.image_fingerprint`."""
        return self.clip.image_fingerprint()
