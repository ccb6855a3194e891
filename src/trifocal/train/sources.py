"""From a recipe's `data` section to a source of samples."""

from __future__ import annotations

from trifocal.data.captions import CaptionDataset, present, read_captions
from trifocal.data.samples import Source
from trifocal.data.shards import ShardDataset
from trifocal.errors import UserError
from trifocal.train.recipe import DataRecipe
from trifocal.world.source import WorldCaptions


def make_source(data: DataRecipe, image_size: tuple[int, int]) -> Source:
    """Open the data of a recipe.

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
    if data.path is None:
        raise UserError(f"data.source is {data.source!r}, so set data.path to its file.")
    draft = max(image_size) if data.draft else None
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
