"""VALSE: counts of the published files, votes, photos in many places, and three means."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from tests.composition.benchmarks.published import unpack
from trifocal.composition.benchmarks.valse import PARTS, Valse
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

PHOTOS = {
    "existence": ("visual7w", "v7w_red.png"),
    "action-replacement": ("SWiG", "red_1.png"),
    "coreference-hard": ("VisDial_v1.0", "VisualDialog_val2018_red.png"),
    "foil-it": ("FOIL dataset", "COCO_val2014_red.png"),
    "relations": ("coco_2017", "red.png"),
}


def entry(part, foil, votes=3):
    dataset, photo = PHOTOS.get(part, ("coco2017", "red.png"))
    return {
        "dataset": dataset,
        "image_file": photo,
        "caption": "a red cup",
        "foil": foil,
        "mturk": {"caption": votes, "foil": 0, "other": 3 - votes},
    }


@pytest.fixture
def root(tmp_path):
    for part in PARTS:
        listed = {"0": entry(part, "a blue cup"), "1": entry(part, "a blue cup", votes=1)}
        if part.startswith("counting"):
            listed["2"] = entry(part, "a cup of red")  # a tie
        if part == "foil-it":
            listed["2"] = entry(part, "a red red cup")  # another
        (tmp_path / f"{part}.json").write_text(json.dumps(listed))
    paint(tmp_path / "visual7w", "v7w_red")
    paint(tmp_path / "images_512", "red_1")
    paint(tmp_path / "VisualDialog_val2018", "VisualDialog_val2018_red")
    paint(tmp_path / "coco/val2017", "red")  # of COCO 2014, too, under its name of 2017
    return tmp_path


def test_pieces_and_means(root):
    benchmark = Valse()
    assert benchmark.check(root) == []
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    value = {(row.task, row.metric): row.value for row in rows}
    assert value["counting-hard", "acc"] == value["counting", "acc"] == 1 / 2
    assert value["mean_6", "acc"] == pytest.approx((5 + 1 / 2) / 6)
    assert value["mean", "acc"] == pytest.approx((5 + 2 * 1 / 2) / 7)
    assert value["all", "acc_micro"] == pytest.approx(11 / 15)
    mean = find(rows, "valse", *benchmark.headline)
    assert (mean.n, mean.ties, mean.chance) == (15, 4, pytest.approx(1 / 2))
    assert mean.blind == mean.value  # every picture is red


def test_missing_photos_are_counted(root):
    (root / "visual7w/v7w_red.png").unlink()
    with pytest.raises(UserError, match=r"visual7w/v7w_red.png is missing: get the photos of COCO"):
        Valse().items(root)
    benchmark = Valse(available_only=True)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert "14 of 15 items, whose pictures are present" in rows[0].protocol
    assert "mean" not in {row.task for row in rows}  # a piece is missing


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "entry 0 must have a name"),
        ('{"a": {"dataset": "SWiG"}}', "entry a must have dataset, image_file, caption, foil"),
        (json.dumps({"a": {**entry("plurals", "b"), "mturk": 3}}), "must have mturk.caption"),
        ("{", "is not a VALSE file"),
    ],
)
def test_a_malformed_file_is_refused(root, content, sentence):
    (root / "plurals.json").write_text(content)
    with pytest.raises(UserError, match=sentence):
        Valse().items(root)


def test_published_files(real_data, tmp_path):
    every = Valse().read(unpack(real_data, "valse", tmp_path))
    assert Counter(one.part for one in every) == {
        "existence": 505, "plurals": 851, "counting-hard": 868, "counting-small-quant": 900,
        "counting-adversarial": 691, "relations": 535, "action-replacement": 648,
        "actant-swap": 949, "coreference-standard": 708, "coreference-hard": 104, "foil-it": 943,
    }  # fmt: skip
