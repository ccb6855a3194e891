"""What a recipe states has an effect, or that is said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from trifocal.config import to_yaml
from trifocal.recipes import find_recipe, shipped_recipes
from trifocal.train.build import METHODS, read_recipe
from trifocal.train.recipe import load_recipe

OLD = REPOSITORY / "tests" / "fixtures" / "v0_1"


def told(path: Path, caplog: pytest.LogCaptureFixture, *words: str) -> list[str]:
    """Return what is said of fields without effect."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        read_recipe(path, words)
    return [message for message in caplog.messages if "no effect" in message]


@pytest.mark.parametrize(
    ("recipe", "field"),
    [
        ("{negatives: {parser: spacy}}", "negatives.parser"),
        ("{method: negclip, negatives: {cache: x}}", ""),
        ("{method: {name: negclip, negatives: [table]}, negatives: {cache: x}}", "negatives.cache"),
        (
            "{method: {name: negclip, negatives: [swap]}, negatives: {replace_counts: published}}",
            "negatives.replace_counts",
        ),
        ("{method: {name: fsc_clip, local_weight: 0, weighting: softmax}}", "method.weighting"),
        (
            "{method: {name: fsc_clip, local_weight: 0, global_weight: 0, gamma: 3}}",
            "method.gamma",
        ),
        ("{method: {name: fsc_clip, lora: {rank: 8}}}", "method.lora.rank"),
        ("{method: {name: fsc_clip, tuning: lora, lora: {rank: 8}}}", ""),
        ("{method: {name: fsc_clip, tuning: lora}, max_logit_scale: 3}", "max_logit_scale"),
        ("{schedule: {steps: 9, epochs: 3}}", "schedule.epochs"),
        ("{schedule: {warmup_epochs: 1, warmup_steps: 9}}", "schedule.warmup_steps"),
        ("{schedule: {warmup_steps: 0, warmup_lr: 1e-5}}", "schedule.warmup_lr"),
        ("{model: {name: ViT-B-32:openai, shape: {}}}", "model.name"),
        ("{eval_every: 5}", "eval_every"),
        ("{monitor: world/x}", "monitor"),
        ("{evaluation: [world], monitor_mode: min}", "monitor_mode"),
        ("{batch_size: 8, gradient_cache: 8}", "gradient_cache"),
        ("{data: {source: world, crop: null}}", "data.crop"),
        ("{data: {source: world, single_share: 1, things: 3}}", "data.things"),
        (
            "{data: {source: shards, path: x, texts: y, caption_column: z}}",
            "data.caption_column",
        ),
        ("{data: {source: few-shot, path: x, missing: skip}, method: coop}", "data.missing"),
        ("{method: {name: coop, words: a photo, tokens: 4}}", "method.tokens"),
        ("{method: {name: rca, trains: strict_frozen, edge_lr: 1}}", "method.edge_lr"),
        (
            "{method: {name: rca, adapters: {modules: [mlp], map_start: near_zero}}}",
            "method.adapters.map_start",
        ),
        ("{method: {name: negclip, teacher: {table: t, weight: 0}}}", "method.teacher.table,"),
        ("{method: {name: negclip, teacher: {table: t, sharpness: 9}}}", ""),
        ("{method: {name: negclip, prompts: {table: t, share: 0}}}", "method.prompts.table,"),
        ("{method: labclip, schedule: {text_from: 9}}", "schedule.text_from"),
        (
            "{method: {name: negclip, tuning: lora, lora: {towers: [vision]}}, "
            "schedule: {text_from: 9}}",
            "schedule.text_from",
        ),
        ("{method: {name: negclip, tuning: text}, schedule: {text_from: 9}}", ""),
        (
            "{method: {name: negclip, tuning: text}, embeddings: {texts_gb: 9}}",
            "embeddings.texts_gb",
        ),
        ("{method: labclip, embeddings: {texts_gb: 9}}", ""),
        (
            "{method: {name: negclip, tuning: text}, embeddings: {patches: float16}}",
            "embeddings.patches",
        ),
        ("{method: {name: fsc_clip, tuning: text}, embeddings: {patches: float16}}", ""),
        (
            "{method: {name: negclip, tuning: lora, lora: {towers: [vision]}}, "
            "embeddings: {views: 2}}",
            "embeddings.views",
        ),
        (
            "{data: {source: captions, path: x, crop: null}, method: labclip, "
            "embeddings: {seed: 2}}",
            "embeddings.seed",
        ),
        ("{method: {name: rca, loss: clue, stacked: true}}", "method.stacked"),
        (
            "{method: {name: rca, augmentation: {operations: 0, level: 3}}}",
            "method.augmentation.level",
        ),
    ],
)
def test_a_field_without_effect_is_said(
    recipe: str, field: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe)
    said = told(path, caplog)
    assert [message.split()[0] for message in said] == ([field] if field else [])


def test_what_was_typed_counts_as_stated_even_where_it_is_the_default(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "recipe.yaml"
    path.write_text("{schedule: {steps: 9, epochs: 5}}")
    assert not told(path, caplog)
    assert told(path, caplog, "--schedule.epochs", "5") == [
        "schedule.epochs has no effect, since schedule.steps says how long the run is"
    ]


@pytest.mark.parametrize("name", shipped_recipes())
def test_no_recipe_of_ours_says_anything_in_vain_nor_when_a_run_has_saved_it(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    assert not told(Path(find_recipe(name)), caplog)
    saved = tmp_path / "recipe.yaml"
    saved.write_text(to_yaml(load_recipe(find_recipe(name), (), METHODS)))
    assert not told(saved, caplog)


@pytest.mark.parametrize(
    "path", sorted(OLD.rglob("recipe.yaml")), ids=lambda path: path.parent.name
)
def test_recipes_of_old_runs_load_without_complaints(path: Path, caplog: pytest.LogCaptureFixture):
    assert not told(path, caplog)
