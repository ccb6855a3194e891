"""ColorSwap in both forms of its data."""

from __future__ import annotations

import json

import pytest

from tests.composition.benchmarks.by_hand import picture, write_table
from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.colorswap import ColorSwap
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

TEXTS = [("a red cup", "a blue cup"), ("red on blue", "blue on red")]


def check(root):
    benchmark = ColorSwap()
    assert benchmark.check(root) == []
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert {(row.task, row.metric) for row in rows} == {
        ("all", "text"),
        ("all", "image"),
        ("all", "group"),
    }
    group = find(rows, "colorswap", *ColorSwap.headline)
    assert (group.value, group.n, group.chance) == (0.5, 2, pytest.approx(1 / 6))
    assert find(rows, "colorswap", "all", "text").ties == 1  # a bag of words tells nothing


@pytest.mark.parametrize("folder", ["", "data"])
def test_authors_files(tmp_path, folder):
    root = tmp_path / folder
    root.mkdir(exist_ok=True)
    entries = [
        {
            "id": number,
            "caption_1": first,
            "caption_2": second,
            "image_1": f"images/img_{number}_red.png",
            "image_2": f"images/img_{number}_blue.png",
        }
        for number, (first, second) in enumerate(TEXTS)
    ]
    (root / "test.json").write_text(json.dumps(entries))
    paint(root / "images", *(f"img_{n}_{color}" for n in range(2) for color in ("red", "blue")))
    check(tmp_path)


def test_table_of_the_hub(tmp_path):
    columns = {
        "id": [0, 1],
        "caption_1": [first for first, _ in TEXTS],
        "caption_2": [second for _, second in TEXTS],
        "image_1": [picture("red")] * 2,
        "image_2": [picture("blue")] * 2,
    }
    write_table(tmp_path / "default" / "test" / "0000.parquet", columns)
    check(tmp_path)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "test.json").write_text('[{"caption_1": "a"}]')
    with pytest.raises(UserError, match=r"test\.json is not a ColorSwap file: entry 0 must have"):
        ColorSwap().check(tmp_path)
