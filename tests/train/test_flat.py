"""Recipes of version 0.1: what they said of other sources goes, and a note shows what is left."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

import trifocal
from trifocal.concepts.few_shot_data import FewShotData
from trifocal.data.captions import CaptionData
from trifocal.errors import UserError
from trifocal.train.build import METHODS
from trifocal.train.optimizer import MuonConfig, SgdConfig
from trifocal.train.recipe import Recipe, load_recipe, saved_recipe
from trifocal.world.source import WorldData

FLAT: dict[str, Any] = {
    "source": "world", "path": None, "dataset": None, "shots": 16, "val_first": False,
    "images": None, "vg": None, "vcr": None, "texts": None, "format": "auto", "split": None,
    "image_column": None, "caption_column": None, "captions": "random", "missing": "error",
    "crop": [0.9, 1.0], "draft": False, "size": 20_000, "single_share": 0.5, "things": None,
    "wording": "curated", "seed": 0, "bad_image_share": 0.05,
}  # fmt: skip
FLAT_OPTIMIZER = {
    "name": "adamw", "lr": 5e-6, "betas": [0.9, 0.98], "eps": 1e-6, "momentum": 0.9,
    "weight_decay": 0.1,
}  # fmt: skip


@pytest.fixture
def read(tmp_path, caplog):
    """Read a recipe file of some sections; return it, and what was noted."""

    def reading(*words: str, **sections: Any) -> tuple[Recipe, list[str]]:
        path = tmp_path / "r.yaml"
        path.write_text(yaml.safe_dump(sections))
        caplog.clear()
        with caplog.at_level(logging.INFO):
            recipe = load_recipe(path, words, METHODS)
        return recipe, [record.getMessage() for record in caplog.records]

    return reading


def test_what_a_run_wrote_is_read_whatever_its_source(read):
    """Its fields may come from a recipe of another source, of which the words made this one."""
    data = {**FLAT, "source": "captions", "path": "c.csv", "size": 7, "seed": 1, "split": "val"}
    recipe, notes = read(data=data, optimizer={**FLAT_OPTIMIZER, "name": "sgd", "eps": 1e-8})
    assert recipe.data == CaptionData(path="c.csv", split="val")
    assert recipe.optimizer == SgdConfig()
    (note,) = notes
    assert "flat form of version 0.1" in note
    shown = yaml.safe_load(note.partition("\n")[2])
    assert read(**shown) == (recipe, [])  # the note is the new form
    assert shown["data"]["path"] == "c.csv"
    assert "size" not in shown["data"]
    assert "eps" not in shown["optimizer"]


def test_what_was_written_by_hand_may_state_defaults_of_other_sources(read):
    data = {"source": "few-shot", "path": "data", "size": 20_000, "vg": None, "shots": 4}
    recipe, notes = read(data=data, optimizer={"name": "muon", "momentum": 0.9})
    assert recipe.data == FewShotData(path="data", shots=4)
    assert recipe.optimizer == MuonConfig()
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"data": {"source": "captions", "path": "x", "shots": 4}}, "data.shots'.*not to captions"),
        ({"data": {"shots": 4}}, "data.shots'.*few-shot and world-few-shot, not to world"),
        ({"optimizer": {"momentum": 0.5}}, "optimizer.momentum'.* sgd, not to adamw"),
    ],
)
def test_other_mistakes_are_refused(read, sections, said):
    with pytest.raises(UserError, match=said):
        read(**sections)


def test_words_are_never_of_the_old_form(read):
    with pytest.raises(UserError, match=r"data\.shots'.* not to world"):
        read("--data.shots", "16", data=FLAT)


@pytest.mark.parametrize("section", [None, 3, [1], {"source": ["world"]}, {"source": "wrld"}])
def test_what_is_no_section_is_left_to_be_refused(read, section):
    with pytest.raises(UserError, match="data"):
        read(data=section)


def test_a_choice_that_was_none_is_made_as_it_was():
    method = {"name": "rca", "adapters": {"modules": ["msha"]}}
    kept = saved_recipe({"method": method, "data": FLAT}, METHODS)
    assert kept.method["adapters"]["msha_scale"] == "own"
    assert kept.data == WorldData()
    now = saved_recipe({"method": method}, METHODS)
    assert now.method["adapters"]["msha_scale"] == "tower"


def test_recipes_that_ship_are_of_the_new_form(caplog):
    files = sorted(Path(trifocal.__file__).parent.rglob("*.yaml"))
    assert len(files) > 35
    for path in files:
        load_recipe(path, (), METHODS)
    assert not caplog.records
