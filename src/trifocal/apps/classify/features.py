"""What a few-shot head is fitted to and asked about: features of pictures, all made in one way.

A head knows one way of being shown a picture, and any other gives it features of another space:

* "pictures": the whole picture by the backbone's own preprocessing. Asked about a box, the head is
  shown the crop, which is a picture too.
* "regions": the backbone's regional prompt (see `regions.encoder`), where a whole picture is a
  region of one box. So are heads fitted that learn from boxes, and all heads on a backbone that
  was itself trained on regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from trifocal import config
from trifocal.apps.classify.examples import file_of
from trifocal.apps.region_lists import GivenRegion
from trifocal.clip import encode
from trifocal.data.boxes import clip_box
from trifocal.errors import UserError
from trifocal.features.embed import encoder_of, read_ahead
from trifocal.features.pictures import image_features
from trifocal.progress import Progress, Quiet
from trifocal.regions.encoder import CONVENTION, RegionEncoder, region_encoder
from trifocal.regions.prompts import PromptConfig

_PICTURES, _REGIONS = "pictures", "regions"
_BATCH, _THREADS = 64, 4


class PictureFeatures:
    """Makes the features of pictures and regions for one head.

    Args:
        model: A Clip or what embeds as one does.
        shown: How it is shown a picture, as `shown_for` returns it.
        force: Take a model that was trained to be shown regions in another way.

    Raises:
        UserError: the model was trained to be shown regions in another way.
    """

    def __init__(self, model: Any, shown: Mapping[str, Any], *, force: bool = False) -> None:
        self.model, self.shown = encoder_of(model), shown
        trained = _trained(self.model)
        as_regions = shown.get("as") == _REGIONS
        if not force and trained is not None and trained != (shown.get("prompt") or {}):
            how = "another regional prompt" if as_regions else "whole pictures"
            raise UserError(
                f"the classifier was fitted to {how}, but {self.model.name!r} was trained on "
                "regions shown in its own way; fit the classifier again, or force it with --force."
            )
        self._regions = (
            RegionEncoder(self.model, config.build(PromptConfig, shown["prompt"]))
            if as_regions
            else None
        )

    @cached_property
    def fingerprint(self) -> str:
        """The backbone's; hashing a large one takes a second."""
        return self.model.fingerprint()

    @property
    def protocol(self) -> str:
        """How a picture is shown, in a few words."""
        return self._regions.protocol if self._regions else "whole pictures"

    def __call__(
        self,
        regions: Sequence[GivenRegion],
        *,
        views: int = 0,
        seed: int = 1,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Return (N, V, d) float32 features on the CPU, not normalized.

        Args:
            regions: N pictures, with boxes or without.
            views: Random views of each whole picture; 0 for the one that is asked about. Regions
                have that one alone (V is 1).
            seed: Of the random views.
            cache: Where features of whole pictures are kept.
            progress: Told of every picture.

        Raises:
            UserError: a picture cannot be read, or a box does not fit it.
        """
        progress = progress or Quiet()
        if self._regions:
            return self._regions.encode_regions(regions, progress=progress)[:, None]
        if any(region.boxes for region in regions):
            return self._crops(regions, progress)[:, None]
        made = image_features(
            self.model,
            [file_of(region) for region in regions],
            cache=cache,
            views=views,
            seed=seed,
            progress=progress,
            fingerprint=self.fingerprint if cache else None,
        )
        return made.features

    def _crops(self, regions: Sequence[GivenRegion], progress: Progress) -> Tensor:
        """Return (N, d) features of the parts of pictures that boxes show."""

        def opened() -> Iterator[Tensor]:
            for pixels in read_ahead(regions, self._pixels, _THREADS, 2 * _BATCH):
                yield pixels
                progress.advance(1)

        progress.start("regions", len(regions))
        return encode.image_features(self.model, opened(), batch_size=_BATCH).float().cpu()

    def _pixels(self, region: GivenRegion) -> Tensor:
        """Return a picture, or the part of it in a box, by the model's own preprocessing."""
        if len(region.boxes) > 1:
            raise UserError(
                f"{region.where}several boxes mark one region only for a classifier that was "
                "fitted to regions; give one box."
            )
        image, boxes = region.open()
        left, top, width, height = map(int, clip_box(boxes[0], image.size))
        return self.model.preprocess(image.crop((left, top, left + width, top + height)))


def shown_for(model: Any, *, boxes: bool) -> dict[str, Any]:
    """Return how a head on `model` is to be shown pictures, as plain data.

    Args:
        model: The backbone.
        boxes: Whether the head learns from parts of pictures.
    """
    clip = encoder_of(model)
    if not boxes and _trained(clip) is None:
        return {"as": _PICTURES}
    return {"as": _REGIONS, "prompt": config.plain(region_encoder(clip).prompt)}


def _trained(clip: Any) -> dict[str, Any] | None:
    """Return the regional prompt that a model was trained with, all its settings, or None."""
    trained = getattr(clip, "conventions", {}).get(CONVENTION)
    return config.plain(config.build(PromptConfig, trained)) if trained else None
