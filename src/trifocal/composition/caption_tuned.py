"""What FSC-CLIP and its baselines share: batches of captions with hard negatives."""

from __future__ import annotations

from torch import Tensor

from trifocal.clip import TextBatch
from trifocal.composition.batching import CaptionBatching, Negatives
from trifocal.data.batching import Transform
from trifocal.tuning import Encoded, TunedClip


class CaptionTuned(TunedClip):
    """A CLIP that is trained on captioned pictures.

    Attributes:
        dense: Whether the objective reads patches and tokens.
        negative_kinds: The hard negatives that the data workers must make, in order.
    """

    samples = "captions"
    dense: bool = False
    negative_kinds: tuple[str, ...] = ()

    def forward(self, pixels: Tensor, text: TextBatch) -> Encoded:
        """Encode a batch for the objective (patches and tokens only where it reads them)."""
        return Encoded(
            self.clip.encode_image(pixels, patches=self.dense),
            self.clip.encode_text(text, tokens=self.dense),
            self.clip.logit_scale,
        )

    def batching(
        self, transform: Transform | None = None, negatives: Negatives | None = None
    ) -> CaptionBatching:
        """Return how captioned pictures become batches."""
        return CaptionBatching(
            self.clip.tokenizer, transform, negatives, tuple(self.negative_kinds)
        )
