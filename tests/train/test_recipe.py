"""Recipes from files and words."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import get_args

import pytest

from trifocal import config
from trifocal.concepts.few_shot_data import FewShotData
from trifocal.data.section import DataSection
from trifocal.errors import UserError
from trifocal.train.embeddings import EmbeddingsRecipe
from trifocal.train.optimizer import Optimizer, SgdConfig
from trifocal.train.recipe import HARMLESS, Recipe, load_recipe, resolve_method
from trifocal.train.sources import Data


@dataclass(frozen=True)
class PlainConfig:
    tuning: str = "full"


@dataclass(frozen=True)
class FancyConfig:
    tuning: str = "full"
    weight: float = 0.5
    kinds: tuple[str, ...] = ("swap",)


METHODS = {"plain": (PlainConfig, object), "fancy": (FancyConfig, dict)}


def test_defaults_are_the_papers():
    recipe = Recipe()
    assert recipe.optimizer.betas == (0.9, 0.98)
    assert recipe.optimizer.eps == 1e-6
    assert recipe.optimizer.weight_decay == 0.1
    assert recipe.schedule.warmup_steps == 50
    assert recipe.schedule.epochs == 5
    assert recipe.max_logit_scale == math.log(100)
    assert recipe.data.crop == (0.9, 1.0)
    assert recipe.data.bad_image_share == 0.05


def test_file_then_words(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: try\nmethod: {name: fancy, weight: 1}\noptimizer: {lr: 1e-4}\n"
        "model: {shape: {image_size: 48, patch_size: 8, vision_width: 64, text_width: 64}}\n"
    )
    words = ["--optimizer.lr", "1e-5", "--schedule.steps=7", "--method.kinds", "[a, b]"]
    recipe = load_recipe(path, words, METHODS)
    assert (recipe.name, recipe.optimizer.lr, recipe.schedule.steps) == ("try", 1e-5, 7)
    assert recipe.method == {"name": "fancy", "tuning": "full", "weight": 1.0, "kinds": ["a", "b"]}
    assert recipe.model.shape is not None
    assert recipe.model.shape.patch_size == 8
    assert recipe.folder == "runs/try"
    made, cls = resolve_method(recipe, METHODS)
    assert made == FancyConfig(weight=1.0, kinds=("a", "b"))
    assert cls is dict


def test_printed_recipe_reads_back_as_the_same(tmp_path):
    recipe = load_recipe(None, ["--method", "fancy", "--data.crop", "null"], METHODS)
    (tmp_path / "r.yaml").write_text(config.to_yaml(recipe))
    assert load_recipe(tmp_path / "r.yaml", (), METHODS) == recipe


def test_another_method_keeps_the_options_that_it_has_too(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("method: {name: fancy, weight: 1, tuning: lora}\n")
    recipe = load_recipe(path, ["--method", "plain"], METHODS)
    assert recipe.method == {"name": "plain", "tuning": "lora"}
    with pytest.raises(UserError, match=r"unknown key 'method.weight'"):
        load_recipe(path, ["--method", "plain", "--method.weight", "2"], METHODS)
    assert load_recipe(path, ["--method", "fancy"], METHODS).method["weight"] == 1.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizer.l", "1"], r"unknown key 'optimizer.l'\. Did you mean 'optimizer.lr'|'lr'"),
        (["--batchsize", "1"], r"unknown key 'batchsize'\. Did you mean 'batch_size'"),
        (["--lr", "1"], r"unknown key 'lr'\. Did you mean 'optimizer.lr'"),
        (["--method", "fency"], r"unknown method 'fency'\. Did you mean 'fancy'"),
        (["--method", "fancy", "--method.wieght", "1"], "Did you mean 'method.weight'"),
        (["--method", "fancy", "--method.weight", "x"], "method.weight is 'x', but needs a number"),
        (["--batch_size", "0"], "batch_size is 0, but must be at least 1"),
        (["--optimizer.lr=-1"], "optimizer.lr is -1.0, but must be at least 0"),
        (["--schedule.steps", "0"], "schedule.steps is 0, but must be at least 1"),
        (["--precision", "fp8"], "precision is 'fp8'; it must be one of 'auto', 'fp32'"),
        (["--name", "../x"], "it names a folder"),
        (["--data.crop", "[0.5, 2]"], "data.crop is"),
        (["--data.source", "captions"], "set data.path"),
        (["--data.source", "few-shot"], "set data.path"),
        (
            ["--data.source", "world-few-shot", "--data.shots", "0"],
            "data.shots is 0, but must be at least 1",
        ),
        (["--schedule.final_lr=-1"], "schedule.final_lr is -1.0, but must be at least 0"),
    ],
)
def test_slips(words, message):
    with pytest.raises(UserError, match=message) as caught:
        load_recipe(None, words, METHODS)
    assert "\n" not in str(caught.value)


def test_harmless_keys_exist():
    plain = config.plain(Recipe(embeddings=EmbeddingsRecipe()))
    for key in HARMLESS:
        section, _, field = key.partition(".")
        if section == "data":
            assert any(field in config.fields_of(kind) for kind in get_args(Data)), key
        else:
            value = plain[section]
            assert not field or field in value, key


FOREIGN = [
    (["--data.shots", "4"], "'data.shots': it belongs to few-shot and world-few-shot"),
    (["--data.wording", "web"], "'data.wording': it belongs to world, not to captions"),
    (["--data.vg", "/nowhere"], "'data.vg': it belongs to sherlock, not to captions"),
    (["--data.size", "9"], "'data.size': it belongs to world and world-abduction and "),
    (["--optimizer.momentum", "0.5"], "'optimizer.momentum': it belongs to sgd, not to adamw"),
    (["--data.crp", "null"], "'data.crp'. Did you mean 'data.crop'?"),
]


@pytest.mark.parametrize(("words", "said"), FOREIGN)
def test_fields_of_another_source_are_refused(words, said):
    source = ["--data.source", "captions", "--data.path", "x.csv"]
    with pytest.raises(UserError, match="unknown key " + re.escape(said)) as caught:
        load_recipe(None, [*source, *words], METHODS)
    assert "\n" not in str(caught.value)


def test_each_source_has_the_fields_that_it_uses():
    fields = {kind.__name__: set(config.fields_of(kind)) for kind in get_args(Data)}
    everywhere = set(config.fields_of(DataSection))
    assert set.intersection(*fields.values()) == everywhere >= {"source", "bad_image_share"}
    assert "crop" not in fields["SherlockData"]
    assert "mirror" in fields["ShardData"]
    own = {"crop", "shots", "seed", "split"}
    assert fields["WorldFewShotData"] - everywhere == own


def test_another_source_keeps_the_fields_that_it_has_too(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "data: {source: world-few-shot, shots: 4, seed: 3, split: val, crop: [0.5, 1]}\n"
        "optimizer: {lr: 1e-3, eps: 1e-8, weight_decay: 0}\n"
    )
    words = ["--data.source", "few-shot", "--data.path", "x", "--optimizer.name", "sgd"]
    recipe = load_recipe(path, words)
    assert recipe.data == FewShotData(path="x", shots=4, seed=3, crop=(0.5, 1.0))
    assert recipe.optimizer == SgdConfig(lr=1e-3, weight_decay=0.0)
    same = load_recipe(path, ["--data.source", "world-few-shot", "--optimizer", "adamw"])
    assert (same.data.split, same.optimizer.eps) == ("val", 1e-8)
    short = load_recipe(path, ["--optimizer", "sgd", "--optimizer.momentum", "0"])
    assert short.optimizer == SgdConfig(lr=1e-3, weight_decay=0.0, momentum=0.0)


def test_a_slip_in_the_file_is_not_lost_by_another_source(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("data: {source: world, sizee: 4}\n")
    with pytest.raises(UserError, match=r"unknown key 'data\.sizee'"):
        load_recipe(path, ["--data.source", "captions", "--data.path", "x"])


@pytest.mark.parametrize("kind", [*get_args(Data), *get_args(Optimizer)])
def test_every_kind_reads_back_as_the_same(kind, tmp_path):
    needed = {"path": "x"} if "path" in config.fields_of(kind) else {}
    made = kind(**needed)
    recipe = Recipe(data=made) if kind in get_args(Data) else Recipe(optimizer=made)
    (tmp_path / "r.yaml").write_text(config.to_yaml(recipe))
    assert load_recipe(tmp_path / "r.yaml") == recipe
