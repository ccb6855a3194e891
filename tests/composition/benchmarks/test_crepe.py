"""CREPE: rows of the published files, regions, sets and lists of negatives, micro and macro."""

from __future__ import annotations

import csv
from collections import Counter

import pytest
from PIL import Image

from tests.composition.benchmarks.color_model import ColorModel
from tests.composition.benchmarks.published import unpack
from trifocal.composition.benchmarks.crepe import COMPLEXITIES, KINDS, Crepe
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

COLUMNS = ("image_id", "caption", "n", "hard_negs", "x", "y", "width", "height")
WRONG = ["blue", "green", "blue cup", "green cup", "a blue"]


def write(root, kind, number, rows):
    file = root / f"prod_hard_negatives/{kind}/prod_vg_hard_negs_{kind}_complexity_{number}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([1, caption, number, hard, *box] for caption, hard, box in rows)
    return file


@pytest.fixture
def root(tmp_path):
    left, right = (0.0, 0.0, 8.0, 8.0), (8.0, 0.0, 8.0, 8.0)
    for kind in KINDS:
        for number in COMPLEXITIES:
            hard = str(WRONG) if kind != "negate" else "{" + ", ".join(map(repr, WRONG)) + "}"
            rows = [("red", hard, left)]
            if number == 4:
                rows += [
                    ("red", hard, right),  # that region is blue
                    ("red", str(["a red", *WRONG[:4]]), left),  # a tie
                ]
            write(tmp_path, kind, number, rows)
    photo = Image.new("RGB", (16, 8), (250, 0, 0))
    photo.paste((0, 0, 250), (8, 0, 16, 8))
    (tmp_path / "VG_100K_2").mkdir()
    photo.save(tmp_path / "VG_100K_2/1.jpg", quality=95, subsampling=0)
    return tmp_path


def test_curve_micro_and_macro(root):
    benchmark = Crepe()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    value = {(row.task, row.metric): row.value for row in rows}
    assert value["atom_4", "R@1"] == pytest.approx(1 / 3)
    assert [value[f"swap_{number}", "R@1"] for number in range(5, 13)] == [1] * 8
    assert value["negate", "R@1_micro"] == pytest.approx(9 / 11)
    assert value["negate", "R@1_macro_complexity"] == pytest.approx((8 + 1 / 3) / 9)
    assert value["mean", "R@1_macro_complexity"] == pytest.approx((8 + 1 / 3) / 9)
    mean = find(rows, "crepe", *Crepe.headline)
    assert mean.value == pytest.approx(9 / 11)
    assert (mean.n, mean.ties, mean.chance) == (33, 3, pytest.approx(1 / 6))
    assert "complexities" not in mean.protocol


def test_absent_complexities_are_said(root):
    for number in range(6, 13):
        for kind in KINDS:
            write(root, kind, number, []).unlink()
    with pytest.raises(UserError, match=r"complexity_6\.csv"):
        Crepe().items(root)
    benchmark = Crepe(available_only=True)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert "; complexities 4, 5" in rows[0].protocol
    assert find(rows, "crepe", *Crepe.headline).n == 12


@pytest.mark.parametrize(
    ("hard", "box", "sentence"),
    [
        ("[3]", (0, 0, 8, 8), "hard_negs, a list of texts"),
        ("[]", (0, 0, 8, 8), "hard_negs, a list of texts"),
        ("['a'", (0, 0, 8, 8), "hard_negs, a list of texts"),
        ("['a']", (0, 0, "nan", 8), "numbers x, y, width and height"),
        ("['a']", (0, 0, "wide", 8), "numbers x, y, width and height"),
    ],
)
def test_a_malformed_row_is_refused(root, hard, box, sentence):
    write(root, "atom", 4, [("red", hard, box)])
    with pytest.raises(UserError, match=sentence):
        Crepe().items(root)


def test_a_file_without_a_column_is_refused(root):
    write(root, "atom", 4, []).write_text("image_id,caption\n1,red\n")
    with pytest.raises(UserError, match="it has no column 'hard_negs'"):
        Crepe().items(root)


def test_published_files(real_data, tmp_path):
    every = Crepe(available_only=True).read(unpack(real_data, "crepe", tmp_path))
    assert Counter(one.part for one in every) == {
        "atom_4": 1258, "atom_5": 1454, "swap_4": 27, "swap_5": 36, "negate_4": 1262,
        "negate_5": 1312,
    }  # fmt: skip
    assert {len(one.texts) for one in every} == {6}
    own = Counter(one.part for one in every if one.texts[0] in one.texts[1:])
    assert own == {"swap_4": 1, "swap_5": 1}  # false captions that are the true one
