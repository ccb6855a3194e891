"""Fitted heads on disk: the same logits again, nothing pickled, and what is said of bad folders."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from trifocal.clip.trained_on import TrainedOn
from trifocal.concepts.head import Head
from trifocal.concepts.head_files import (
    FACTS,
    SUPPORT,
    TENSORS,
    THUMBNAIL,
    Backbone,
    SavedHead,
    check_free,
    kept_images,
    load_head,
    make_head,
    save_head,
    thumbnail,
)
from trifocal.concepts.registry import HEADS as REAL
from trifocal.concepts.support import Support, unit
from trifocal.errors import UserError

WIDTH, CLASSES, SHOTS = 16, 3, 4
LABELS = tuple(label for label in range(CLASSES) for _ in range(SHOTS))


@dataclass(eq=False)
class Means(Head):
    """Nearest class mean, with what a state may hold."""

    power: float = 1.0
    grid: tuple[float, ...] = (1.0, 2.0)

    def _fit(self, data: Support) -> None:
        sums = data.onehot.T @ data.features
        self.means_ = unit(sums)
        self.view_ = self.means_[1:]  # shares memory
        self.power_, self.diagnostics_ = self.power, {"empty_classes": 0, "used": 1.0}

    def _logits(self, features: Tensor) -> Tensor:
        return self.scale * unit(features) @ self.means_.T * self.power_


HEADS: dict[str, Any] = {"means": Means, **REAL}


def features(seed: int = 0, count: int = len(LABELS)) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def fitted(method: str, **params: Any) -> Head:
    head = make_head(HEADS, method, params)
    given: dict[str, Any] = {"class_text": features(1, CLASSES)}
    if head.wants_concepts:
        given["concept_text"] = features(4, 9)
    if head.wants_projection:
        given["projection"], given["class_text"] = features(3, WIDTH)[:, :8], features(1, 3)[:, :8]
    return head.fit(features(), LABELS, **given)


def saved(method: str = "means", **params: Any) -> SavedHead:
    return SavedHead(
        method=method,
        head=fitted(method, **params),
        folders=("a_b", "c", "d"),
        classes=("a b", "c", "d"),
        templates=("a photo of a {}.",),
        concepts=("red", "œuvre"),
        images=tuple(f"{label}/{n}.jpg" for n, label in enumerate(LABELS)),
        keys=tuple(f"{n:016x}" for n in range(len(LABELS))),
        labels=LABELS,
        backbone=Backbone("builtin", "0" * 64, {"as": "pictures"}),
        drawn={"shots": None, "views": 10},
        metrics={"acc1": 0.5, "n": 4},
        note="a note",
    )


@pytest.mark.parametrize("method", HEADS)
def test_logits_are_the_same_bit_for_bit(method: str, tmp_path: Path) -> None:
    before = saved(method)
    save_head(tmp_path / "m", before, {})
    after = load_head(tmp_path / "m", HEADS)
    asked = features(2, 7)
    assert torch.equal(after.head.logits(asked), before.head.logits(asked))
    assert after.head.explain(asked) == before.head.explain(asked)
    assert after.head.get_params() == before.head.get_params()
    assert replace(after, head=before.head, folder=None) == before


@pytest.mark.parametrize("method", HEADS)
def test_what_it_was_trained_on_is_kept(method: str, tmp_path: Path) -> None:
    known = TrainedOn.of([bytes(range(8)), bytes(8)])
    save_head(tmp_path / "m", replace(saved(method), trained_on=known), {})
    assert load_head(tmp_path / "m", HEADS).trained_on == known


def test_same_fit_writes_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_head(tmp_path / name, saved(), {0: Image.new("RGB", (96, 96), "red")})
    for name in (FACTS, TENSORS, f"{SUPPORT}/00000.webp"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_parameters_and_plain_values_come_back(tmp_path: Path) -> None:
    save_head(tmp_path / "m", saved(power=0.1 + 0.2, grid=[3.0]), {})
    head = load_head(tmp_path / "m", HEADS).head
    assert isinstance(head, Means)
    assert (head.power, head.grid, head.power_) == (0.1 + 0.2, (3.0,), 0.1 + 0.2)
    assert head.diagnostics_ == {"empty_classes": 0, "used": 1.0}


def test_support_images_are_kept_small(tmp_path: Path) -> None:
    picture = Image.new("RGB", (300, 100), "blue")
    picture.paste("red", (100, 0, 200, 100))
    save_head(tmp_path / "m", saved(), {2: thumbnail(picture)})
    after = load_head(tmp_path / "m", HEADS)
    small = after.thumbnail(2)
    assert small is not None
    assert small.size == (THUMBNAIL, THUMBNAIL)
    red, _, blue = small.getpixel((48, 48))  # type: ignore[misc]
    assert red > 200 > 60 > blue
    assert after.thumbnail(1) is None
    assert saved().thumbnail(2) is None


def test_many_support_images_are_kept_in_part() -> None:
    assert kept_images(LABELS) == list(range(12))
    assert kept_images(LABELS, most=7) == [0, 1, 4, 5, 8, 9]
    assert kept_images(LABELS, most=1) == [0, 4, 8]


def test_an_older_head_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    save_head(tmp_path / "m", saved(), {})
    with pytest.raises(UserError, match="already has content, a classifier; force=True"):
        save_head(tmp_path / "m", saved("zero-shot"), {})
    save_head(tmp_path / "m", saved("zero-shot"), {}, force=True)
    assert load_head(tmp_path / "m", HEADS).method == "zero-shot"
    (tmp_path / "m" / "holiday.jpg").write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("m", "photos", "file"):
        with pytest.raises(UserError, match="choose another folder"):
            save_head(tmp_path / name, saved(), {}, force=True)
    assert (tmp_path / "photos" / "a.jpg").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    check_free(tmp_path / "empty")
    check_free(tmp_path / "new")


def test_unknown_methods_and_parameters() -> None:
    with pytest.raises(UserError, match="Did you mean 'tip-adapter'"):
        make_head(HEADS, "tip-adaptor")
    with pytest.raises(UserError, match=r"unknown key 'powr'.*Did you mean 'power'"):
        make_head(HEADS, "means", {"powr": 2})
    with pytest.raises(UserError, match="power is 'much', but needs a number"):
        make_head(HEADS, "means", {"power": "much"})


def damaged(folder: Path, facts: Any = None, text: str | None = None, cut: bool = False) -> Path:
    save_head(folder, saved(), {})
    if facts is not None:
        content = {**json.loads((folder / FACTS).read_text()), **facts}
        (folder / FACTS).write_text(json.dumps({k: v for k, v in content.items() if v != "gone"}))
    if text is not None:
        (folder / FACTS).write_text(text)
    if cut:
        (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-20])
    return folder


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ({"text": "{"}, "head.json is damaged"),
        ({"text": "[]"}, "head.json is damaged"),
        ({"facts": {"format": 99}}, "a later version wrote it"),
        ({"facts": {"templtes": []}}, "unknown key 'templtes'. Did you mean 'templates'"),
        ({"facts": {"classes": "gone"}}, "head.json is damaged"),
        ({"facts": {"support": [3]}}, "head.json is damaged"),
        ({"facts": {"backbone": {"nam": 1}}}, "head.json is damaged"),
        ({"facts": {"method": "ccli-9"}}, "was written by another version: there is no method"),
        ({"facts": {"params": {"beat": 1}}}, "was written by another version: unknown key"),
        ({"cut": True}, "head.safetensors is damaged"),
    ],
)
def test_damage_is_one_sentence(harm: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        load_head(damaged(tmp_path / "m", **harm), HEADS)
    assert "\n" not in str(caught.value)


def test_folders_that_hold_no_head(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no fitted head"):
        load_head(tmp_path, HEADS)
    with pytest.raises(UserError, match="is no folder"):
        load_head(tmp_path / "nowhere", HEADS)


# --- heads of version 0.1.0, when CCLI and the concept map were one class ---------------------

OLD = Path(__file__).parents[1] / "fixtures" / "v0_1" / "heads"


@pytest.mark.parametrize(
    ("folder", "changes", "method", "told"),
    [
        ("ccli", {}, "concept-map", {"visual": "reconstruct", "debias": True}),
        ("ccli", {"head": "map", "profile": "paper"}, "concept-map", {"debias": False}),
        ("ccli-text", {}, "concept-map-text", {"visual": "text"}),
        ("ccli-raw", {}, "concept-map-raw", {"visual": "raw"}),
        ("ccli-full", {}, "ccli", {"head": "full", "visual": "mean", "text_residual": True}),
        ("ccli-full", {"head": None, "profile": "paper"}, "ccli", {"column_mass": False}),
        ("ccli-full", {"profile": "paper", "debias": True}, "ccli", {"debias": True}),
        ("ccli-tf", {"beta": 3.0}, "ccli-tf", {"head": "tf", "beta": 3.0}),
        ("ccli-linear", {}, "ccli-linear", {"head": "linear", "column_mass": True}),
    ],
)
def test_one_class_of_before_is_one_of_two(
    folder: str, changes: dict[str, Any], method: str, told: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(OLD / folder, tmp_path / "m")
    facts = json.loads((tmp_path / "m" / FACTS).read_text())
    facts["params"] |= changes
    (tmp_path / "m" / FACTS).write_text(json.dumps(facts))
    read = load_head(tmp_path / "m", REAL)
    assert read.method == method
    params = read.head.get_params()
    assert {name: params[name] for name in told} == told
    # Saved and read again it is the same.
    save_head(tmp_path / "again", read, {})
    again = load_head(tmp_path / "again", REAL)
    asked = torch.randn(3, read.head.width_)
    assert torch.equal(again.head.logits(asked), read.head.logits(asked))
    assert again.head.explain(asked) == read.head.explain(asked)
    assert again.method == method
    fresh = REAL[method]().fit(features()[:, :WIDTH], LABELS, features(1, CLASSES), features(4, 9))
    # What was not learned then: Gaussians, and how sure answers may be.
    for then, now in zip(read.head.state(), fresh.state(), strict=True):
        assert then.keys() <= now.keys()
        assert now.keys() - then.keys() <= {"biases_", "known_", "temperature_", "doubt_"}
