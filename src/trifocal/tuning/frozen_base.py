"""What a model gave before it was tuned, at the least memory.

Of a tower that is trained, a copy of its first weights is kept; a frozen one is shared. Where the
weights are frozen and low-rank updates lie beside them, the base is the same model with the
updates switched off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from trifocal.clip import TextBatch
from trifocal.errors import UserError
from trifocal.tuning.lora import without_lora
from trifocal.tuning.tuned_clip import TunedClip
from trifocal.tuning.twin import frozen_twin

_WITH_LORA = ("none", "scale")  # what may be trained beside updates that can be switched off


class FrozenBase:
    """The base of a method, as it is when this is made; it is no part of the method's parameters.

    Args:
        method: What is to be tuned, before the first step.

    Attributes:
        is_shared: Whether it is the method's own model, its updates switched off.

    Raises:
        UserError: the method puts other things than low-rank updates beside the weights.
    """

    def __init__(self, method: TunedClip) -> None:
        surgery = method.surgery
        if not surgery.is_plain and (surgery.lora is None or surgery.trained not in _WITH_LORA):
            raise UserError(
                f"{type(method).__name__} changes the towers, so what its base gives cannot be "
                "had beside it; leave method.distill out."
            )
        self.is_shared = surgery.lora is not None
        self.clip = method.clip if self.is_shared else frozen_twin(method.clip)

    def texts(self, texts: TextBatch) -> Tensor:
        """Return the pooled embeddings (T, D) of texts."""
        with self._as_it_was(texts.ids.device):
            return self.clip.encode_text(texts).pooled

    def images(self, pixels: Tensor) -> Tensor:
        """Return the pooled embeddings (B, D) of pictures."""
        with self._as_it_was(pixels.device):
            return self.clip.encode_image(pixels).pooled

    @contextlib.contextmanager
    def _as_it_was(self, device: torch.device) -> Iterator[None]:
        if not self.is_shared:
            self.clip.to(device)  # what is shared is there already
        network = self.clip.network
        trains = network.training
        off = without_lora(network) if self.is_shared else contextlib.nullcontext()
        with torch.no_grad(), off:
            network.eval()  # no dropout, and no draws for it
            try:
                yield
            finally:
                network.train(trains)
