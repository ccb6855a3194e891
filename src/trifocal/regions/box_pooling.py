"""A region as the mean of the patches under its boxes: no crop, no mark, one pass a picture.

The picture is stretched to the tower's input, so that boxes keep their places; each patch counts by
the area that the boxes cover of it. CLIP's patches share the pooled vector's norm and projection, but
were never trained to match words; this is what a dense reading of a plain CLIP is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import Clip
from trifocal.clip.encode import finite
from trifocal.data.coverage import coverage
from trifocal.data.images import BadImage
from trifocal.data.regions import Region
from trifocal.features.embed import encode_texts
from trifocal.features.identity import identity
from trifocal.features.reading import cannot_score, read_ahead
from trifocal.features.unreadable import Unreadable, spread
from trifocal.progress import Progress, Quiet


class BoxPooledEncoder:
    """Embeds regions with a Clip's patches, and texts as they are written."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    @property
    def name(self) -> str:
        """The model's name."""
        return self.clip.name

    @property
    def protocol(self) -> str:
        """How regions are embedded, in a few words."""
        return f"mean of the patches under the box, {self.clip.image_size[0]} px"

    @torch.no_grad()
    def encode_regions(
        self,
        regions: Sequence[Region],
        *,
        batch_size: int = 64,
        threads: int = 4,
        progress: Progress | None = None,
        unreadable: Unreadable | None = None,
    ) -> Tensor:
        """Return (N, D) float32 unit embeddings on the CPU; `batch_size` pictures in one pass.

        Regions of pictures that `unreadable` notes have NaN.

        Raises:
            UserError: a picture cannot be read and nobody notes it, more cannot than may be, or an
                embedding is not finite.
        """
        progress = progress or Quiet()
        progress.start("regions", len(regions))
        groups = [list(same) for _, same in groupby(regions, key=lambda one: identity(one.image))]
        made: list[Tensor] = []
        waiting: list[tuple[Tensor, Tensor]] = []
        shown = partial(self._shown, unreadable=unreadable)
        for group, one in zip(groups, read_ahead(groups, shown, threads, 2 * batch_size)):
            progress.advance(len(group))
            if one is None:
                continue
            waiting.append(one)
            if len(waiting) == batch_size:
                made += self._pooled(waiting)
                waiting = []
        made += self._pooled(waiting) if waiting else []
        pictures = [region.image for region in regions]
        if unreadable is None:
            return finite(torch.cat(made), self.clip, "regions")
        unreadable.close(self.clip, pictures)
        return spread(finite(torch.cat(made), self.clip, "regions"), unreadable.readable(pictures))

    def encode_inferences(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tensor:
        """Return (T, D) float32 unit embeddings on the CPU."""
        return encode_texts(self.clip, list(texts), batch_size=batch_size, progress=progress)

    def _shown(
        self, regions: Sequence[Region], *, unreadable: Unreadable | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """Return a picture's pixels (3, H, W), and the patches' weights (R, P) for its regions.

        None where it cannot be read, and that is noted.
        """
        try:
            opened = [region.open() for region in regions]
        except (BadImage, OSError) as error:
            if unreadable is None:
                raise cannot_score(regions[0].image, "its regions", error) from error
            unreadable.note(regions[0].image, error)
            return None
        height, width = self.clip.image_size
        picture = opened[0][0].resize((width, height), Image.Resampling.BICUBIC)
        weights = [coverage(boxes, image.size, self.clip.patch_grid) for image, boxes in opened]
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
        return pixels, torch.from_numpy(np.stack(weights)).float()

    def _pooled(self, shown: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Return the (R, D) embeddings of each picture's regions."""
        pixels = torch.stack([picture for picture, _ in shown])
        patches = self.clip.encode_image(pixels, patches=True).patches
        assert patches is not None
        return [
            F.normalize(weights @ each, dim=-1)
            for (_, weights), each in zip(shown, patches.float().cpu(), strict=True)
        ]
