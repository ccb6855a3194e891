"""How eleven compositionality benchmarks become eleven numbers and one: the paper's averages.

FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210) reports one number per benchmark, each made in
its own way from sub-task accuracies, and `Comp`, their plain mean. Inputs are mappings from
sub-task to accuracy on any one scale (fractions or percent); the result is on the same scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trifocal.composition.benchmarks.sugarcrepe import GROUPS as SUGARCREPE_GROUPS
from trifocal.errors import UserError, nearest

Scores = Mapping[str, float]

# Items of each sub-task where an average is over items and not over sub-tasks.
SUGARCREPE_COUNTS = {
    "replace_obj": 1652,
    "replace_att": 788,
    "replace_rel": 1406,
    "swap_obj": 245,
    "swap_att": 666,
    "add_obj": 2062,
    "add_att": 692,
}
IMAGECODE_COUNTS = {"video": 1872, "static": 430}


def _mean(scores: Scores, names: tuple[str, ...]) -> float:
    return sum(_get(scores, name) for name in names) / len(names)


def _get(scores: Scores, name: str) -> float:
    if name not in scores:
        raise UserError(
            f"sub-task {name!r} is missing from the scores.{nearest(name, scores)} "
            "Every sub-task is needed for a benchmark's average."
        )
    return float(scores[name])


def _micro(scores: Scores, counts: Mapping[str, int]) -> float:
    return sum(_get(scores, name) * n for name, n in counts.items()) / sum(counts.values())


def aro(scores: Scores) -> float:
    """Return the mean of the four parts of ARO."""
    return _mean(scores, ("vg_relation", "vg_attribution", "coco_order", "flickr30k_order"))


def crepe(scores: Scores) -> float:
    """Return the mean of CREPE-Productivity's three kinds of negatives."""
    return _mean(scores, ("atom", "swap", "negate"))


def sugarcrepe_groups(
    scores: Scores, counts: Mapping[str, int] = SUGARCREPE_COUNTS
) -> dict[str, float]:
    """Return replace, swap and add, each averaged over its items."""
    return {
        group: _micro(scores, {name: counts[name] for name in members})
        for group, members in SUGARCREPE_GROUPS.items()
    }


def sugarcrepe(scores: Scores) -> float:
    """Return the mean of SugarCrepe's three groups."""
    groups = sugarcrepe_groups(scores)
    return sum(groups.values()) / len(groups)


def valse(scores: Scores) -> float:
    """Return the mean of VALSE's seven pieces, three of which are means themselves."""
    pieces = (
        _get(scores, "existence"),
        _get(scores, "plurals"),
        _mean(scores, ("counting_hard", "counting_small", "counting_adversarial")),
        _get(scores, "relations"),
        _mean(scores, ("action_replacement", "actant_swap")),
        _mean(scores, ("coreference_standard", "coreference_hard")),
        _get(scores, "foil_it"),
    )
    return sum(pieces) / len(pieces)


def vl_checklist(scores: Scores) -> float:
    """Return the mean of VL-CheckList's object, attribute and relation scores."""
    places = ("location_center", "location_margin", "location_mid")
    sizes = ("size_large", "size_medium", "size_small")
    attributes = ("action", "color", "material", "size", "state")
    groups = (
        _mean(scores, tuple(f"object_{name}" for name in (*places, *sizes))),
        _mean(scores, tuple(f"attribute_{name}" for name in attributes)),
        _mean(scores, ("relation_action", "relation_spatial")),
    )
    return sum(groups) / len(groups)


def whatsup(scores: Scores) -> float:
    """Return the mean of What'sUp's six parts."""
    parts = ("controlled_a", "controlled_b", "coco_one", "coco_two", "vg_one", "vg_two")
    return _mean(scores, parts)


def imagecode(scores: Scores) -> float:
    """Return ImageCoDe's accuracy over the items of its video and static sets."""
    return _micro(scores, IMAGECODE_COUNTS)


def svo(scores: Scores) -> float:
    """Return the mean of SVO-Probes' three kinds of negatives."""
    return _mean(scores, ("subject", "verb", "object"))


def winoground(scores: Scores) -> float:
    """Return Winoground's group score."""
    return _get(scores, "group")


def eqben(scores: Scores) -> float:
    """Return the mean of EqBen's four sets and the mean of its three Kubric sets."""
    kubric = _mean(scores, ("kubric_location", "kubric_counting", "kubric_attribute"))
    return (4 * _mean(scores, ("ag", "gebc", "youcook2", "sd")) + kubric) / 5


def spec(scores: Scores) -> float:
    """Return the mean over SPEC's six tasks of the mean of both directions."""
    tasks = (
        "absolute_size",
        "relative_size",
        "absolute_spatial",
        "relative_spatial",
        "count",
        "existence",
    )
    return _mean(scores, tuple(f"{task}_{way}" for task in tasks for way in ("i2t", "t2i")))


AGGREGATES: dict[str, Callable[[Scores], float]] = {
    "aro": aro,
    "crepe": crepe,
    "eqben": eqben,
    "imagecode": imagecode,
    "sugarcrepe": sugarcrepe,
    "svo": svo,
    "valse": valse,
    "vl_checklist": vl_checklist,
    "whatsup": whatsup,
    "winoground": winoground,
    "spec": spec,
}


def composition(benchmarks: Scores) -> float:
    """Return the paper's `Comp`: the plain mean of the eleven benchmarks' numbers."""
    return _mean(benchmarks, tuple(AGGREGATES))
