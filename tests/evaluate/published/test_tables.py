"""Tables of published rows: each has its source, and none says two things of one model."""

from __future__ import annotations

import pytest

from trifocal.errors import UserError
from trifocal.evaluate.published.means import MEANS, MEANS_OF
from trifocal.evaluate.published.tables import (
    ALL,
    TABLES,
    chosen_models,
    published_models,
    published_table,
)
from trifocal.evaluate.registry import BENCHMARKS


@pytest.mark.parametrize("name", TABLES)
def test_each_row_has_a_source_and_fractions(name):
    rows = published_table(name)
    assert rows
    for row in rows:
        assert row.model
        assert row.weights
        assert row.source
        assert all(0 <= value <= 1 for value in row.values.values())
        for benchmark, task, _ in row.values:
            assert benchmark != MEANS_OF or task in MEANS


def test_columns_are_measures_of_ours_or_of_a_paper():
    keys = {key for known in published_models().values() for key in known}
    others = {key[0] for key in keys} - set(BENCHMARKS) - {MEANS_OF}
    assert others == {"dataset_coco", "dataset_flickr30k", "degla_paper", "labclip_paper"}


def test_the_first_table_counts():
    known = published_models()
    assert known["CLIP"]["sugarcrepe", "mean", "acc"] == pytest.approx(0.7303)  # and not 73.1
    assert known["CLIP"]["negbench", "coco", "acc_micro"] == pytest.approx(0.3930)
    assert known["NegCLIP"]["sugarcrepe_pp", "swap", "itt"] == pytest.approx(0.564)
    assert {"CE-CLIP", "DAC-LLM", "FSC-CLIP", "READ-CLIP", "CLIC", "LABCLIP", "TROHN-Img", "DeGLA"} <= set(known)  # fmt: skip


def test_models_are_chosen_by_name():
    assert list(chosen_models(["CLIC", "CLIP"])) == ["CLIC", "CLIP"]
    assert chosen_models(["CLIP", ALL]) == published_models()
    with pytest.raises(UserError, match=r"no published row is known of 'NegClip'.*NegCLIP"):
        chosen_models(["NegClip"])
