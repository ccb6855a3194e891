"""From a recipe's `data` section to a source of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trifocal.data.captions import CaptionDataset, present, read_captions
from trifocal.data.regions import RegionDataset
from trifocal.data.shards import ShardDataset
from trifocal.data.sherlock_files import ImageRoots, read_instances
from trifocal.errors import UserError
from trifocal.train.recipe import DataRecipe
from trifocal.world.abduction import WorldAbduction
from trifocal.world.referring import WorldReferring
from trifocal.world.source import WorldCaptions

REGION_SOURCES = ("sherlock", "world-abduction", "world-referring")


def make_source(data: DataRecipe, image_size: tuple[int, int]) -> Any:
    """Open the data of a recipe, captioned pictures or (`REGION_SOURCES`) regions.

    Args:
        data: The recipe's section.
        image_size: Height and width that the model wants.

    Raises:
        UserError: files are missing or not in the form that the recipe says.
    """
    if data.source == "world":
        return WorldCaptions(
            split=data.split or "train",
            size=data.size,
            image_size=image_size,
            seed=data.seed,
            single_share=data.single_share,
            things=data.things,
            wording=data.wording,
        )
    if data.source in ("world-abduction", "world-referring"):
        kind = WorldAbduction if data.source == "world-abduction" else WorldReferring
        return kind(data.split or "train", data.size, image_size, data.seed)
    if data.path is None:
        raise UserError(f"data.source is {data.source!r}, so set data.path to its file.")
    draft = max(image_size) if data.draft else None
    if data.source == "sherlock":
        roots = ImageRoots(data.vg, data.vcr, data.images or Path(data.path).parent)
        drop = "drop" if data.missing == "skip" else "error"
        instances = read_instances(data.path, roots=roots, missing=drop)
        return RegionDataset([each.item for each in instances], draft=draft)
    if data.source == "shards":
        if data.captions == "each":
            raise UserError("data.captions 'each' is not known for shards; use 'random'.")
        return ShardDataset(
            data.path,
            caption_key=data.caption_column,
            folder=data.texts,
            captions=data.captions,
            draft=draft,
        )
    items = read_captions(
        data.path,
        images=data.images,
        format=data.format,
        split=data.split,
        image_column=data.image_column,
        caption_column=data.caption_column,
    )
    return CaptionDataset(present(items, data.missing), captions=data.captions, draft=draft)
