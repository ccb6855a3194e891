"""ImageCoDe: counts of the published file, and which picture of a set a number means."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from tests.composition.benchmarks.published import unpack
from trifocal.composition.benchmarks.imagecode import ImageCode
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

STATIC, VIDEO = "open-images-1_a", "video-b-shot1_2"


@pytest.fixture
def root(tmp_path):
    # Frame 9 is red and frame 12 green; by number, not by name, they are the pictures 1 and 3.
    frames = [2, 9, 11, 12, 20, 21, 22, 23, 24, 100]
    for name in (STATIC, VIDEO):
        folder = tmp_path / "image-sets" / name
        for frame in frames:
            color = {9: "red", 12: "green"}.get(frame, "blue")
            paint(folder, color, suffix=".jpg")
            (folder / f"{color}.jpg").rename(folder / f"img{frame}.jpg")
    content = {STATIC: {"1": " a red one ", "3": "green"}, VIDEO: {"1": "red", "0": "blue"}}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/valid_data.json").write_text(json.dumps(content))
    return tmp_path


def test_recall_at_one(root):
    benchmark = ImageCode()
    items = benchmark.items(root)
    assert items.items[0].texts == ("a red one",)
    rows = benchmark.score(ColorModel(), items)
    assert find(rows, "imagecode", "static", "R@1").value == 1
    every = find(rows, "imagecode", *ImageCode.headline)
    assert every.value == pytest.approx(3 / 4)
    assert (every.n, every.ties, every.chance) == (4, 1, pytest.approx(1 / 10))  # all blue ones tie
    assert every.blind is None


def test_a_set_without_a_picture_is_not_asked(root):
    (root / f"image-sets/{STATIC}/img100.jpg").unlink()
    with pytest.raises(UserError, match=r"img\*\.jpg, 10 pictures is missing: get image-sets\.zip"):
        ImageCode().items(root)
    assert [one.part for one in ImageCode(available_only=True).items(root).items] == ["video"] * 2


@pytest.mark.parametrize(
    "content", ['{"a": {"10": "red"}}', '{"a": {"0": 3}}', '{"a": []}', "[]", "{"]
)
def test_a_malformed_file_is_refused(root, content):
    (root / "data/valid_data.json").write_text(content)
    with pytest.raises(UserError, match="is not ImageCoDe's validation file"):
        ImageCode().items(root)


def test_published_file(real_data, tmp_path):
    every = ImageCode().read(unpack(real_data, "imagecode", tmp_path))
    assert Counter(one.part for one in every) == {"video": 1872, "static": 430}
    sets = {one.id.rpartition("/")[0]: one.part for one in every}
    assert Counter(sets.values()) == {"video": 884, "static": 155}
