"""The part that all methods with tuned towers share: a backbone, and what of it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from trifocal.clip import Clip, ImageEmbedding, TextBatch, TextEmbedding
from trifocal.data.batching import (
    Batching,
    CaptionBatching,
    CenterCrop,
    Negatives,
    RandomCrop,
)
from trifocal.errors import UserError
from trifocal.tuning.adaptation import save_adaptation
from trifocal.tuning.groups import decay_groups
from trifocal.tuning.lora import LoraConfig
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


@dataclass
class Encoded:
    """What a forward pass gives to the objective.

    Attributes:
        image: Embeddings of the batch's pictures.
        text: Embeddings of its texts, such as B captions and then M negatives.
        scale: exp(logit scale), a 0-dim tensor. It travels with the embeddings so that a
            wrapper such as DDP sees every trained parameter leave through one door.
    """

    image: ImageEmbedding
    text: TextEmbedding
    scale: Tensor


class TunedClip(nn.Module):
    """A CLIP of which something is trained, in place.

    A method derives from it (or offers the same members) and adds `objective`.

    Args:
        clip: The backbone.
        surgery: What is changed in it, and what is trained; by default all of it.

    Attributes:
        samples: What it learns from: "captions", "regions" or "classes".
        starts_as_base: Whether it embeds as its backbone does before the first step.
        dense: Whether the objective reads patches and tokens.
        negative_kinds: The hard negatives that the data workers must make, in order.
        added: The parameters that the surgery brought in.
    """

    samples: str = "captions"
    starts_as_base: bool = True
    dense: bool = False
    negative_kinds: tuple[str, ...] = ()

    def __init__(self, clip: Clip, surgery: Surgery | None = None) -> None:
        super().__init__()
        self.clip = clip
        self.surgery = surgery or Surgery()
        # Known before training, since the base may be an object that was never on disk.
        self.base_name = clip.name
        self.base_fingerprint = "" if self.surgery.is_plain else clip.fingerprint()
        self.added = operate(clip.network, self.surgery)

    def forward(self, pixels: Tensor, text: TextBatch) -> Encoded:
        """Encode a batch for the objective (patches and tokens only where it reads them)."""
        return Encoded(
            self.clip.encode_image(pixels, patches=self.dense),
            self.clip.encode_text(text, tokens=self.dense),
            self.clip.logit_scale,
        )

    def objective(self, encoded: Encoded, batch: Any) -> dict[str, Tensor]:
        """Return the named, weighted terms whose sum is trained."""
        raise NotImplementedError

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Encode a batch and return its named, weighted terms."""
        return self.objective(self(batch.pixels, batch.text), batch)

    def encode_image(self, pixels: Tensor, *, patches: bool = False) -> ImageEmbedding:
        """See `Clip.encode_image`."""
        return self.clip.encode_image(pixels, patches=patches)

    def encode_text(self, texts: list[str] | TextBatch, *, tokens: bool = False) -> TextEmbedding:
        """See `Clip.encode_text`."""
        return self.clip.encode_text(texts, tokens=tokens)

    def batching(self, crop: tuple[float, float] | None, negatives: Negatives | None) -> Batching:
        """Return how the data workers make this method's batches.

        Args:
            crop: Bounds of a random crop's share of the picture; None for a centered crop.
            negatives: Makes a caption's hard negatives.
        """
        preprocess = self.clip.preprocess
        return CaptionBatching(
            self.clip.tokenizer,
            RandomCrop(preprocess, crop) if crop else CenterCrop(preprocess),
            negatives,
            tuple(self.negative_kinds),
        )

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the trained parameters as optimizer groups."""
        return decay_groups(self.named_parameters(), weight_decay)

    def save(self, folder: str | Path) -> None:
        """Write the result: a `save_pretrained` folder, or, beside its base, an adaptation."""
        if self.surgery.is_plain:
            self.clip.save_pretrained(folder)
        else:
            save_adaptation(
                folder,
                self.clip,
                self.surgery,
                method=type(self).__name__,
                base_name=self.base_name,
                base_fingerprint=self.base_fingerprint,
            )
