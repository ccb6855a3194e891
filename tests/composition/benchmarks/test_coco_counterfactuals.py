"""COCO-Counterfactuals: the draw, the square, and recall in the pool."""

from __future__ import annotations

import json

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.coco_counterfactuals import CocoCounterfactuals, _drawn
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find


@pytest.fixture
def root(tmp_path):
    """Square 0 is won; square 1 has green twice, so that its pictures and its texts are tied."""
    colors = [("red", "blue"), ("green", "green")]
    entries = [
        {
            "id": number,
            "caption_0": f"a {first} cup",
            "caption_1": f"one {second} cup",
            "image_0": f"{number}_0_{first}",
            "image_1": f"{number}_1_{second}",
        }
        for number, (first, second) in enumerate(colors)
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "examples.jsonl").write_text("\n".join(map(json.dumps, entries)))
    names = [entry[side] for entry in entries for side in ("image_0", "image_1")]
    paint(tmp_path / "data" / "images", *names, suffix=".jpg", size=32)
    return tmp_path


def test_square_and_pool(root):
    benchmark = CocoCounterfactuals(share=1)
    assert benchmark.check(root) == []
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert find(rows, "coco_counterfactuals", "all", "group").value == 0.5
    for way in ("image", "text"):
        recall = find(rows, "coco_counterfactuals", "pool", f"{way}_retrieval_recall@1")
        assert recall.n == 4
        assert recall.chance == pytest.approx(1 / 4)
        assert recall.value == pytest.approx((1 + 1 + 1 / 2 + 1 / 2) / 4)
        assert recall.ties == 2
    assert "all examples" in rows[0].protocol


def test_pictures_that_are_missing_do_not_change_the_draw(root):
    benchmark = CocoCounterfactuals(share=0.5, seed=3)
    (drawn,) = benchmark.read(root)
    assert (
        "0.5 drawn with seed 3" in benchmark.score(ColorModel(), benchmark.items(root))[0].protocol
    )
    drawn.images[0].unlink()
    some = CocoCounterfactuals(share=0.5, seed=3, available_only=True)
    with pytest.raises(UserError, match=drawn.images[0].name):
        some.items(root)  # the other one is not asked in its place


def test_how_many_are_drawn():
    assert len(_drawn(17410, 0.3, 0)) == 5223
    assert _drawn(17410, 0.3, 0) != _drawn(17410, 0.3, 1)
    assert _drawn(5, 1, 0) == list(range(5))
    with pytest.raises(UserError, match="share must be in"):
        CocoCounterfactuals(share=0)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "examples.jsonl").write_text('{"id": 1, "caption_0": "a"}\n')
    with pytest.raises(UserError, match="is not COCO-Counterfactuals' list of examples: entry 0"):
        CocoCounterfactuals(share=1).check(tmp_path)
