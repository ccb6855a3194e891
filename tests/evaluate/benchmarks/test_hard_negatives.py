"""Captions of one's own, told from hard negatives that rules make of them."""

from __future__ import annotations

import json

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.hard_negatives import CaptionNegatives

CAPTIONS = {"red": "a red cup and a blue box", "blue": "a blue fish under a red kite"}


@pytest.fixture
def root(tmp_path):
    listed = []
    for name, caption in CAPTIONS.items():
        paint(tmp_path, name)
        listed.append({"image": f"{name}.png", "captions": [caption, f"there is {caption}"]})
    (tmp_path / "captions.json").write_text(json.dumps(listed))
    return tmp_path


def swaps(**options):
    return CaptionNegatives(kinds=("swap",), parser="textblob", **options)


def test_a_question_sets_a_caption_against_another_order_of_its_words(root):
    items = swaps().items(root)
    assert [question.texts[0] for question in items.items] == list(CAPTIONS.values())
    for question in items.items:
        own, other = question.texts
        assert own != other
        assert sorted(own.split()) == sorted(other.split())


def test_the_file_may_be_named_and_asked_again_gives_the_same_questions(root):
    one, other = (swaps().items(place) for place in (root, root / "captions.json"))
    assert [x.texts for x in one.items] == [x.texts for x in other.items]
    assert len(swaps(captions_per_image=2).items(root)) == 4


def test_a_bag_of_words_is_wrong_by_ties(root):
    benchmark = swaps()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert [row.task for row in rows] == ["swap", "mean"]
    assert {row.value for row in rows} == {0.0}
    assert {row.ties for row in rows} == {2}
    assert "textblob" in rows[0].protocol
    assert "1 caption a picture" in rows[0].protocol


def test_a_missing_file_is_named(tmp_path):
    assert "captions.jsonl" in swaps().check(tmp_path)[0].path
    with pytest.raises(UserError, match="put a caption file there"):
        swaps().items(tmp_path)


def test_kinds_may_be_typed_with_commas():
    assert CaptionNegatives(kinds="swap, shuffle").kinds == ("swap", "shuffle")


def test_captions_that_offer_no_negative_are_said(root):
    file = root / "short.json"
    file.write_text(json.dumps([{"image": "red.png", "captions": ["red"]}]))
    with pytest.raises(UserError, match=r"none of the 1 captions .* can be made by swap"):
        swaps().items(file)
