"""The tests on the drawn world."""

from __future__ import annotations

import pytest
import torch

from trifocal.evaluate.benchmarks.world import World, world_suite
from trifocal.evaluate.summary import summarize
from trifocal.metrics.result import Result
from trifocal.world import composition_items, draw, make_scene, to_tensor, zero_shot_task

SMALL = {"classification": 40, "retrieval": 25, "composition": 6}


def test_rows_are_labeled_as_the_worlds(tiny_clip):
    rows = world_suite(tiny_clip, **SMALL)
    assert {row.benchmark for row in rows} == {
        "world/kinds",
        "world/colors",
        "world/retrieval",
        "world/composition",
    }
    assert {row.seed for row in rows} == {0}
    assert {row.model for row in rows} == {"tiny-0"}
    assert {row.model for row in world_suite(tiny_clip, name="x", **SMALL)} == {"x"}
    counts = {(row.benchmark, row.task): row.n for row in rows}
    assert counts["world/kinds", "zeroshot_classification"] == 40
    assert counts["world/retrieval", "zeroshot_retrieval"] == 25
    assert counts["world/composition", "swap_obj"] == 6
    assert counts["world/composition", "mean"] == 42


def test_scores_equal_a_loop_over_scenes(tiny_clip):
    rows = {
        (row.benchmark, row.task, row.metric): row.value for row in world_suite(tiny_clip, **SMALL)
    }

    def image(scene):
        with torch.no_grad():
            return tiny_clip.encode_image(to_tensor(draw(scene, (32, 32)))[None]).pooled[0]

    def text(sentence):
        with torch.no_grad():
            return tiny_clip.encode_text([sentence]).pooled[0]

    right = []
    for item in composition_items("swap_att", 6):
        picture = image(make_scene(0, item.scene, "test"))
        right.append(bool(picture @ text(item.caption) > picture @ text(item.negative_caption)))
    assert rows["world/composition", "swap_att", "acc"] == pytest.approx(sum(right) / 6)

    task = zero_shot_task("colors", 40)
    classes = []
    for label in range(len(task.classnames)):
        mean = torch.stack([text(prompt) for prompt in task.prompts(label)]).mean(0)
        classes.append(mean / mean.norm())
    guesses = [int((torch.stack(classes) @ image(task.scene(i))).argmax()) for i in range(40)]
    hits = [guess == item.label for guess, item in zip(guesses, task.items, strict=True)]
    assert rows["world/colors", "zeroshot_classification", "acc1"] == pytest.approx(sum(hits) / 40)


def test_same_seed_same_rows_another_seed_other_questions(tiny_clip):
    assert World(**SMALL).items() == World(**SMALL).items()
    assert World(**SMALL).items() != World(seed=1, **SMALL).items()
    assert World(**SMALL).items() != World(split="val", **SMALL).items()


def test_other_tasks_can_be_classified(tiny_clip):
    rows = world_suite(tiny_clip, tasks=("places", "sizes"), **SMALL)
    assert {"world/places", "world/sizes"} <= {row.benchmark for row in rows}


def test_each_picture_is_encoded_once(tiny_clip, monkeypatch):
    count = 0
    encode = type(tiny_clip).image_features

    def counted(self, pixels, **options):
        nonlocal count
        count += len(pixels)
        return encode(self, pixels, **options)

    monkeypatch.setattr(type(tiny_clip), "image_features", counted)
    world = World(**SMALL)
    items = world.items()
    world.score(tiny_clip, items)
    assert count == len(items.singles) + len(items.scenes)
    assert len(items.singles) == 40  # shared by kinds and colors


def test_summary_of_the_world(tiny_clip):
    rows = world_suite(tiny_clip, **SMALL)
    summary = summarize(rows)
    by_key = {row.key: row.value for row in rows}
    kinds, colors = (
        by_key[f"world/{part}", "zeroshot_classification", "acc1"] for part in ("kinds", "colors")
    )
    assert summary["zero_shot"] == pytest.approx((kinds + colors) / 2)
    assert summary["composition"] == by_key["world/composition", "mean", "acc"]
    assert summary["retrieval"] == pytest.approx((summary["i2t"] + summary["t2i"]) / 2)


def test_summary_leaves_out_what_was_not_measured():
    assert summarize([Result("b", "swap", "acc", 0.5, 1)]) == {}
    rows = [Result("b", "zeroshot_retrieval", "text_retrieval_recall@1", 0.5, 1)]
    assert summarize(rows) == {"i2t": 0.5}
