"""COLA: squares of the published file, and the mean average precision over classes on hard photos."""

from __future__ import annotations

import json

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from tests.composition.benchmarks.published import unpack
from trifocal.composition.benchmarks.cola import MULTI, Cola
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

SQUARES = [
    ["https://a.b/red.png", "red", "https://a.b/blue.png", "blue"],  # all right
    # Each photo prefers its text, but "cup" is as near to both photos.
    ["https://a.b/red.png", "cup", "https://a.b/blue.png", "blue"],
    ["https://a.b/red.png", "blue", "https://a.b/blue.png", "red"],
]
# Photos with labels and hard_list of "red", "green" and "blue".
SINGLE = [
    ["gqa/red.png", {}, [1, 0, 0], [1, 1, 1]],
    ["gqa/blue.png", {}, [1, 0, 0], [1, 0, 0]],  # labelled wrongly: its "red" comes last, with
    ["gqa/green.png", {}, [0, 1, 0], [1, 1, 1]],  # this one
]


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "multiobjects_matching_benchmark", SQUARES)
    write(tmp_path, "singleobjects_benchmark_GQA", [["red", "green", "blue"], SINGLE])
    paint(tmp_path / "vg_gqa_images", "red", "green", "blue")
    return tmp_path


def write(root, name, content):
    (root / "data").mkdir(exist_ok=True)
    (root / f"data/COLA_{name}.json").write_text(json.dumps(content))


def test_squares(root):
    benchmark = Cola()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    image = find(rows, "cola", *Cola.headline)
    assert (image.value, image.n, image.ties) == (pytest.approx(1 / 3), 3, 1)
    assert image.chance == pytest.approx(1 / 4)
    assert find(rows, "cola", MULTI, "text").value == pytest.approx(2 / 3)
    assert find(rows, "cola", MULTI, "group").value == pytest.approx(1 / 3)


def test_mean_average_precision(root):
    benchmark = Cola()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    row = find(rows, "cola", "single_GQA", "map")
    # "red": 1/1 for the first, 2/3 for the second, which ties; "green" 1; "blue" has no photo.
    assert row.value == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert row.n == 5
    assert row.chance == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_files_with_keys_and_without_annotations_are_the_same(root):
    want = Cola().read(root)
    entries = [[photo, labels, hard] for photo, _, labels, hard in SINGLE]
    write(
        root,
        "singleobjects_benchmark_GQA",
        {"labels": ["red", "green", "blue"], "data": entries},
    )
    assert Cola().read(root) == want


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("multiobjects_matching_benchmark", [["a", "b", "c"]], "entry 0 must have a photo, its"),
        ("singleobjects_benchmark_GQA", [["red"]], "must have the labels, then the photos"),
        ("singleobjects_benchmark_GQA", [["red"], [["a", [1]]]], "a photo, labels and hard_list"),
        ("singleobjects_benchmark_GQA", [["red"], [["a", [2], [1]]]], "1 times 0 or 1"),
    ],
)
def test_a_malformed_file_is_refused(root, name, content, sentence):
    write(root, name, content)
    with pytest.raises(UserError, match=sentence):
        Cola().items(root)


def test_published_file(real_data, tmp_path):
    every = Cola().read(unpack(real_data, "cola", tmp_path))
    assert len(every) == 210
    assert len({str(photo) for one in every for photo in one.images}) == 218
