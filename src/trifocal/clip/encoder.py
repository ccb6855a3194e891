"""What embeds: the contract between a model and whoever scores or fits with its embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from trifocal.clip.embeddings import ImageEmbedding, TextBatch, TextEmbedding
from trifocal.clip.preprocess import Preprocess


class Encoder(Protocol):
    """A `Clip`, a method that tunes one, or a model of another library that embeds as a Clip does.

    These members are all that pooled embeddings need. Some models have more of a `Clip`'s, and
    whoever can use these asks for them: `image_features` and `text_features` (vectors before they
    are made unit), `conventions`, `tokenizer`, `logit_scale`, `trained_on`, and `fingerprint`,
    without which nothing that a model computed is kept on disk; `image_fingerprint`, by which models
    that see pictures alike share what is kept of them.
    """

    @property
    def name(self) -> str:
        """What results are filed under."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """Photos to pixels (3, H, W)."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of what `preprocess` makes."""
        ...

    def tokenize(self, texts: str | Sequence[str], /) -> TextBatch:
        """Return the texts' ids."""
        ...

    def encode_text(self, texts: TextBatch, /) -> TextEmbedding:
        """Embed tokenized texts; `pooled` is (T, D), unit rows."""
        ...

    def encode_image(self, pixels: Tensor, /) -> ImageEmbedding:
        """Embed pixels (B, 3, H, W); `pooled` is (B, D), unit rows."""
        ...


class FrozenClip(Encoder, Protocol):
    """An encoder with what a classifier that is fitted to its features must know of it."""

    @property
    def logit_scale(self) -> Tensor:
        """What cosines are multiplied by (0-dim)."""
        ...

    def fingerprint(self) -> str:
        """Return a hash of all that decides an embedding of pixels."""
        ...


def convention(model: object, focus: str) -> dict[str, Any]:
    """Return how a model's training decided that a focus makes its inputs; empty if it did not.

    Args:
        model: An encoder; one without `conventions` has none.
        focus: The key among its conventions.
    """
    return getattr(model, "conventions", {}).get(focus, {})
