"""LABCLIP: one matrix on text embeddings, and nothing else.

"CLIP Behaves like a Bag-of-Words Model Cross-modally but not Uni-modally" (Koishigarina, Uselis and
Oh, ICLR 2026, arXiv 2502.03566): which attribute goes with which object is linearly present in each of CLIP's towers, and only the map
between the two loses it. So both towers stay as they are, and a (D, D) matrix is trained on text
embeddings with NegCLIP's loss. It starts as the identity, and folds into the text projection: what
is saved is an ordinary CLIP.

When to use: there is no GPU, and word order counts. With `embeddings` kept (both towers are frozen) a
step over texts that were met before costs a few matrix products.

Relations: the loss is `NegClip`'s; what differs is what is trained.

Example:
    >>> from trifocal import load_clip
    >>> method = LabClip(load_clip("builtin"))
    >>> [name for name, each in method.named_parameters() if each.requires_grad]
    ['matrix', 'clip.network.logit_scale']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trifocal.clip import Clip, TextBatch, TextEmbedding
from trifocal.composition.batching import CaptionBatch
from trifocal.composition.caption_tuned import CaptionTuned
from trifocal.composition.options import CaptionOptions
from trifocal.losses import pair_loss
from trifocal.tuning import Encoded, Surgery
from trifocal.tuning.twin import replaced


@dataclass(frozen=True)
class LabClipConfig(CaptionOptions):
    """Settings of LABCLIP; the defaults are the published ones.

    Attributes:
        negatives: Kinds of hard negatives. The published run has NegCLIP's; "table" takes those
            that the caption table holds.
        log_scale: What the logit scale's logarithm starts from. The published 0 is far from CLIP's
            4.6: with it the matrix is trained on soft contrasts. The learned scale is saved.
    """

    negatives: tuple[str, ...] = ("swap",)
    log_scale: float = 0.0


class LabClip(CaptionTuned):
    """A frozen CLIP with a matrix behind its text tower.

    Attributes:
        matrix: (D, D); a text embedding t becomes W t, at unit length.
    """

    def __init__(self, clip: Clip, config: LabClipConfig | None = None) -> None:
        config = config or LabClipConfig()
        super().__init__(clip, Surgery("scale"), config)
        self.config = config
        self.negative_kinds = tuple(config.negatives)
        like = clip.network.text_projection.weight
        self.matrix = nn.Parameter(torch.eye(clip.embed_dim, device=like.device))
        with torch.no_grad():
            clip.network.logit_scale.fill_(config.log_scale)

    @property
    def learns_texts(self) -> bool:
        """Whether what texts are embedded to changes: it does, although the tower is frozen."""
        return True

    def objective(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        """Return the single term `contrastive`: images among all texts, captions among images."""
        image, text = encoded.image.pooled, encoded.text.pooled
        captions, negatives = text[: batch.size], text[batch.size :]
        return {"contrastive": pair_loss(image, captions, encoded.scale, negatives)}

    def embed_texts(self, text: TextBatch) -> TextEmbedding:
        """Embed texts through the frozen tower and the matrix."""
        return self._mapped(super().embed_texts(text))

    def encode_text(
        self, texts: Sequence[str] | TextBatch, *, tokens: bool = False
    ) -> TextEmbedding:
        """See `Clip.encode_text`; the matrix is part of it."""
        return self._mapped(self.clip.encode_text(texts, tokens=tokens))

    def text_features(self, texts: Sequence[str] | TextBatch) -> Tensor:
        """See `Clip.text_features`; the matrix is part of it."""
        return self.clip.text_features(texts) @ self.matrix.T

    def folded(self) -> Clip:
        """Return an ordinary Clip with the matrix in its text projection; the rest is shared."""
        old = self.clip.network.text_projection
        width, dim = old.in_features, old.out_features
        made = nn.Linear(width, dim, bias=False, device=old.weight.device, dtype=old.weight.dtype)
        with torch.no_grad():
            made.weight.copy_(self.matrix @ old.weight.float())
        return replaced(self.clip, "text_projection", made)

    def fingerprint(self) -> str:
        """See `Clip.fingerprint`: that of what would be saved."""
        return self.folded().fingerprint()

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write a plain CLIP."""
        self.folded().save_pretrained(folder, force=force)

    def _mapped(self, text: TextEmbedding) -> TextEmbedding:
        pooled = F.normalize(text.pooled.to(self.matrix) @ self.matrix.T, dim=-1)
        tokens = None if text.tokens is None else text.tokens.to(self.matrix) @ self.matrix.T
        return replace(text, pooled=pooled, tokens=tokens)
