"""Rows that can be read back, and results that are never mixed up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.few_shot.fakes import row
from trifocal.evaluate.few_shot.rows import (
    FIT,
    PARAMETERS,
    PREDICT,
    Place,
    place_of,
    protocol_parts,
    protocol_text,
    told_apart,
)
from trifocal.metrics.result import COST_METRICS

NAMES = st.text("abcz_-/ ", min_size=1).filter(str.strip)


def methods(*rows) -> list[str]:
    return [one.method for one in told_apart(rows)]


@given(NAMES, st.integers(1, 64), st.sampled_from(["test", "base", "new", "imagenet_v2"]))
def test_a_place_is_read_back(dataset, shots, test):
    place = Place(dataset, shots, test)
    assert place_of(replace(row("m", 0.5), benchmark=place.benchmark, task=place.task)) == place


@pytest.mark.parametrize(
    ("benchmark", "task"),
    [("sugarcrepe", "16-shot"), ("few_shot", "1-shot"), ("few_shot/a", "zeroshot_retrieval")],
)
def test_rows_of_other_benchmarks_are_none(benchmark, task):
    other = replace(row("m", 0.5), benchmark=benchmark, task=task)
    assert place_of(other) is None
    assert told_apart([other]) == []


def test_a_protocol_is_read_back():
    text = protocol_text(
        "few", 10, "ViT-B-32:openai", ["itap of a {}.", "art; of the {}."], concepts=5, selects=True
    )
    assert text == (
        "val: few (min(shots, 4) a class); views: 10; backbone: ViT-B-32:openai; "
        "prompts: itap of a {}. | art, of the {}.; concepts: 5; selection: on validation"
    )
    parts = protocol_parts(replace(row("m", 0.5), protocol=text))
    assert parts["backbone"] == "ViT-B-32:openai"
    assert parts["prompts"] == "itap of a {}. | art, of the {}."
    assert parts["version"] == "1"


def test_few_of_the_training_part_is_said():
    assert protocol_text("few", 0, "", val_from="train").startswith(
        "val: few (min(shots, 4) a class) of train; views: as tested; backbone: unknown; "
    )
    assert protocol_text("none", 1, "", val_from="train").startswith("val: none; views: 1; ")


def test_what_is_alike_keeps_its_name():
    rows = [row("a", 0.5, seed=1), row("a", 0.6, seed=2), row("b", 0.7), row("a", 0.4, 2, "other")]
    assert methods(*rows) == ["a", "a", "b", "a"]  # prompts differ by data set, as they should


def test_two_validation_modes_are_two_methods():
    assert methods(row("a", 0.5), row("a", 0.6, val="full")) == ["a (val: few)", "a (val: full)"]
    # Also where the methods are different ones, since they cannot be compared as they are.
    assert methods(row("a", 0.5), row("b", 0.6, val="none")) == ["a (val: few)", "b (val: none)"]


def test_what_is_a_method_s_own_sets_only_itself_apart():
    rows = [
        row("ccli", 0.5, more="concepts: 20; selection: on validation"),
        row("ccli", 0.6, more="concepts: 30; selection: on validation"),
        row("zero-shot", 0.4, more="selection: on support alone"),
    ]
    assert methods(*rows) == ["ccli (concepts: 20)", "ccli (concepts: 30)", "zero-shot"]


def test_other_versions_are_set_apart():
    old = replace(row("a", 0.5), version="0@9")
    assert methods(old, row("a", 0.6)) == ["a (version: 0)", "a (version: 1)"]
    # A head has a version of its own, which says nothing of the others.
    assert methods(row("a", 0.5), replace(row("b", 0.6), version="2@1")) == ["a", "b"]


def test_costs_are_known_to_all_tables():
    assert {PARAMETERS, FIT, PREDICT} == COST_METRICS


def test_of_a_measurement_made_twice_the_later_counts():
    (one,) = told_apart([row("a", 0.5), row("a", 0.7)])
    assert one.row.value == 0.7
