"""What CoOp and CLIP-LoRA share: a CLIP trained end to end to tell the classes of a task apart.

The zero-shot classifier (Radford et al., ICML 2021, §3.1.4) with one prompt a class is trained as
it stands: with unit pictures x and unit class texts t_k, and the frozen logit scale s, the loss is
the cross-entropy of s x·t_k over all classes. The texts go through the tower in every step, unless
nothing of it is trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import Clip, TextBatch, TextEmbedding
from trifocal.clip.encoder import Encoder, convention
from trifocal.concepts.batching import ClassBatch, ClassBatching
from trifocal.data.batching import Transform
from trifocal.losses.distributed import mean_over_ranks
from trifocal.tuning import Encoded, Surgery, TunedClip

CONVENTION = "classes"  # the key of the prompt among a Clip's conventions


class ClassTuned(TunedClip):
    """A CLIP that is trained on pictures with classes.

    The template is the prompt of a class, with "{}" for its name; it goes with the weights. With
    `flip`, half of the pictures are mirrored in training.
    """

    samples = "classes"

    def __init__(self, clip: Clip, surgery: Surgery, template: str, flip: bool) -> None:
        super().__init__(clip, surgery)
        self.template, self.flip = template, flip
        clip.conventions = {**clip.conventions, CONVENTION: {"template": template}}
        self._known: dict[Any, TextEmbedding] = {}  # of a frozen tower, by ids

    def objective(self, encoded: Encoded, batch: ClassBatch) -> dict[str, Tensor]:
        """Return the single term `cross_entropy`, over the pictures of all processes."""
        logits = encoded.scale * encoded.image.pooled @ encoded.text.pooled.T
        total = F.cross_entropy(logits, batch.labels, reduction="sum")
        count = torch.tensor(batch.size, device=logits.device)
        return {"cross_entropy": mean_over_ranks(total, count)}

    def batching(self, transform: Transform) -> ClassBatching:
        """Return how pictures with classes become batches; `transform` makes inputs of them."""
        return ClassBatching(self.clip.tokenizer, transform, self.template, self.flip)

    def embed_texts(self, text: TextBatch) -> TextEmbedding:
        """Embed class prompts; a tower that does not learn reads each batch of them once."""
        if self.trains_texts:
            return self.clip.encode_text(text)
        scale = self.clip.network.logit_scale
        key = (text.ids.cpu().numpy().tobytes(), scale.device, scale.dtype)
        if key not in self._known:
            with torch.no_grad():
                self._known[key] = self.clip.encode_text(text)
        return self._known[key]


def trained_template(model: Encoder) -> str | None:
    """Return the prompt that a model's classes were trained with, or None where they were not."""
    return convention(model, CONVENTION).get("template")
