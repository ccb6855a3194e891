"""Annotated objects as a source of training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.data.test_coco_files import folder, written  # noqa: F401 (a fixture)
from trifocal.data.coco_regions import CocoRegionData, category_text
from trifocal.errors import UserError


def test_an_object_is_a_region_with_its_category(folder):  # noqa: F811
    source = CocoRegionData(path=str(written(folder)), least_area=0).open((32, 32))
    assert [item.inference for item in source.items] == ["a dog", "a person", "a person"]
    assert all(item.clue == "" for item in source.items)
    sample = source.sample(0, np.random.default_rng(0))
    assert sample.image.size == (40, 30)
    assert sample.boxes == ((4, 3, 20, 15),)
    assert sample.proposals == ((30, 25, 3, 3.5),)  # the crowd is none


def test_a_part_and_a_least_area_are_chosen(folder):  # noqa: F811
    path = str(written(folder))
    parts = {
        part: [item.id for item in CocoRegionData(path=path, split=part).open((32, 32)).items]
        for part in PARTS
    }
    assert parts == PARTS
    with pytest.raises(UserError, match="no object to train on"):
        CocoRegionData(path=path, least_area=0.9).open((32, 32))


# By their names alone, "a" belongs to the test part and "b" to training.
PARTS: dict[Any, list[str]] = {"all": ["a-0", "b-0"], "train": ["b-0"], "test": ["a-0"]}


def test_a_template_needs_a_place_for_the_category(folder):  # noqa: F811
    assert category_text("dog", "one {c} here") == "one dog here"
    with pytest.raises(UserError, match="no place"):
        CocoRegionData(path="x.json", template="a dog")
