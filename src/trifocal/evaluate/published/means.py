"""Means that papers print, under names of their own: the same word means another thing in each.

A mean exists only over all its members; which of them are missing is said, and nothing is put in their
place. `comp_fsc_clip` was recovered from the released tables of FSC-CLIP (Oh et al., EMNLP 2024) and gives
its column Comp; the definitions of READ-CLIP's columns are those of its evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trifocal.composition.benchmarks.sugarcrepe import SUBSETS
from trifocal.evaluate.benchmarks.named_sets import NAMED_SETS
from trifocal.evaluate.names import RETRIEVAL, ZERO_SHOT
from trifocal.metrics.result import Result

Key = tuple[str, str, str]  # benchmark, task, metric

MEANS_OF = "published_means"  # the benchmark under which means are filed


@dataclass(frozen=True)
class Mean:
    """A plain mean of numbers, some of which may be means themselves.

    Attributes:
        name: What results call it.
        members: Keys of rows, or other means.
        source: Who prints it, and where its definition is from.
    """

    name: str
    members: tuple[Key | Mean, ...]
    source: str

    @property
    def key(self) -> Key:
        """The key of its row."""
        return (MEANS_OF, self.name, "mean")


@dataclass(frozen=True)
class Found:
    """A mean of one model: its value, or what it lacks."""

    mean: Mean
    value: float | None
    missing: tuple[str, ...]  # members, by name


_FSC = "FSC-CLIP (arXiv 2410.05210)"
_READ = "READ-CLIP (arXiv 2510.16540)"
_SURVEY = "the survey that FSC-CLIP's authors released with their results"
_SPEC: Key = ("spec", "mean", "acc")
_SHARED: tuple[Key, ...] = (
    ("aro", "mean", "acc"),
    ("crepe", "mean", "R@1_micro"),
    ("eqben", "mean", "group"),
    ("imagecode", "all", "R@1_micro"),
    ("sugarcrepe", "mean", "acc"),
    ("svo_probes", "mean", "acc"),
    ("valse", "mean", "acc"),
    ("vl_checklist", "mean", "acc"),
    ("whatsup", "mean", "acc"),
    ("winoground", "all", "group"),
)


def _recall(way: str) -> tuple[Key, ...]:
    metric = f"{way}_retrieval_recall@1"
    return (
        ("dataset_coco", RETRIEVAL, metric),
        ("dataset_flickr30k", RETRIEVAL, metric),
        ("coco_counterfactuals", "pool", metric),
    )


SUGARCREPE_MACRO = Mean(
    "sugarcrepe_macro", tuple(("sugarcrepe", one, "acc") for one in SUBSETS), _READ
)
MEANS: dict[str, Mean] = {
    one.name: one
    for one in (
        Mean("comp_fsc_clip", (*_SHARED, _SPEC), _FSC),
        Mean(
            "comp_survey",
            (*_SHARED, ("colorswap", "all", "group"), ("mmvp_vlm", "mean", "group")),
            _SURVEY,
        ),
        SUGARCREPE_MACRO,
        Mean(
            "read_clip_mean",
            (
                ("whatsup", "mean", "acc_micro_group"),
                ("valse", "all", "acc_micro"),
                ("crepe", "mean", "R@1_macro_complexity"),
                SUGARCREPE_MACRO,
                ("sugarcrepe_pp", "mean", "itt"),
                ("sugarcrepe_pp", "mean", "tot_sym"),
            ),
            _READ,
        ),
        Mean(
            "zs_elevater",
            tuple((one.name, ZERO_SHOT, one.metric) for one in NAMED_SETS if one.elevater),
            _FSC,
        ),
        Mean("i2t_fsc_clip", _recall("text"), _FSC),
        Mean("t2i_fsc_clip", _recall("image"), _FSC),
    )
}


def find_mean(mean: Mean, values: Mapping[Key, float]) -> Found:
    """Return a mean of the values of one model, or which members it lacks.

    A value that stands under the mean's own key (a paper prints it) is taken where members lack.
    """
    members: list[float] = []
    missing: list[str] = []
    for member in mean.members:
        if isinstance(member, Mean):
            inner = find_mean(member, values)
            missing += inner.missing
            value = inner.value
        else:
            value = values.get(member)
            missing += [" ".join(member)] if value is None else []
        members += [] if value is None else [value]
    if missing:
        printed = values.get(mean.key)
        return Found(mean, printed, () if printed is not None else tuple(missing))
    return Found(mean, sum(members) / len(members), ())


def named_means(rows: Iterable[Result]) -> dict[str, list[Found]]:
    """Return, for each model, the means that it has at least one member of."""
    values: dict[str, dict[Key, list[float]]] = {}
    for row in rows:
        values.setdefault(row.model, {}).setdefault(row.key, []).append(row.value)
    found: dict[str, list[Found]] = {}
    for model, runs in values.items():
        mean = {key: sum(each) / len(each) for key, each in runs.items()}
        every = [find_mean(one, mean) for one in MEANS.values()]
        found[model] = [
            one for one in every if one.value is not None or len(one.missing) < _count(one.mean)
        ]
    return found


def _count(mean: Mean) -> int:
    """Return how many numbers are behind a mean."""
    return sum(_count(one) if isinstance(one, Mean) else 1 for one in mean.members)
