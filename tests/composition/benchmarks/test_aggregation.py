"""The paper's averages, from the sub-task values of OpenAI's ViT-B/32 (two decimals)."""

from __future__ import annotations

import pytest

from trifocal.composition.benchmarks import aggregation
from trifocal.errors import UserError

OPENAI_B32 = {
    "aro": {
        "vg_relation": 59.90,
        "vg_attribution": 63.20,
        "flickr30k_order": 59.56,
        "coco_order": 47.56,
    },
    "crepe": {"atom": 18.96, "swap": 17.26, "negate": 34.90},
    "eqben": {
        "youcook2": 37.34,
        "gebc": 4.52,
        "ag": 3.04,
        "kubric_location": 1.00,
        "kubric_counting": 6.10,
        "kubric_attribute": 22.20,
        "sd": 77.79,
    },
    "imagecode": {"video": 15.06, "static": 50.70},
    "sugarcrepe": {
        "replace_obj": 90.92,
        "replace_att": 80.08,
        "replace_rel": 69.20,
        "swap_obj": 61.22,
        "swap_att": 63.96,
        "add_obj": 77.21,
        "add_att": 68.79,
    },
    "svo": {"subject": 84.07, "verb": 79.73, "object": 88.62},
    "valse": {
        "existence": 69.31,
        "plurals": 57.58,
        "counting_hard": 64.52,
        "counting_small": 61.89,
        "counting_adversarial": 58.18,
        "relations": 65.98,
        "action_replacement": 77.78,
        "actant_swap": 71.76,
        "coreference_standard": 54.94,
        "coreference_hard": 51.92,
        "foil_it": 90.14,
    },
    "vl_checklist": {
        "object_location_center": 87.42,
        "object_location_margin": 74.95,
        "object_location_mid": 84.43,
        "object_size_large": 87.21,
        "object_size_medium": 81.57,
        "object_size_small": 74.10,
        "attribute_action": 70.60,
        "attribute_color": 69.55,
        "attribute_material": 69.75,
        "attribute_size": 61.10,
        "attribute_state": 67.30,
        "relation_action": 72.07,
        "relation_spatial": 54.00,
    },
    "whatsup": {
        "controlled_a": 30.58,
        "controlled_b": 30.88,
        "coco_one": 43.26,
        "coco_two": 50.68,
        "vg_one": 46.29,
        "vg_two": 47.08,
    },
    "winoground": {"text": 31.25, "image": 11.00, "group": 8.75},
}


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [
        ("aro", 57.552438),
        ("sugarcrepe", 73.025743),
        ("valse", 67.533523),
        ("vl_checklist", 70.768433),
        ("eqben", 26.491906),
        ("imagecode", 21.720243),
    ],
)
def test_averages_of_the_specification(benchmark, expected):
    """V11 of the verification cases; its inputs are rounded to two decimals."""
    value = aggregation.AGGREGATES[benchmark](OPENAI_B32[benchmark])
    assert value == pytest.approx(expected, abs=0.01)


def test_sugarcrepe_groups():
    groups = aggregation.sugarcrepe_groups(OPENAI_B32["sugarcrepe"])
    assert groups["replace"] == pytest.approx(80.7592, abs=0.01)
    assert groups["swap"] == pytest.approx(63.2272, abs=0.01)
    assert groups["add"] == pytest.approx(75.0908, abs=0.01)


@pytest.mark.parametrize(
    ("benchmark", "published"),
    [("crepe", 23.8), ("svo", 84.1), ("whatsup", 41.5), ("winoground", 8.8)],
)
def test_averages_equal_the_published_row(benchmark, published):
    value = aggregation.AGGREGATES[benchmark](OPENAI_B32[benchmark])
    # The sub-task values are of another run than the paper's row.
    assert value == pytest.approx(published, abs=0.1)


def test_spec_averages_both_directions():
    scores = {
        f"{task}_{way}": {"i2t": 33.39, "t2i": 30.55}[way]
        for task in (
            "absolute_size",
            "relative_size",
            "absolute_spatial",
            "relative_spatial",
            "count",
            "existence",
        )
        for way in ("i2t", "t2i")
    }
    assert aggregation.spec(scores) == pytest.approx(31.97)


def test_comp_of_openai_b32():
    """46.1 in the paper, whose SPEC number is 31.9."""
    numbers = {
        name: aggregation.AGGREGATES[name](scores) for name, scores in OPENAI_B32.items()
    } | {"spec": 31.9}
    assert set(numbers) == set(aggregation.AGGREGATES)
    assert aggregation.composition(numbers) == pytest.approx(46.1, abs=0.051)


def test_a_missing_sub_task_is_an_error():
    scores = {name: 1.0 for name in OPENAI_B32["valse"] if name != "plurals"} | {"plural": 1.0}
    with pytest.raises(UserError, match=r"'plurals' is missing.*Did you mean 'plural'"):
        aggregation.valse(scores)
