"""What a few-shot head is fitted to and asked about: features of pictures, all made in one way.

A head knows one way of being shown a picture, and any other gives it features of another space:

* "pictures": the whole picture by the backbone's own preprocessing. Asked about a box, the head is
  shown the crop, which is a picture too.
* "regions": the backbone's regional prompt (see `regions.encoder`), where a whole picture is a
  region of one box. So are heads fitted that learn from boxes, and all heads on a backbone that
  was itself trained on regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor, cat, tensor

from trifocal import config
from trifocal.apps.classify.examples import file_of
from trifocal.apps.region_lists import GivenRegion
from trifocal.clip import encode
from trifocal.clip.encoder import FrozenClip, convention
from trifocal.data.boxes import clip_box
from trifocal.data.regions import Box
from trifocal.errors import UserError
from trifocal.features.pictures import image_features, image_identity
from trifocal.features.reading import Seen, embed_regions
from trifocal.features.unreadable import Unreadable, spread
from trifocal.progress import Progress, Quiet

if TYPE_CHECKING:
    from trifocal.regions.encoder import RegionEncoder

_PICTURES, _REGIONS = "pictures", "regions"  # a focus's conventions are filed under its name


class PictureFeatures:
    """Makes the features of pictures and regions for one head.

    Args:
        model: A Clip or what embeds as one does.
        shown: How it is shown a picture, as `shown_for` returns it.
        force: Take a model that was trained to be shown regions in another way.

    Raises:
        UserError: the model was trained to be shown regions in another way.
    """

    def __init__(self, model: FrozenClip, shown: Mapping[str, Any], *, force: bool = False) -> None:
        self.model, self.shown = model, shown
        trained = _trained(model)
        as_regions = shown.get("as") == _REGIONS
        if not force and trained is not None and trained != (shown.get("prompt") or {}):
            how = "another regional prompt" if as_regions else "whole pictures"
            raise UserError(
                f"the classifier was fitted to {how}, but {self.model.name!r} was trained on "
                "regions shown in its own way; fit the classifier again, or force it with --force."
            )
        self._regions = _region_encoder(model, shown["prompt"]) if as_regions else None

    @cached_property
    def fingerprint(self) -> str:
        """The backbone's; hashing a large one takes a second."""
        return self.model.fingerprint()

    @cached_property
    def _image_identity(self) -> str | None:
        return image_identity(self.model)

    @property
    def draws_views(self) -> bool:
        """Whether a picture may be shown in random views; a region is shown in one way."""
        return self._regions is None

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
        seen: Seen | None = None,
        unreadable: Unreadable | None = None,
    ) -> Tensor:
        """Return (N, V, d) float32 features on the CPU, not normalized.

        Args:
            regions: N pictures, with boxes or without.
            views: Random views of each whole picture; 0 for the one that is asked about. Regions
                have that one alone (V is 1).
            seed: Of the random views.
            cache: Where features of whole pictures are kept.
            progress: Told of every picture.
            seen: Called with each region whose picture had to be opened.
            unreadable: Notes pictures that cannot be read, whose rows are NaN.

        Raises:
            UserError: a picture cannot be read and nobody notes it, more cannot than may be, or a
                box does not fit its picture.
        """
        progress = progress or Quiet()
        if self._regions:
            told: dict[str, Any] = {"progress": progress, "seen": seen, "unreadable": unreadable}
            return self._regions.encode_regions(regions, **told)[:, None]
        if any(region.boxes for region in regions):
            return self._crops(regions, progress, seen, unreadable)[:, None]
        files = [file_of(region) for region in regions]
        made = image_features(
            self.model,
            files,
            cache=cache,
            views=views,
            seed=seed,
            progress=progress,
            fingerprint=self._image_identity if cache else None,
            seen=seen,
            on_bad="raise" if unreadable is None else "return",
        )
        if unreadable is None:
            return made.features
        for error in made.bad:
            unreadable.note(Path(error.path), error)
        unreadable.close(self.model, files)
        return spread(made.features, unreadable.readable(files))

    def _crops(
        self,
        regions: Sequence[GivenRegion],
        progress: Progress,
        seen: Seen | None,
        unreadable: Unreadable | None,
    ) -> Tensor:
        """Return (N, d) features of the parts of pictures that boxes show."""
        for region in regions:
            if len(region.boxes) > 1:
                raise UserError(
                    f"{region.where}several boxes mark one region only for a classifier that was "
                    "fitted to regions; give one box."
                )
        embedded = embed_regions(
            self.model,
            regions,
            lambda image, boxes: self.model.preprocess(part_shown(image, boxes))[None],
            embed=encode.image_features,
            progress=progress,
            seen=seen,
            unreadable=unreadable,
        )
        there = tensor([len(each) > 0 for each in embedded])
        return spread(cat([each for each in embedded if len(each)]), there)


def part_shown(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Return the part of a picture in the first box."""
    left, top, width, height = map(int, clip_box(boxes[0], image.size))
    return image.crop((left, top, left + width, top + height))


def shown_for(model: FrozenClip, *, boxes: bool) -> dict[str, Any]:
    """Return how a head on `model` is to be shown pictures, as plain data.

    Args:
        model: The backbone.
        boxes: Whether the head learns from parts of pictures.
    """
    if not boxes and _trained(model) is None:
        return {"as": _PICTURES}
    from trifocal.regions.encoder import default_prompt

    return {"as": _REGIONS, "prompt": config.plain(default_prompt(model))}


# What concerns whole pictures alone does not load the focus on regions.


def _region_encoder(model: FrozenClip, prompt: Mapping[str, Any]) -> RegionEncoder:
    """Return what embeds regions by a prompt."""
    from trifocal.regions.encoder import RegionEncoder
    from trifocal.regions.prompts import PromptConfig

    return RegionEncoder(model, config.build(PromptConfig, prompt))


def _trained(model: FrozenClip) -> dict[str, Any] | None:
    """Return the regional prompt that a model was trained with, all its settings, or None."""
    if not convention(model, _REGIONS):
        return None
    from trifocal.regions.encoder import trained_prompt

    return config.plain(trained_prompt(model))
