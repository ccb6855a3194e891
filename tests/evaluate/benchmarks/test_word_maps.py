"""Maps of words against the boxes of photos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from trifocal.errors import UserError
from trifocal.evaluate.benchmarks import word_maps
from trifocal.evaluate.benchmarks.word_maps import WordMaps
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.metrics.maps import inside
from trifocal.metrics.result import Result

CATEGORIES = ["bus", "cat", "cup", "dog"]
LEFT, RIGHT, SMALL = [0, 0, 50, 100], [50, 0, 50, 100], [0, 0, 5, 5]
# Per photo: category, box and crowd. A small cup alone is not asked for, nor is it the control.
PHOTOS = {
    "a": [(1, LEFT, 0), (3, RIGHT, 0), (2, SMALL, 0)],
    "b": [(1, RIGHT, 0), (1, SMALL, 0)],
    "c": [(2, SMALL, 0)],
    "d": [(3, LEFT, 0), (3, RIGHT, 1)],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = []
    for name, things in PHOTOS.items():
        Image.new("RGB", (100, 100)).save(tmp_path / f"{name}.png")
        boxes = [{"category_id": c, "bbox": box, "iscrowd": crowd} for c, box, crowd in things]
        images.append({"file_name": f"{name}.png", "width": 100, "height": 100, "boxes": boxes})
    categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)]
    content = {"images": images, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def by_task(rows: list[Result], metric: str) -> dict[str, float]:
    return {row.task: row.value for row in rows if row.metric == metric}


def test_what_is_asked(root: Path) -> None:
    items = WordMaps().items(root)
    assert [photo.words for photo in items.photos] == [("cat", "dog"), ("cat",), ("dog",)]
    assert [photo.others for photo in items.photos] == [("bus", "bus"), ("cup",), ("bus",)]
    assert items.photos[0].boxes == (((0, 0, 0.5, 1),), ((0.5, 0, 1, 1),))
    assert len(items.photos[1].boxes[0]) == 2  # the small one is a cat as well
    assert len(items) == 4
    assert len(WordMaps(limit=1).items(root)) == 2
    with pytest.raises(UserError, match="lower least_area"):
        WordMaps(least_area=0.9).items(root)
    assert BENCHMARKS["word_maps"] is WordMaps


def test_maps_that_know_are_right_and_controls_are_at_chance(root, tiny_clip, monkeypatch) -> None:
    items = WordMaps().items(root)

    def known(clip, photos, texts, unreadable):
        for photo in photos:
            right = torch.stack([inside(boxes, 4, 4).float() for boxes in photo.boxes])
            yield photo, {"dense": right, "plain": -right, "other word": 0 * right, "center": right}

    monkeypatch.setattr(word_maps, "_maps", known)
    rows = WordMaps().score(tiny_clip, items)
    # The photo full of dogs asks nothing.
    assert {row.n for row in rows} == {2}
    assert by_task(rows, "box_auc") == {"dense": 1, "plain": 0, "other word": 0.5, "center": 1}
    assert by_task(rows, "pointing") == {"dense": 1, "plain": 0, "other word": 0.5, "center": 1}
    assert {row.chance for row in rows} == {0.5}
    assert all(row.marks is not None and len(row.marks) == 2 for row in rows)


def test_a_model_is_scored_and_broken_photos_are_left_out(root: Path, tiny_clip) -> None:
    (root / "b.png").write_bytes(b"no picture")
    items = WordMaps().items(root)
    with pytest.raises(UserError, match="most_left_out"):
        WordMaps().score(tiny_clip, items)
    rows = WordMaps(most_left_out=0.5, batch_size=2).score(tiny_clip, items)
    assert {row.n for row in rows} == {1}
    assert len(rows) == 8
    assert all(0 <= row.value <= 1 for row in rows)
    assert "1 of 3 pictures cannot be read" in rows[0].protocol
    whole = WordMaps(most_left_out=0.5).score(tiny_clip, items)
    assert [row.value for row in whole] == pytest.approx([row.value for row in rows], abs=1e-5)


def test_what_has_no_towers_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="no towers to look into"):
        WordMaps().score(object(), WordMaps().items(root))
