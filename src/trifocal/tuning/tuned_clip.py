"""The part that all methods with tuned towers share: a backbone, and what of it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from trifocal.clip import Clip, ImageEmbedding, TextBatch, TextEmbedding
from trifocal.clip.embeddings import Pictures
from trifocal.data.samples import Samples
from trifocal.errors import UserError
from trifocal.tuning.adaptation import save_adaptation
from trifocal.tuning.embedding import EmbedsAsClip
from trifocal.tuning.groups import decay_groups, image_tower, text_tower
from trifocal.tuning.kept_texts import KeptTexts
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
        dense: Whether the objective reads patches and tokens.
        kept_texts: What a frozen text tower made of the texts so far, if that is to be kept.
        starts_as_base: Whether it embeds as its backbone does before the first step.
        added: The parameters that the surgery brought in.
    """

    samples: ClassVar[Samples]
    dense: bool = False
    kept_texts: KeptTexts | None = None
    starts_as_base: bool = True

    def __init__(self, clip: Clip, surgery: Surgery | None = None) -> None:
        super().__init__()
        self.clip = clip
        self.surgery = surgery or Surgery()
        # Known before training, since the base may be an object that was never on disk.
        self.base_name = clip.name
        self.base_fingerprint = "" if self.surgery.is_plain else clip.fingerprint()
        self.added = operate(clip.network, self.surgery)

    @property
    def trains_images(self) -> bool:
        """Whether anything of the image tower is trained; else its embeddings can be kept."""
        return any(parameter.requires_grad for parameter in image_tower(self.clip.network))

    @property
    def trains_texts(self) -> bool:
        """Whether anything of the text tower is trained; else its embeddings can be kept."""
        tower = text_tower(self.clip.network.named_parameters())
        return any(parameter.requires_grad for parameter in tower)

    def forward(self, pictures: Pictures, text: TextBatch) -> Encoded:
        """Encode a batch for the objective (patches and tokens only where it reads them)."""
        return Encoded(self.embed_pictures(pictures), self.embed_texts(text), self.clip.logit_scale)

    def embed_pictures(self, pictures: Pictures) -> ImageEmbedding:
        """Return what the objective reads of pictures; what was embedded before stays as it is."""
        if isinstance(pictures, ImageEmbedding):
            return pictures
        return self.clip.encode_image(pictures, patches=self.dense)

    def embed_texts(self, text: TextBatch) -> TextEmbedding:
        """Return what the objective reads of texts, out of `kept_texts` where these are kept."""
        if self.kept_texts is not None:
            return self.kept_texts.embed(self.clip, text, tokens=self.dense)
        return self.clip.encode_text(text, tokens=self.dense)

    def objective(self, encoded: Encoded, batch: Any) -> dict[str, Tensor]:
        """Return the named, weighted terms whose sum is trained."""
        raise NotImplementedError

    def terms(self, encoded: Encoded, batch: Any) -> dict[str, Tensor]:
        """Return what is trained: the objective, and what a focus lets be added to each of its."""
        return self.objective(encoded, batch)

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Encode a batch and return its named, weighted terms."""
        return self.terms(self(batch.pixels, batch.text), batch)

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
