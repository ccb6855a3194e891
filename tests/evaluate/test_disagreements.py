"""Questions that one model answers rightly and another does not, and the page that shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.cli import main
from trifocal.clip import TextBatch, TextEmbedding
from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, SugarCrepe
from trifocal.composition.benchmarks.winoground import Winoground
from trifocal.evaluate.disagreements import Answered, disagreements
from trifocal.evaluate.marks import read_scores, scores_file
from trifocal.evaluate.records import read_results
from trifocal.evaluate.runner import Job, evaluate
from trifocal.report.disagreements import browsers


class Contrary(ColorModel):
    """Prefers what is false."""

    name = "contrary"

    def encode_text(self, texts: TextBatch, *, tokens: bool = False) -> TextEmbedding:
        return TextEmbedding(-super().encode_text(texts).pooled)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """SugarCrepe's seven files: a question that the color model gets right, and one that it does not."""
    root = tmp_path / "sugarcrepe"
    paint(root / "val2017", "red", "blue")
    right = {"filename": "red.png", "caption": "a red cup", "negative_caption": "a blue cup"}
    wrong = {"filename": "blue.png", "caption": "a green box", "negative_caption": "a blue box"}
    for subset in SUBSETS:
        content = {"0": right, **({"1": wrong} if subset == "swap_obj" else {})}
        (root / f"{subset}.json").write_text(json.dumps(content))
    return root


def asked(benchmark, root, model) -> Answered:
    return Answered(benchmark.score(model, benchmark.items(root)))


def test_what_only_one_of_two_gets_right(pairs):
    benchmark = SugarCrepe()
    ours, theirs = (asked(benchmark, pairs, model) for model in (ColorModel(), Contrary()))
    (found,) = disagreements(benchmark, pairs, ours, theirs)
    assert (found.measure, found.asked) == ("mean acc", 8)
    assert [one.question.part for one in found.first] == list(SUBSETS)
    (only,) = found.second
    assert only.question.texts == ("a green box", "a blue box")
    assert [scores.shape for scores in only.scores] == [(1, 2)] * 2
    assert only.scores[0][0, 1] > only.scores[0][0, 0]
    assert disagreements(benchmark, pairs, ours, ours)[0].first == []


def test_a_page_shows_some_of_each_part_and_says_of_how_many(pairs):
    benchmark = SugarCrepe()
    ours, theirs = (asked(benchmark, pairs, model) for model in (ColorModel(), Contrary()))
    found = disagreements(benchmark, pairs, ours, theirs)
    first, second = browsers(found, ("a", "b"), shown=3)
    assert [item.subject for item in first.items] == ["replace obj", "replace att", "replace rel"]
    assert first.title == "sugarcrepe: only a is right"
    assert first.caption.startswith("3 of 7 such questions, of 8 asked (mean acc)")
    (item,) = second.items
    assert item.texts == [("a green box", True), ("a blue box", False)]
    assert item.places == ["1", "2"]
    (_, right, scores), (_, other, _) = item.answers
    assert (right, other) == (False, True)
    assert [(one.true, one.chosen) for one in scores] == [(True, False), (False, True)]


def test_a_square_is_shown_whole(tmp_path):
    paint(tmp_path / "images", "red", "blue")
    entry = {"image_0": "red", "image_1": "blue", "caption_0": "red", "caption_1": "blue"}
    (tmp_path / "examples.jsonl").write_text(json.dumps(entry))
    benchmark = Winoground()
    ours, theirs = (asked(benchmark, tmp_path, model) for model in (ColorModel(), Contrary()))
    found = disagreements(benchmark, tmp_path, ours, theirs)
    assert [one.measure for one in found] == ["all group"]
    ((item,),) = (block.items for block in browsers(found, ("a", "b")))
    assert item.places == ["a1", "a2", "b1", "b2"]
    assert len(item.pictures) == 2
    assert item.texts == [("red", None), ("blue", None)]
    assert [one.true for one in item.answers[0][2]] == [True, False, False, True]


def test_other_questions_are_not_shown(pairs):
    benchmark = SugarCrepe()
    ours, theirs = (asked(benchmark, pairs, model) for model in (ColorModel(), Contrary()))
    changed = json.loads((pairs / "add_obj.json").read_text())
    changed["0"]["caption"] = "a red ball"
    (pairs / "add_obj.json").write_text(json.dumps(changed))
    assert disagreements(benchmark, pairs, ours, theirs) is None
    assert disagreements(benchmark, pairs, Answered([]), theirs) is None
    forgot = Answered([replace(row, scores=None) for row in ours.rows])
    assert disagreements(benchmark, pairs, forgot, theirs) is None


def test_a_broken_picture_of_a_question_that_was_left_out_does_not_hide_the_others(pairs):
    (pairs / "val2017" / "blue.png").write_text("no picture")
    benchmark = SugarCrepe(most_left_out=0.5)
    ours, theirs = (asked(benchmark, pairs, model) for model in (ColorModel(), Contrary()))
    (found,) = disagreements(benchmark, pairs, ours, theirs)
    assert (len(found.first), len(found.second), found.asked) == (7, 0, 7)


def test_answers_of_files_are_compared_on_a_page(pairs, tmp_path, capsys):
    files = []
    for model in (ColorModel(), Contrary()):
        files.append(tmp_path / f"{model.name}.jsonl")
        evaluate(model, [Job(SugarCrepe(), pairs)], results=files[-1])  # pyright: ignore[reportArgumentType]
    row = read_results(files[0])[0]
    scores = read_scores(files[0], row)
    assert scores is not None
    assert scores.shape == (8, 1, 2)
    page = tmp_path / "page.html"
    words = ["compare", *map(str, files), "--html", str(page)]
    assert main([*words, "--root", str(tmp_path)]) == 0
    text = page.read_text()
    for part in (
        "only color-model is right",
        "only contrary is right",
        "a green box",
        "data:image",
    ):
        assert part in text
    assert main(words) == 0
    assert "Give --root" in page.read_text()
    assert main([*words, "--root", str(tmp_path / "none")]) == 0
    assert "No questions of sugarcrepe are shown: sugarcrepe cannot run" in page.read_text()
    scores_file(files[0], row).write_bytes(b"broken")
    assert main([*words, "--root", str(tmp_path)]) == 0
    assert "the answers were not kept" in page.read_text()
    capsys.readouterr()
    assert main(["compare", *map(str, files), "--root", "x"]) != 0
    assert "--root has no effect" in capsys.readouterr().err
