"""Named means: the members that papers average give the means that they print."""

from __future__ import annotations

import pytest

from trifocal.evaluate.published.means import MEANS, MEANS_OF, find_mean, named_means
from trifocal.evaluate.published.tables import published_models, published_table
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.metrics.result import Result


def members_alone(row):
    return {key: value for key, value in row.values.items() if key[0] != MEANS_OF}


@pytest.mark.parametrize("row", published_table("fsc_clip"), ids=lambda row: row.model)
def test_the_eleven_give_the_printed_comp(row):
    mean = MEANS["comp_fsc_clip"]
    found = find_mean(mean, members_alone(row))
    assert found.missing == ()
    assert found.value == pytest.approx(row.values[mean.key], abs=0.0006)  # all of them rounded


@pytest.mark.parametrize("name", ["i2t_fsc_clip", "t2i_fsc_clip"])
def test_three_recalls_give_the_printed_ones(name):
    mean, counted = MEANS[name], 0
    for row in published_table("fsc_clip"):
        found = find_mean(mean, members_alone(row)).value
        if found is not None:
            assert found == pytest.approx(row.values[mean.key], abs=0.001)
            counted += 1
    assert counted == 11


def test_six_columns_give_read_clips_mean():
    mean = MEANS["read_clip_mean"]
    for row in published_table("read_clip"):
        known = dict(row.values)
        printed = known.pop(mean.key)
        assert find_mean(mean, known).value == pytest.approx(printed, abs=0.0006)


def test_seven_files_of_sugarcrepe():
    """73.05 for OpenAI's ViT-B/32 by its published hits (benchmarks.md, 2.3)."""
    found = find_mean(MEANS["sugarcrepe_macro"], published_models()["CLIP"])
    assert found.value == pytest.approx(0.7305, abs=0.0001)


def test_members_are_of_benchmarks_that_there_are():
    """A member that no benchmark is named for would be missing for ever."""
    keys = [key for mean in MEANS.values() for key in mean.members if isinstance(key, tuple)]
    named = {key[0] for key in keys if not key[1].startswith("zeroshot")}  # others are data sets
    assert named <= set(BENCHMARKS)
    for name in ("sugarcrepe", "winoground", "spec", "imagecode", "crepe", "valse"):
        assert (name, *BENCHMARKS[name].headline) in keys
    count = {name: len(mean.members) for name, mean in MEANS.items()}
    assert (count["comp_fsc_clip"], count["comp_survey"], count["zs_elevater"]) == (11, 12, 21)


def test_missing_members_are_named_and_nothing_takes_their_place():
    rows = [
        Result("sugarcrepe", "mean", "acc", 0.8, 10, model="a"),
        Result("sugarcrepe", "mean", "acc", 0.6, 10, model="a", seed=1),
        Result("sugarcrepe", "swap_att", "acc", 0.5, 10, model="b"),
    ]
    found = {model: {one.mean.name: one for one in every} for model, every in named_means(rows).items()}  # fmt: skip
    assert set(found["a"]) == {"comp_fsc_clip", "comp_survey"}
    assert found["a"]["comp_fsc_clip"].value is None
    assert len(found["a"]["comp_fsc_clip"].missing) == 10
    assert "winoground all group" in found["a"]["comp_fsc_clip"].missing
    assert set(found["b"]) == {"sugarcrepe_macro", "read_clip_mean"}
