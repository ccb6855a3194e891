"""SugarCrepe++: counts of the published files, and its three accuracies on a miniature."""

from __future__ import annotations

import json
import zipfile
from collections import Counter

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.sugarcrepe_pp import PARTS, SugarCrepePlus
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find


@pytest.fixture
def root(tmp_path):
    entries = [
        # caption, caption2, negative: right; one of two lost; a tie
        ("a red cup", "a cup of red", "a blue cup"),
        ("a red cup", "a green cup", "a blue cup of red"),
        ("a red cup", "red", "red red"),
    ]
    for part in PARTS:
        listed = [
            {"id": i, "filename": "red.png", "caption": a, "caption2": b, "negative_caption": n}
            for i, (a, b, n) in enumerate(entries)
        ]
        (tmp_path / f"{part}.json").write_text(json.dumps(listed))
    paint(tmp_path / "val2017", "red")
    return tmp_path


def test_accuracies(root):
    benchmark = SugarCrepePlus()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    itt = find(rows, "sugarcrepe_pp", "mean", "itt")
    assert itt.value == pytest.approx(1 / 3)
    assert itt.n == 15
    assert itt.ties == 5  # the red one and its two reds
    assert itt.chance == pytest.approx(1 / 3)
    first = find(rows, "sugarcrepe_pp", "swap_obj", "tot_p1")
    assert first.value == pytest.approx(1 / 3)  # 1 > 0; 0 < s(red, purple); a tie
    assert find(rows, "sugarcrepe_pp", "swap", "tot_sym").value == pytest.approx(1 / 3)


def test_a_list_with_a_gap_is_refused(root):
    (root / "swap_obj.json").write_text('[{"filename": "red.png", "caption": "a"}]')
    with pytest.raises(UserError, match="entry 0 must have filename, caption, caption2"):
        SugarCrepePlus().items(root)


def test_limit_is_said(root):
    benchmark = SugarCrepePlus(limit=1)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert "the first 1 of each part" in rows[0].protocol
    assert rows[0].n == 1


def test_published_files(real_data, tmp_path):
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("sugarcrepe_pp/")]
        archive.extractall(tmp_path, names)
    folder = tmp_path / "sugarcrepe_pp"
    count = Counter(one.part for one in SugarCrepePlus().read(folder))
    assert count == {
        "swap_obj": 245, "swap_att": 666, "replace_obj": 1652, "replace_att": 788, "replace_rel": 1406,
    }  # fmt: skip
    assert count.total() == 4757
