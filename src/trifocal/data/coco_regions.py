"""Annotated objects as regions, "a {category}": a recipe's data, and the texts of categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trifocal import config
from trifocal.data.classes import prompts
from trifocal.data.coco_files import AnnotatedPhoto, Split, in_split, read_coco
from trifocal.data.regions import RegionDataset, RegionItem
from trifocal.data.section import DataSection, drafted
from trifocal.errors import UserError

TEMPLATE = "a {c}"
LEAST_AREA = 0.01  # of the photo; on 640 x 480 pixels a square of 55


@dataclass(frozen=True, kw_only=True)
class CocoRegionData(DataSection):
    """An annotation file in COCO's layout, each object of which is a region with its category.

    Attributes:
        path: The annotation file, such as instances_train2017.json.
        images: The folder that file names start from; by default it is looked for beside the file.
        split: "train", "val" or "test" for a part of the file's photos, chosen by their names
            alone (50, 20 and 30 %); "all" where the file is a part itself.
        template: What is said of a category, which stands for "{c}".
        least_area: Share of the photo that a box covers at least; smaller ones, and boxes of
            crowds, are no regions.
        missing: Refuse a file whose photos are not all there, or leave those out.
        draft: Let JPEG decode at a reduced scale that still covers the model's image size.
    """

    samples = "regions"

    source: Literal["coco_regions"] = "coco_regions"
    path: str
    images: str | None = None
    split: Split = "all"
    template: str = TEMPLATE
    least_area: float = LEAST_AREA
    missing: Literal["error", "skip"] = "error"
    draft: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"least_area": 0}, "data")
        prompts("", [self.template])

    def open(self, image_size: tuple[int, int]) -> RegionDataset:
        """Read the file; photos are opened one by one."""
        tally = self.tally(self.path)
        read = read_coco(self.path, self.images, missing=self.missing, tally=tally)
        chosen = in_split(read.photos, self.split)
        items = region_items(chosen, self.template, self.least_area)
        if not items:
            raise UserError(
                f"{self.path} has no object to train on among its {len(chosen)} photos of the part "
                f"{self.split!r}; lower data.least_area, or choose another data.split."
            )
        return RegionDataset(items, draft=drafted(self.draft, image_size))


def region_items(
    photos: Sequence[AnnotatedPhoto], template: str = TEMPLATE, least_area: float = LEAST_AREA
) -> list[RegionItem]:
    """Return the objects of photos as regions.

    There is no clue. The proposals, of which training may draw wrong regions, are the photo's
    boxes of other categories.
    """
    items = []
    for photo in photos:
        shown = photo.shown(least_area)
        for thing in shown:
            others = tuple(one.box for one in shown if one.category != thing.category)
            text = category_text(thing.category, template)
            items.append(RegionItem(thing.id, photo.region(thing), "", text, others))
    return items


def category_text(category: str, template: str = TEMPLATE) -> str:
    """Return what is said of a region that shows such an object."""
    return prompts(category, [template])[0]
