"""A model that embeds regions and inferences: a Clip, and how it is shown a region.

RCA's test-time score (arXiv 2303.10428): the views of a region are embedded, averaged and made unit
again; an inference is scored by its cosine with that. Both sides are embedded once, and any number
of pairs is then a matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from trifocal import config as plain_config
from trifocal.clip import Clip
from trifocal.clip.encoder import Encoder, convention
from trifocal.data.regions import Box, Region
from trifocal.errors import UserError
from trifocal.features.embed import encode_texts
from trifocal.features.reading import Seen, embed_regions
from trifocal.features.unreadable import Unreadable, spread
from trifocal.progress import Progress, Quiet
from trifocal.regions.prompts import Layout, PromptConfig, prompts
from trifocal.regions.texts import inference_text

CONVENTION = "regions"  # the key of the prompt's settings among a Clip's conventions
PATCHES = "patches"  # a variant beside those of prompts: see `regions/box_pooling.py`
# A model that was never trained on regions knows no stacked pictures: it sees the two apart.
ZERO_SHOT = PromptConfig(variant="r-ctx", layout="separate", prefix=False, period=False)


@runtime_checkable
class EmbedsRegions(Protocol):
    """What benchmarks on regions, and explanations of them, need of a model."""

    @property
    def name(self) -> str:
        """What results are filed under."""
        ...

    def encode_regions(
        self,
        regions: Sequence[Region],
        /,
        *,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Tensor:
        """Return (N, D) embeddings of regions."""
        ...

    def encode_inferences(
        self, texts: Sequence[str], /, *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tensor:
        """Return (T, D) embeddings of sentences."""
        ...


class RegionEncoder:
    """Embeds regions and inferences with a Clip, or what embeds like one, shown by a prompt.

    Example:
        >>> from trifocal import load_clip, region_encoder
        >>> from trifocal.data.regions import Region
        >>> encoder = region_encoder(load_clip("builtin"))
        >>> encoder.encode_regions([Region("new.jpg", ((4, 4, 20, 20),))]).shape
        torch.Size([1, 128])
    """

    def __init__(self, clip: Encoder, prompt: PromptConfig) -> None:
        self.clip, self.prompt = clip, prompt

    @property
    def name(self) -> str:
        """The model's name."""
        return self.clip.name

    @property
    def protocol(self) -> str:
        """How regions are shown, in a few words."""
        prompt = self.prompt
        side = prompt.size or self.clip.image_size[0]
        words = [f"prompt {prompt.variant}, {prompt.layout}, {side} px"]
        words += [f"{prompt.boxes} of several boxes"] if prompt.variant != "plain" else []
        words += [] if prompt.renormalize else ["averages not renormalized"]
        words += ["texts with prefix"] if prompt.prefix else []
        return ", ".join(words)

    def encode_regions(
        self,
        regions: Sequence[Region],
        *,
        batch_size: int = 64,
        threads: int = 4,
        progress: Progress | None = None,
        seen: Seen | None = None,
        unreadable: Unreadable | None = None,
    ) -> Tensor:
        """Return (N, D) float32 embeddings on the CPU, unit rows if the prompt says so.

        Pictures are opened in threads while the tower works; `seen` is called with each region.
        A pass holds `batch_size` pictures at most, of which a region has one or more. Regions of
        pictures that `unreadable` notes have NaN.

        Raises:
            UserError: a picture cannot be read and nobody notes it, or more cannot than may be.
        """
        if not regions:
            raise ValueError("there is no region to encode")
        side, preprocess = self.clip.image_size[0], self.clip.preprocess

        def shown(image: Image.Image, boxes: tuple[Box, ...]) -> Tensor:
            rng = np.random.default_rng() if self.prompt.boxes == "random" else None
            return prompts(image, boxes, self.prompt, side, preprocess=preprocess, rng=rng)

        embedded = embed_regions(
            self.clip,
            regions,
            shown,
            batch_size=batch_size,
            threads=threads,
            progress=progress or Quiet(),
            seen=seen,
            unreadable=unreadable,
        )
        made = torch.stack([self._joined(each) for each in embedded if len(each)])
        return spread(made, torch.tensor([len(each) > 0 for each in embedded]))

    def encode_inferences(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tensor:
        """Return (T, D) float32 unit embeddings on the CPU; equal texts are encoded once."""
        written = [inference_text(text, self.prompt) for text in texts]
        return encode_texts(self.clip, written, batch_size=batch_size, progress=progress)

    def _joined(self, embedded: Tensor) -> Tensor:
        """Return one embedding (D,) of unit rows (K, S, D): views and boxes, of one or two slots."""
        views = F.normalize(embedded.mean(dim=1), dim=-1)
        mean = views.mean(dim=0)
        return F.normalize(mean, dim=-1) if self.prompt.renormalize else mean


RegionModel = Encoder | EmbedsRegions  # what `region_encoder` takes


def region_encoder(
    model: RegionModel,
    prompt: PromptConfig | None = None,
    *,
    variant: str | None = None,
    layout: Layout | None = None,
) -> EmbedsRegions:
    """Return what embeds regions: the model itself if it can, or an encoder over it.

    It shows regions as `prompt` says, by default `default_prompt`, changed by variant and layout.
    The variant "patches" shows nothing of its own: see `regions/box_pooling.py`.

    Raises:
        UserError: there is no such variant, or the model has no patches.

    Example:
        >>> import trifocal
        >>> trifocal.region_encoder(trifocal.load_clip("builtin"), variant="plain").protocol
        'prompt plain...'
    """
    if isinstance(model, EmbedsRegions):
        return model
    if variant == PATCHES:
        if not isinstance(model, Clip):
            raise UserError(
                f"{model.name} offers no patches; choose another variant, such as r-ctx."
            )
        from trifocal.regions.box_pooling import BoxPooledEncoder

        return BoxPooledEncoder(model)
    prompt = prompt or default_prompt(model)
    return RegionEncoder(
        model, replace(prompt, variant=variant or prompt.variant, layout=layout or prompt.layout)
    )


def trained_prompt(model: Encoder) -> PromptConfig | None:
    """Return the prompt that a model was trained with, or None where it never saw a region."""
    trained = convention(model, CONVENTION)
    return plain_config.build(PromptConfig, trained) if trained else None


def default_prompt(model: Encoder) -> PromptConfig:
    """Return how a model is shown a region: as in its training, or region and picture apart."""
    return trained_prompt(model) or ZERO_SHOT
