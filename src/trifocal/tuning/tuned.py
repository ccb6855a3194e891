"""The part that all methods with tuned towers share: a backbone, and what of it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor, nn

from trifocal.clip import Clip, ImageEmbedding, TextBatch, TextEmbedding
from trifocal.errors import UserError
from trifocal.tuning.adaptation import save_adaptation
from trifocal.tuning.groups import decay_groups, image_tower
from trifocal.tuning.lora import LoraConfig, apply_lora

Tuning = Literal["full", "text", "lora"]


@dataclass
class Encoded:
    """What a forward pass gives to the objective.

    Attributes:
        image: Embeddings of the B images.
        text: Embeddings of the B captions, then of the M negatives.
        scale: exp(logit scale), a 0-dim tensor. It travels with the embeddings so that a
            wrapper such as DDP sees every trained parameter leave through one door.
    """

    image: ImageEmbedding
    text: TextEmbedding
    scale: Tensor


class TunedClip(nn.Module):
    """A CLIP whose towers are trained: wholly, the text tower alone, or through LoRA.

    A method derives from it (or offers the same members) and adds `objective`.

    Attributes:
        dense: Whether the objective reads patches and tokens.
        negative_kinds: The hard negatives that the data workers must make, in order.
    """

    dense: bool = False
    negative_kinds: tuple[str, ...] = ()

    def __init__(self, clip: Clip, tuning: Tuning = "full", lora: LoraConfig | None = None) -> None:
        super().__init__()
        if tuning not in get_args(Tuning):
            raise UserError(
                f"tuning is {tuning!r}; it must be one of {', '.join(get_args(Tuning))}."
            )
        self.clip = clip
        self.tuning: Tuning = tuning
        self.lora = lora or LoraConfig()
        # Known before training, since the base may be an object that was never on disk.
        self.base_name = clip.name
        self.base_fingerprint = clip.fingerprint() if tuning == "lora" else ""
        clip.network.requires_grad_(True)
        if tuning == "text":
            for parameter in image_tower(clip.network.named_parameters()):
                parameter.requires_grad_(False)
        if tuning == "lora":
            apply_lora(clip.network, self.lora)

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
        """Encode a `CaptionBatch` and return its named, weighted terms."""
        return self.objective(self(batch.pixels, batch.text), batch)

    def encode_image(self, pixels: Tensor, *, patches: bool = False) -> ImageEmbedding:
        """See `Clip.encode_image`."""
        return self.clip.encode_image(pixels, patches=patches)

    def encode_text(self, texts: list[str] | TextBatch, *, tokens: bool = False) -> TextEmbedding:
        """See `Clip.encode_text`."""
        return self.clip.encode_text(texts, tokens=tokens)

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the trained parameters as optimizer groups."""
        return decay_groups(self.named_parameters(), weight_decay)

    def save(self, folder: str | Path) -> None:
        """Write the result: a `save_pretrained` folder, or an adaptation (LoRA)."""
        if self.tuning == "lora":
            save_adaptation(
                folder,
                self.clip,
                method=type(self).__name__,
                tuning=self.tuning,
                settings=self.lora,
                base_name=self.base_name,
                base_fingerprint=self.base_fingerprint,
            )
        else:
            self.clip.save_pretrained(folder)
