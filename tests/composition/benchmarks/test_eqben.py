"""EqBen: sets by the path of a picture, kubric's mean inside the mean, arrays of YouCook2."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.composition.benchmarks.color_model import COLORS, ColorModel, paint
from trifocal.composition.benchmarks.eqben import EqBen
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

FILE = "eqben_subset_10percent_final.json"
WON = {  # which of the sets are won
    "ag": True,
    "gebc": True,
    "sd": False,
    "kubric_loc": True,
    "kubric_attr": False,
    "kubric_cnt": False,
    "youcook2": True,
}


@pytest.fixture
def root(tmp_path):
    entries = []
    for name, won in WON.items():
        suffix = ".npy" if name == "youcook2" else ".png"
        paths = [f"eqben{name}/video/{color}{suffix}" for color in ("red", "blue")]
        texts = ("red", "blue") if won else ("blue", "red")
        entries.append(
            {"image0": paths[0], "image1": paths[1], "caption0": texts[0], "caption1": [texts[1]]}
        )
        folder = tmp_path / "image_subset" / f"eqben{name}" / "video"
        if name == "sd":
            paint(folder, "red", "blue", suffix=".jpg")  # the light version
        elif name == "youcook2":
            folder.mkdir(parents=True)
            for color in ("red", "blue"):
                array = np.full((8, 8, 3), COLORS[color][::-1], dtype=np.uint8)
                np.save(folder / f"{color}.npy", array)
        else:
            paint(folder, "red", "blue")
    (tmp_path / FILE).write_text(json.dumps(entries))
    return tmp_path


def test_group_and_its_mean(root):
    benchmark = EqBen()
    assert benchmark.check(root) == []
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    for name, won in WON.items():
        assert find(rows, "eqben", name, "group").value == won
    assert find(rows, "eqben", "kubric", "group").value == pytest.approx(1 / 3)
    mean = find(rows, "eqben", *EqBen.headline)
    assert mean.value == pytest.approx((1 + 1 + 1 + 0 + 1 / 3) / 5)
    assert mean.chance == pytest.approx(1 / 6)
    assert find(rows, "eqben", "all", "group").value == pytest.approx(4 / 7)


@pytest.mark.parametrize(
    "entry",
    [
        {"image0": "elsewhere/a.png", "image1": "b.png", "caption0": "a", "caption1": "b"},
        {"image0": "eqbenag/a.png", "image1": "eqbenag/b.png", "caption0": "a", "caption1": []},
        "a line",
    ],
)
def test_another_file_is_refused(tmp_path, entry):
    (tmp_path / FILE).write_text(json.dumps([entry]))
    with pytest.raises(UserError, match="is not EqBen's annotation of the tenth: entry 0 must"):
        EqBen().check(tmp_path)
