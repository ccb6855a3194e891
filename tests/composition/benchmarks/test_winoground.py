"""Winoground: known results of published scores, its sub-sets, and both forms of its data."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

from tests.composition.benchmarks.by_hand import picture, scored, write_table
from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.winoground import Winoground
from trifocal.errors import UserError
from trifocal.metrics.benchmark import Sheet, find
from trifocal.metrics.result import Result

TRIPLE = ("text", "image", "group")
KNOWN = {
    "clip_b32": (30.75, 10.25, 8.25),
    "clip_b16": (25.0, 10.25, 7.0),
    "clip_l14": (28.5, 11.0, 8.0),
    "clip_b32_laion": (35.0, 11.5, 8.25),
    "human": (89.5, 88.5, 85.5),
}


@pytest.fixture(scope="module")
def published(real_data):
    """The published scores of some models, and the examples as the reader finds them."""
    with zipfile.ZipFile(real_data / "winoground_scores.zip") as archive:
        examples = json.loads(archive.read("annotation/examples.json"))
        scores = {
            name: {
                entry["label"]: entry["score"]
                for entry in map(json.loads, archive.open(f"results/scores/{name}.jsonl"))
            }
            for name in KNOWN
        }
    return examples, scores


@pytest.fixture(scope="module")
def questions(published, tmp_path_factory):
    root = tmp_path_factory.mktemp("winoground")
    lines = [
        {**one, "image_0": f"ex_{one['id']}_img_0", "image_1": f"ex_{one['id']}_img_1"}
        for one in published[0]
    ]
    (root / "examples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return Winoground().read(root)


def rows_of(questions, scores: dict[str, float]) -> list[Result]:
    blocks = torch.tensor(
        [
            [[scores[f"{one.id}_c{text}_i{image}"] for text in (0, 1)] for image in (0, 1)]
            for one in questions
        ]
    )
    sheet = Sheet("winoground", "published", "")
    Winoground().rows(sheet, scored(questions, blocks))
    return sheet.rows


@pytest.mark.parametrize("name", KNOWN)
def test_published_scores(published, questions, name):
    rows = rows_of(questions, published[1][name])
    found = [round(100 * find(rows, "winoground", "all", metric).value, 2) for metric in TRIPLE]
    assert tuple(found) == KNOWN[name]


def test_sub_sets_of_the_published_examples(published, questions):
    assert len(questions) == 400
    rows = rows_of(questions, published[1]["clip_b32"])
    count = {row.task: row.n for row in rows}
    assert count["Object"] + count["Relation"] + count["Both"] == 400
    assert count["1 main predicate"] + count["2 main predicates"] == 400
    # Human judges tie on some, and a tie is an error.
    assert find(rows_of(questions, published[1]["human"]), "winoground", "all", "group").ties


SQUARES = [
    {"caption_0": "red", "caption_1": "blue", "collapsed_tag": "Object", "num_main_preds": 1},
    {"caption_0": "red cup", "caption_1": "cup red", "collapsed_tag": "Both", "num_main_preds": 2},
]


def check(root):
    benchmark = Winoground()
    assert benchmark.check(root) == []
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    group = {row.task: (row.value, row.n) for row in rows if row.metric == "group"}
    assert group == {
        "all": (0.5, 2),
        "Object": (1, 1),
        "Both": (0, 1),
        "1 main predicate": (1, 1),
        "2 main predicates": (0, 1),
    }
    tied = find(rows, "winoground", "Both", "text")
    assert (tied.value, tied.ties, tied.chance, tied.blind) == (0, 1, 0.25, 0)


def test_authors_files(tmp_path):
    lines = [
        {"id": number, "image_0": f"ex_{number}_red", "image_1": f"ex_{number}_blue", **one}
        for number, one in enumerate(SQUARES)
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "examples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    names = [line[side] for line in lines for side in ("image_0", "image_1")]
    paint(tmp_path / "data" / "images", *names)
    check(tmp_path)
    (tmp_path / "data" / "images" / "ex_1_red.png").unlink()
    with pytest.raises(UserError, match=r"ex_1_red\.png is missing: unpack data/images\.zip"):
        Winoground().items(tmp_path)
    some = Winoground(available_only=True)
    rows = some.score(ColorModel(), some.items(tmp_path))
    assert find(rows, "winoground", "all", "group").n == 1
    assert "1 of 2 items" in rows[0].protocol


def test_table_of_the_hub(tmp_path):
    columns = {name: [one[name] for one in SQUARES] for name in SQUARES[0]}
    columns["image_0"] = [picture("red")] * 2
    columns["image_1"] = [picture("blue")] * 2
    write_table(tmp_path / "data" / "test-00000-of-00001.parquet", columns)
    check(tmp_path)


def test_another_file_is_refused(tmp_path):
    (missing,) = Winoground().check(tmp_path)
    assert "accept its terms" in str(missing)
    (tmp_path / "examples.jsonl").write_text('{"image_0": "a", "image_1": "b", "caption_0": "c"}')
    with pytest.raises(UserError, match="is not a Winoground file: entry 0 must have"):
        Winoground().check(tmp_path)
