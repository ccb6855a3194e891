"""What a report says on top follows from its rows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from trifocal.evaluate.paired import Compared
from trifocal.metrics.intervals import Difference
from trifocal.metrics.result import Result
from trifocal.report import compared, numbers
from trifocal.report.composition import results_report
from trifocal.report.contender import Contender
from trifocal.report.few_shot_found import _otherwise, apart
from trifocal.report.found import found, joined
from trifocal.report.page import Chapter, render
from trifocal.report.regions import measures_table


def model(label: str, **values: float) -> Contender:
    keys = {
        "composition": ("sugarcrepe", "mean", "acc"),
        "zero_shot": ("pets", "zeroshot_classification", "acc1"),
        "other": ("sherlock", "val", "P@1"),
    }
    rows = [Result(*keys[name], value, 1000, model=label) for name, value in values.items()]
    return Contender(label, [rows])


def said(*contenders: Contender) -> str:
    return " ".join(found(contenders, contenders[-1])).replace("\u00a0", " ")


def test_a_gain_and_its_price():
    text = said(
        model("base", composition=0.6, zero_shot=0.7), model("a", composition=0.7, zero_shot=0.6)
    )
    assert text.startswith(
        "a gains 10.0 ± 4.2 points of composition against base (60.0 % → 70.0 %)."
    )
    assert "What it costs: zero-shot −10.0 ± 4.2 points (more than noise)." in text


def test_a_gain_within_noise_is_none():
    text = said(
        model("base", composition=0.60, zero_shot=0.7), model("a", composition=0.61, zero_shot=0.7)
    )
    assert (
        "In composition a (61.0 %) is not told apart from base (60.0 %): +1.0 ± 4.3 points." in text
    )
    assert "What it could have cost: zero-shot ±0.0 ± 4.0 points (within noise)." in text


def test_a_price_that_nobody_measured_is_said_to_be_unknown():
    text = said(model("base", composition=0.6), model("a", composition=0.7))
    assert "What that costs elsewhere was not measured." in text


def test_other_methods_are_ahead_behind_or_neither():
    names = {"ahead": 0.8, "behind": 0.5, "near": 0.66}
    others = [model(name, composition=value) for name, value in names.items()]
    text = said(model("base", composition=0.6), *others, model("a", composition=0.65))
    assert text.endswith(
        "In composition it is ahead of behind, is behind ahead and is not told apart from near."
    )


def test_other_measures_are_counted():
    text = said(model("base", other=0.3), model("a", other=0.5))
    assert text == "Of 1 measure a is better than base on 1 and worse on 0, by more than noise."
    text = said(model("base", other=0.3), model("a", other=0.31))
    assert text == "a does not differ from base on the one measure by more than noise."
    assert "no measure in common" in said(model("base", other=0.3), model("a", zero_shot=0.5))


def test_a_model_alone():
    assert said(model("a", composition=0.6)).startswith("a: composition 60.0 ± 3.0 %;")
    assert said(model("a", other=0.3)).startswith("a: sherlock val P@1 30.0;")
    assert said(Contender("a", [[]])) == ""


@pytest.mark.parametrize(("words", "text"), [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_lists_of_words(words, text):
    assert joined([*words]) == text


def pair(task: str, value: float, p: float, metric: str = "acc") -> Compared:
    rows = [Result("b", task, metric, 0.5, 10, model=name) for name in ("m", "n")]
    return Compared(*rows, Difference(value, value - 0.01, value + 0.01, p), "", p)


def test_two_models_question_by_question():
    pairs = [pair("x", 0.1, 0.01), pair("y", -0.2, 0.01), pair("z", 0.3, 0.2)]
    assert compared.found(pairs, "m", "n") == [
        "Of 3 measures n is better than m on 1 and worse on 1, by more than noise. On 1 the "
        "difference is within noise.",
        "The largest gain: b x, +10.0 points (95 % interval +9.0 to +11.0).",
        "The largest loss: b y, −20.0 points (95 % interval −21.0 to −19.0).",
    ]
    none = Compared(
        *(Result("b", "x", "acc", 0.5, 10, model=n) for n in "mn"), why="other questions"
    )
    assert "question by question: other questions" in compared.found([none], "m", "n")[0]
    assert compared.found([*pairs, none], "m", "n")[-1] == "1 other could not be paired."


def test_few_shot_methods_are_ahead_behind_or_neither():
    differences = {
        "a": Difference(0.05, 0.03, 0.07, 0.01),
        "b": Difference(-0.02, -0.03, -0.01, 0.01),
        "c": Difference(0.001, -0.01, 0.012, 0.8),
    }
    assert apart(differences) == [
        "On the same pictures it is ahead of a (+5.0 ± 2.0 points); behind b (−2.0 ± 1.0 points); "
        "not told apart from c (+0.1 ± 1.1 points)."
    ]
    assert apart({}) == []


def test_where_the_order_turns_is_said():
    assert _otherwise({"a": [1], "b": [2, 4]}) == [
        "It is the other way round against a at 1 shot and b at 2 and 4 shots."
    ]
    assert _otherwise({}) == []


def test_signs_of_all_numbers_are_alike():
    """Only `numbers.py` writes signs, and figures leave them to matplotlib, which has the same."""
    folder = Path(numbers.__file__).parent
    others = [file for file in folder.glob("*.py") if file.name != "numbers.py"]
    assert not [file.name for file in others if re.search(r":\+[.\d}]", file.read_text("utf-8"))]
    before, after = model("base", composition=0.6, zero_shot=0.7), model("a", composition=0.5)
    report = results_report([*before.rows, *after.rows])
    agreement = [
        Contender(name, [[Result("sherlock", "val", "Human Acc", value, 99, model=name)]])
        for name, value in (("base", 0.1), ("a", -0.027))
    ]
    chapter = Chapter("Regions", "", [measures_table(agreement, {})])
    report = replace(report, chapters=[*report.chapters, chapter])
    text = re.sub(
        r"<style.*?</style>|<script.*?</script>|<[^>]*>", " ", render(report), flags=re.DOTALL
    )
    assert "−10.0" in text
    assert "−2.7" in text
    assert not re.findall(r"(?<![\w.])-[\d.]+", text)
