"""What FSC-CLIP and its baselines share: batches of captions with hard negatives."""

from __future__ import annotations

from trifocal.composition.batching import CaptionBatching, Negatives
from trifocal.data.batching import Transform
from trifocal.tuning import TunedClip


class CaptionTuned(TunedClip):
    """A CLIP that is trained on captioned pictures.

    Attributes:
        negative_kinds: The hard negatives that the data workers must make, in order.
    """

    samples = "captions"
    negative_kinds: tuple[str, ...] = ()

    def batching(
        self, transform: Transform | None = None, negatives: Negatives | None = None
    ) -> CaptionBatching:
        """Return how captioned pictures become batches."""
        return CaptionBatching(
            self.clip.tokenizer, transform, negatives, tuple(self.negative_kinds)
        )
