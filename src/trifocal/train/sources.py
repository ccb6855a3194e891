"""From a recipe's `data` section to a source of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trifocal.concepts.datasets.coop import read_dataset
from trifocal.concepts.datasets.dataset import ImageClasses
from trifocal.concepts.datasets.folders import read_folder
from trifocal.concepts.tasks.sampling import sample_few_shot
from trifocal.data.captions import CaptionDataset, present, read_captions
from trifocal.data.labeled import LabeledPictures
from trifocal.data.regions import RegionDataset
from trifocal.data.shards import ShardDataset
from trifocal.data.sherlock_files import ImageRoots, read_instances
from trifocal.errors import UserError
from trifocal.train.recipe import DataRecipe
from trifocal.world.abduction import WorldAbduction
from trifocal.world.few_shot_source import WorldFewShot
from trifocal.world.referring import WorldReferring
from trifocal.world.source import WorldCaptions

REGION_SOURCES = ("sherlock", "world-abduction", "world-referring")
CLASS_SOURCES = ("few-shot", "world-few-shot")


def samples_of(data: DataRecipe) -> str:
    """Return what a recipe's data are: "captions", "regions" or "classes"."""
    if data.source in REGION_SOURCES:
        return "regions"
    return "classes" if data.source in CLASS_SOURCES else "captions"


def make_source(data: DataRecipe, image_size: tuple[int, int]) -> Any:
    """Open the data of a recipe: captioned pictures, regions or classes (`samples_of`).

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
    if data.source == "world-few-shot":
        return WorldFewShot(data.shots, image_size, data.seed, data.split or "train")
    if data.path is None:
        raise UserError(f"data.source is {data.source!r}, so set data.path to its file.")
    draft = max(image_size) if data.draft else None
    if data.source == "few-shot":
        return few_shot_source(data, draft)
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


def few_shot_source(data: DataRecipe, draft: int | None = None) -> LabeledPictures:
    """Open the pictures that a few-shot method learns from.

    Args:
        data: The recipe's section.
        draft: Let JPEGs be decoded at a reduced scale that still covers this many pixels.

    Raises:
        UserError: the data set is not there, or not in its published form.
    """
    dataset = read_classes(data)
    support, _ = sample_few_shot(
        dataset,
        data.shots,
        data.seed,
        order="val-first" if data.val_first else "train-first",
        val_from="train" if data.val_first and not dataset.val else "val",
    )
    labels = [one.label for one in support]
    return LabeledPictures(dataset.files(support), labels, dataset.classnames, draft=draft)


def read_classes(data: DataRecipe) -> ImageClasses:
    """Return the whole data set that few-shot pictures are drawn from, test pictures included.

    Raises:
        UserError: it is not there, or not in its published form.
    """
    if data.path is None:
        raise UserError(f"data.source is {data.source!r}, so set data.path to its folder.")
    if data.dataset is None:
        return read_folder(data.path)
    return read_dataset(data.dataset, data.path, missing=data.missing)
