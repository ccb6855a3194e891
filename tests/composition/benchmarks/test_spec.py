"""SPEC: both directions, the right candidate at any place, means over sets."""

from __future__ import annotations

import json

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.spec import SETS, Spec
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find


def write(folder, to_text, to_image):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "image2text.json").write_text(json.dumps(to_text))
    (folder / "text2image.json").write_text(json.dumps(to_image))


def choice(query, keys, label):
    return {"query": query, "keys": keys, "label": label}


@pytest.fixture(params=["", "data"])
def root(request, tmp_path):
    """Every set is right once each way; `count` also ties to text, and is wrong to pictures."""
    for name in SETS:
        folder = tmp_path / request.param / name
        to_text = [choice("images/red.png", ["blue", "a red cup", "green"], 1)]
        to_image = [choice("red", ["images/blue.png", "images/red.png"], 1)]
        if name == "count":
            to_text.append(choice("images/red.png", ["red", "of red"], 0))
            to_image.append(choice("red", ["images/blue.png", "images/red.png"], 0))
        write(folder, to_text, to_image)
        paint(folder / "images", "red", "blue")
    return tmp_path


def test_accuracies(root):
    benchmark = Spec()
    assert benchmark.check(root) == []
    items = benchmark.items(root)
    assert items.items[0].texts == ("a red cup", "blue", "green")
    rows = benchmark.score(ColorModel(), items)
    count = find(rows, "spec", "count_i2t", "acc")
    assert (count.value, count.n, count.ties) == (0.5, 2, 1)
    assert count.chance == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert count.blind is not None
    back = find(rows, "spec", "count_t2i", "acc")
    assert (back.value, back.chance, back.blind) == (0.5, 0.5, None)
    for way in ("i2t", "t2i"):
        assert find(rows, "spec", way, "acc").value == pytest.approx((5 + 1 / 2) / 6)
    mean = find(rows, "spec", *Spec.headline)
    assert mean.value == pytest.approx((5 + 1 / 2) / 6)
    assert mean.n == 14
    assert len(rows) == 12 + 2 + 1


def test_limit_keeps_both_directions(root):
    benchmark = Spec(limit=1)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert find(rows, "spec", "mean", "acc").n == 12


@pytest.mark.parametrize(
    "entry", [choice("a", ["b"], 1), choice("a", ["b", 3], 0), choice(2, ["b"], 0), {}, None]
)
def test_another_file_is_refused(tmp_path, entry):
    for name in SETS:
        write(tmp_path / name, [], [])
    write(tmp_path / "existence", [entry], [])
    with pytest.raises(UserError, match=r"image2text\.json is not a SPEC file: entry 0 must have"):
        Spec().check(tmp_path)
