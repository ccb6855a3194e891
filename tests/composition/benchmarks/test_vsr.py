"""VSR: counts of the published file, the order of similarities, and a threshold of the dev split."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from tests.composition.benchmarks.published import unpack
from trifocal.composition.benchmarks.vsr import Vsr
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

TEST = [("red", 1), ("red and green", 0), ("blue", 0), ("cup", 1), ("red red", 0)]
DEV = [("red", 1), ("a red one", 1), ("red and green", 0), ("blue", 0)]


def write(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"image": "red.png", "caption": text, "label": label} for text, label in entries]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "data/splits/zeroshot/test.jsonl", TEST)
    write(tmp_path / "data/splits/zeroshot/dev.jsonl", DEV)
    paint(tmp_path / "coco/train2017", "red")
    return tmp_path


def test_order_and_threshold(root):
    benchmark = Vsr()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    # True 1 and .58 against false .71, 0 and 1: of six pairs 1 > .71, 1 > 0, .58 > 0, and a tie.
    area = find(rows, "vsr", *Vsr.headline)
    assert area.value == pytest.approx(3.5 / 6)
    assert (area.n, area.chance, area.blind) == (5, 0.5, area.value)
    # Between 1 and .71 on dev: "red" and both false below it are right.
    accuracy = find(rows, "vsr", "zeroshot", "acc")
    assert (accuracy.value, accuracy.n) == (pytest.approx(3 / 5), 5)
    assert {row.task for row in rows} == {"zeroshot"}


def test_without_dev_there_is_no_accuracy(root):
    (root / "data/splits/zeroshot/dev.jsonl").unlink()
    write(root / "random_test.jsonl", TEST)
    write(root / "random_dev.jsonl", DEV)
    benchmark = Vsr()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    found = [(row.task, row.metric) for row in rows]
    assert found == [("zeroshot", "roc_auc"), ("random", "roc_auc"), ("random", "acc")]
    assert "; no dev split of zeroshot" in rows[0].protocol


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"image": "red.png", "caption": "red", "label": "yes"}', "must have a label, 0 or 1"),
        ('{"image": "red.png"}', "entry 0 must have image, caption"),
        ("[", "is not a VSR file"),
    ],
)
def test_a_malformed_file_is_refused(root, line, sentence):
    (root / "data/splits/zeroshot/test.jsonl").write_text(line)
    with pytest.raises(UserError, match=sentence):
        Vsr().items(root)


def test_published_file(real_data, tmp_path):
    every = Vsr().read(unpack(real_data, "vsr", tmp_path))
    assert Counter(one.holds for one in every) == {True: 629, False: 593}
