"""BiVLC: the published results of CLIP ViT-B/32 on every item, and the square on a miniature."""

from __future__ import annotations

import csv
import io
import zipfile
from itertools import permutations

import pytest
import torch

from tests.composition.benchmarks.by_hand import picture, scored, write_table
from tests.composition.benchmarks.color_model import ColorModel
from trifocal.composition.benchmarks.bivlc import BiVlc
from trifocal.errors import UserError
from trifocal.features.questions import Question
from trifocal.metrics.benchmark import Sheet, find

_COLUMNS = ("text_score_i0", "text_score_i1", "image_score_c0", "image_score_c1")


def won(order: tuple[float, ...]) -> tuple[bool, ...]:
    """Which of the four comparisons of a square [i0t0, i0t1, i1t0, i1t1] are won."""
    return order[0] > order[1], order[3] > order[2], order[0] > order[2], order[3] > order[1]


SQUARES = {won(order): order for order in permutations((0.1, 0.2, 0.3, 0.4))}


def test_results_of_clip_b32(real_data):
    """The authors' outcomes, made into scores, give the numbers that the paper prints."""
    with zipfile.ZipFile(real_data / "bivlc_b32.zip") as archive:
        text = archive.read("BiVLC_ViT-B-32.csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2933
    questions = [Question(f"{row['type']}_{row['subtype']}", (), ()) for row in rows]
    outcomes = [tuple(row[name] == "True" for name in _COLUMNS) for row in rows]
    scores = torch.tensor([SQUARES[one] for one in outcomes]).reshape(-1, 2, 2)
    sheet = Sheet("bivlc", "b32", "")
    BiVlc().rows(sheet, scored(questions, scores))

    def percent(task: str, metric: str) -> float:
        return round(100 * find(sheet.rows, "bivlc", task, metric).value, 2)

    triple = ("text", "image", "group")
    assert [percent("all", metric) for metric in triple] == [75.83, 52.40, 49.06]
    directions = ("ipos_to_t", "ineg_to_t", "tpos_to_i", "tneg_to_i")
    assert [percent("all", metric) for metric in directions] == [84.32, 89.50, 69.21, 82.82]
    published = {
        "add_att": (76, 47.37, 25.00, 22.37),
        "add_obj": (399, 74.69, 48.37, 42.86),
        "replace_att": (437, 77.80, 47.83, 45.31),
        "replace_obj": (1200, 92.00, 76.25, 73.42),
        "replace_rel": (462, 60.39, 30.95, 26.62),
        "swap_att": (278, 46.76, 17.27, 14.75),
        "swap_obj": (81, 45.68, 12.35, 9.88),
    }
    for part, (count, *values) in published.items():
        assert find(sheet.rows, "bivlc", part, "group").n == count
        assert [percent(part, metric) for metric in triple] == values


@pytest.fixture
def root(tmp_path):
    """One square won, one with a tie (the negative says the same), one that is lost."""
    columns = {
        "image": [picture("red"), picture("red"), picture("blue")],
        "negative_image": [picture("blue"), picture("green"), picture("red")],
        "caption": ["a red cup", "a red cup", "a red cup"],
        "negative_caption": ["a blue cup", "red", "a blue cup"],
        "type": ["replace", "add", "swap"],
        "subtype": ["obj", "att", "obj"],
    }
    write_table(tmp_path / "data" / "test-00000-of-00001.parquet", columns)
    return tmp_path


def test_accuracies(root):
    benchmark = BiVlc()
    assert benchmark.check(root) == []
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert {row.task for row in rows} == {"replace_obj", "add_att", "swap_obj", "all"}
    for metric, chance in {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}.items():
        row = find(rows, "bivlc", "all", metric)
        assert row.value == pytest.approx(1 / 3)
        assert row.chance == pytest.approx(chance)
    assert find(rows, "bivlc", "all", "text").ties == 1
    assert find(rows, "bivlc", "all", "text").blind == 0
    assert find(rows, "bivlc", "add_att", "tpos_to_i").value == 1  # red prefers the red one
    assert find(rows, "bivlc", "add_att", "tneg_to_i").value == 0  # so does the negative
    assert find(rows, "bivlc", "add_att", "ipos_to_t").ties == 1


def test_a_broken_picture_is_left_out_with_its_square(root):
    columns = {
        "image": [picture("red"), {"bytes": b"no picture", "path": None}],
        "negative_image": [picture("blue"), picture("blue")],
        "caption": ["red", "red"],
        "negative_caption": ["blue", "blue"],
        "type": ["swap", "swap"],
        "subtype": ["att", "att"],
    }
    write_table(root / "data" / "test-00000-of-00001.parquet", columns)
    benchmark = BiVlc(most_left_out=0.5)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert find(rows, "bivlc", "all", "group").n == 1
    assert "1 of 4 pictures cannot be read" in rows[0].protocol


def test_another_table_is_refused(tmp_path):
    (missing,) = BiVlc().check(tmp_path)
    assert "imirandam/BiVLC" in str(missing)
    file = tmp_path / "test-00000-of-00001.parquet"
    write_table(file, {"caption": ["a"], "negative_caption": ["b"]})
    with pytest.raises(UserError, match="is not a BiVLC file: it has no column 'type'"):
        BiVlc().check(tmp_path)
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match="is not a parquet file"):
        BiVlc().check(tmp_path)
