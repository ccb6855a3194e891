"""What training needs of a method: a backbone, a forward pass, an objective, what is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from trifocal.clip import Clip, ImageEmbedding, TextBatch, TextEmbedding
from trifocal.clip.embeddings import Pictures
from trifocal.clip.encoder import Encoder


@dataclass
class Encoded:
    """What a forward pass gives to the objective."""

    image: ImageEmbedding  # embeddings of the batch's pictures
    text: TextEmbedding  # embeddings of its texts, such as B captions and then M negatives
    # exp(logit scale), a 0-dim tensor. It travels with the embeddings so that a wrapper such as DDP
    # sees every trained parameter leave through one door.
    scale: Tensor


class Method(Encoder, Protocol):
    """What is trained: an `nn.Module` with these members, as `TunedClip` has them.

    It embeds as its backbone does, so that it can be evaluated in the middle of training.

    Attributes:
        clip: The backbone.
    """

    clip: Clip

    def __call__(self, pictures: Pictures, text: TextBatch) -> Encoded:
        """Encode a batch for the objective; the towers run here alone."""
        ...

    def terms(self, encoded: Encoded, batch: Any) -> dict[str, Tensor]:
        """Return the named, weighted terms whose sum is trained; `batch` is of its own kind."""
        ...

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the trained parameters as optimizer groups; `base_lr` in one is its own rate."""
        ...

    def save(self, folder: str | Path) -> None:
        """Write the result."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield all parameters; those that require gradients are trained."""
        ...

    def train(self, mode: bool = True) -> Any:
        """See `nn.Module.train`."""
        ...

    def eval(self) -> Any:
        """See `nn.Module.eval`."""
        ...
