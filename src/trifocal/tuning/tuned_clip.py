"""The part that all methods with tuned towers share: a backbone, and what of it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from trifocal.clip import Clip, TextBatch
from trifocal.data.samples import Samples
from trifocal.errors import UserError
from trifocal.tuning.adaptation import save_adaptation
from trifocal.tuning.embedding import EmbedsAsClip
from trifocal.tuning.groups import decay_groups
from trifocal.tuning.lora import LoraConfig
from trifocal.tuning.method import Encoded
from trifocal.tuning.surgery import Surgery, operate

Tuning = Literal["full", "text", "lora"]


def simple(tuning: Tuning, lora: LoraConfig | None = None) -> Surgery:
    """Return the surgery of the usual ways to tune: all weights, the text tower, or LoRA.

    Raises:
        UserError: There is no such way.
    """
    ways = {
        "full": Surgery("all"),
        "text": Surgery("text"),
        "lora": Surgery("none", lora=lora or LoraConfig()),
    }
    if tuning not in ways:
        raise UserError(f"tuning is {tuning!r}; it must be one of {', '.join(ways)}.")
    return ways[tuning]


class TunedClip(EmbedsAsClip, nn.Module):
    """A CLIP of which something is trained, in place.

    A method derives from it and adds `objective`; as a rule by way of what the methods of its
    focus share, which has the batches: `CaptionTuned`, `RegionTuned`, `ClassTuned`.

    Args:
        clip: The backbone.
        surgery: What is changed in it, and what is trained; by default all of it.

    Attributes:
        samples: What it learns from: "captions", "regions" or "classes".
        starts_as_base: Whether it embeds as its backbone does before the first step.
        added: The parameters that the surgery brought in.
    """

    samples: ClassVar[Samples]
    starts_as_base: bool = True

    def __init__(self, clip: Clip, surgery: Surgery | None = None) -> None:
        super().__init__()
        self.clip = clip
        self.surgery = surgery or Surgery()
        # Known before training, since the base may be an object that was never on disk.
        self.base_name = clip.name
        self.base_fingerprint = "" if self.surgery.is_plain else clip.fingerprint()
        self.added = operate(clip.network, self.surgery)

    def forward(self, pixels: Tensor, text: TextBatch) -> Encoded:
        """Encode a batch for the objective."""
        image, text_embedding = self.clip.encode_image(pixels), self.clip.encode_text(text)
        return Encoded(image, text_embedding, self.clip.logit_scale)

    def objective(self, encoded: Encoded, batch: Any) -> dict[str, Tensor]:
        """Return the named, weighted terms whose sum is trained."""
        raise NotImplementedError

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Encode a batch and return its named, weighted terms."""
        return self.objective(self(batch.pixels, batch.text), batch)

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the trained parameters as optimizer groups."""
        return decay_groups(self.named_parameters(), weight_decay)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write the result: a `save_pretrained` folder, or, beside its base, an adaptation."""
        if self.surgery.is_plain:
            self.clip.save_pretrained(folder, force=force)
        else:
            save_adaptation(
                folder,
                self.clip,
                self.surgery,
                method=type(self).__name__,
                base_name=self.base_name,
                base_fingerprint=self.base_fingerprint,
                force=force,
            )
