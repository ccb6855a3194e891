"""A model that embeds regions and inferences: a Clip, and how it is shown a region.

RCA's test-time score (arXiv 2303.10428): the views of a region are embedded, averaged and made unit
again; an inference is scored by its cosine with that. Both sides are embedded once, and any number
of pairs is then a matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal import config as plain_config
from trifocal.clip import encode
from trifocal.data.images import BadImage
from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.features.embed import encode_texts, encoder_of, read_ahead
from trifocal.progress import Progress, Quiet
from trifocal.regions.prompts import Layout, PromptConfig, prompts
from trifocal.regions.texts import inference_text

CONVENTION = "regions"  # the key of the prompt's settings among a Clip's conventions
# A model that was never trained on regions knows no stacked pictures: it sees the two apart.
ZERO_SHOT = PromptConfig(variant="r-ctx", layout="separate", prefix=False, period=False)


class RegionEncoder:
    """Embeds regions and inferences with a CLIP.

    Args:
        clip: A Clip (or what embeds like one).
        prompt: How it is shown a region.
    """

    def __init__(self, clip: Any, prompt: PromptConfig) -> None:
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
    ) -> Tensor:
        """Return (N, D) float32 embeddings on the CPU, unit rows if the prompt says so.

        Args:
            regions: N regions; pictures are opened in threads while the tower works.
            batch_size: Most pictures in one pass, of which a region has one or more.
            threads: How many are opened at a time.
            progress: Told of every region.

        Raises:
            UserError: a picture cannot be read.
        """
        progress = progress or Quiet()
        progress.start("regions", len(regions))
        rows: list[Tensor] = []
        waiting: list[Tensor] = []

        def flush() -> None:
            pixels = torch.cat([each.flatten(0, 1) for each in waiting])
            encoded = encode.encode_images(self.clip, pixels, batch_size=batch_size).float().cpu()
            for each, part in zip(waiting, encoded.split([len(w.flatten(0, 1)) for w in waiting])):
                rows.append(self._joined(part.unflatten(0, each.shape[:2])))
            progress.advance(len(waiting))
            waiting.clear()

        for shown in read_ahead(regions, self._pixels, threads, 2 * batch_size):
            waiting.append(shown)
            if sum(each.shape[0] * each.shape[1] for each in waiting) >= batch_size:
                flush()
        if waiting:
            flush()
        if not rows:
            raise ValueError("there is no region to encode")
        return torch.stack(rows)

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

    def _pixels(self, region: Region) -> Tensor:
        """Return what the tower is shown of a region: (K, S, 3, H, W) uint8."""
        try:
            image, boxes = region.open()
        except (BadImage, OSError) as error:
            raise UserError(
                f"cannot score with the picture {region.image} ({getattr(error, 'reason', error)}); "
                "restore the file, or leave its regions out of the annotations."
            ) from error
        rng = np.random.default_rng() if self.prompt.boxes == "random" else None
        side, preprocess = self.clip.image_size[0], self.clip.preprocess
        return prompts(image, boxes, self.prompt, side, preprocess=preprocess, rng=rng)


def region_encoder(
    model: Any,
    prompt: PromptConfig | None = None,
    *,
    variant: str | None = None,
    layout: Layout | None = None,
) -> Any:
    """Return the object that embeds regions: the model itself if it can, or an encoder over it.

    Args:
        model: A Clip, a method, or anything with `encode_regions` and `encode_inferences`.
        prompt: How it is shown a region; by default as it was trained, or, for a model that never
            was, the region and the picture apart.
        variant, layout: Changes to that.
    """
    if hasattr(model, "encode_regions"):
        return model
    clip = encoder_of(model)
    if prompt is None:
        trained = getattr(clip, "conventions", {}).get(CONVENTION)
        prompt = plain_config.build(PromptConfig, trained) if trained else ZERO_SHOT
    return RegionEncoder(
        clip, replace(prompt, variant=variant or prompt.variant, layout=layout or prompt.layout)
    )
