"""What models are called in tables."""

from __future__ import annotations

from trifocal.metrics.result import Result
from trifocal.report.labels import full_names, labels, relabeled

LONG = "/home/somebody/projects/photos/runs"


def test_the_base_is_called_base():
    assert labels(["ViT-B-32:openai", "runs/a"], "ViT-B-32:openai") == {
        "ViT-B-32:openai": "base",
        "runs/a": "runs/a",
    }
    assert labels(["base", "b"], "b") == {"base": "base", "b": "b"}  # no two alike


def test_long_paths_are_told_by_the_end_that_tells_them_apart():
    assert labels([f"{LONG}/mine"]) == {f"{LONG}/mine": "…/mine"}
    assert list(labels([f"{LONG}/x/mine", f"{LONG}/y/mine"]).values()) == ["…/x/mine", "…/y/mine"]
    assert labels([f"{LONG}/mine/model.safetensors"]).popitem()[1] == "…/mine/model.safetensors"
    assert labels([f"{LONG}/mine@0.5"]).popitem()[1] == "…/mine@0.5"
    name = "a-name-without-any-slash-that-is-long"
    assert labels([name]) == {name: name}


def test_no_two_are_alike():
    names = [f"{LONG}/mine", f"/other{LONG}/mine", "…/mine", "mine"]
    assert len(set(labels(names).values())) == len(names)


def test_rows_and_full_names():
    shown = labels([f"{LONG}/mine"])
    (row,) = relabeled([Result("b", "t", "acc", 0.5, 10, model=f"{LONG}/mine")], shown)
    assert row.model == "…/mine"
    assert full_names(shown) == [("…/mine", f"{LONG}/mine")]
