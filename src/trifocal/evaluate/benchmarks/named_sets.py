"""Data sets of zero-shot classification that go by a name, each with its own metric and rules.

CLIP_benchmark (MIT) and ELEVATER (Li et al., NeurIPS 2022, arXiv 2204.08790; MIT) call many of the
same sets by other names, put other prompts around the classes, and ELEVATER does not count plain
accuracy on all. A set's rows are filed under CLIP_benchmark's name, whoever's name was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Metric = Literal["acc1", "mean_per_class_recall", "roc_auc", "11_point_mAP"]
Family = Literal["clip_benchmark", "elevater"]

FAMILIES: dict[str, str] = {"clip_benchmark": "CLIP_benchmark's", "elevater": "ELEVATER's"}


@dataclass(frozen=True)
class NamedSet:
    """What is fixed for a data set.

    Attributes:
        name: CLIP_benchmark's key.
        classes: How many it has.
        metric: What ELEVATER counts; plain accuracy for sets that it does not have.
        elevater: ELEVATER's key; None for a set that is not one of its 21.
        test: Pictures in ELEVATER's test part, if it is one of those.
        templates: How many prompts a class has in CLIP_benchmark and in ELEVATER; 0 for none.
        also: Other names of it.
        several: Whether a picture may have several classes.
        border: Pixels to cut from each side.
        whole: Whether the whole picture is shown, stretched, rather than its center.
    """

    name: str
    classes: int
    metric: Metric = "acc1"
    elevater: str | None = None
    test: int | None = None
    templates: tuple[int, int] = (1, 0)
    also: tuple[str, ...] = ()
    several: bool = False
    border: int = 0
    whole: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All names of it, CLIP_benchmark's first."""
        own = (self.name, *([self.elevater] if self.elevater else []), *self.also)
        return (*own, *(f"wds_{one}" for one in own), *(f"wds_vtab-{one}" for one in own))


_MEAN = "mean_per_class_recall"
# The 21 of ELEVATER in the order of its tables, then those that only CLIP_benchmark has.
NAMED_SETS: tuple[NamedSet, ...] = (
    NamedSet("caltech101", 102, _MEAN, "caltech-101", 6084, (34, 34)),
    NamedSet("cifar10", 10, "acc1", "cifar-10", 10_000, (18, 18)),
    NamedSet("cifar100", 100, "acc1", "cifar-100", 10_000, (18, 18)),
    NamedSet("country211", 211, "acc1", "country211", 21_100, (5, 5)),
    NamedSet("dtd", 47, "acc1", "dtd", 1880, (8, 8)),
    NamedSet("eurosat", 10, "acc1", "eurosat_clip", 5000, (3, 3)),
    NamedSet("fer2013", 7, "acc1", "fer-2013", 3589, (6, 6)),
    NamedSet(
        "fgvc_aircraft", 100, _MEAN, "fgvc-aircraft-2013b-variants102", 3333, (2, 2),
        ("fgvc-aircraft-2013b",),
    ),
    NamedSet(
        "flowers", 102, _MEAN, "oxford-flower-102", 6149, (1, 1), ("oxford_flowers", "flowers102")
    ),
    NamedSet("food101", 101, "acc1", "food-101", 25_250, (1, 1)),
    NamedSet("gtsrb", 43, "acc1", "gtsrb", 12_630, (3, 3)),
    NamedSet("hateful_memes", 2, "roc_auc", "hateful-memes", 500, (0, 1)),
    NamedSet("imagenet1k", 1000, "acc1", "imagenet-1k", 50_000, (80, 80), ("imagenet",)),
    NamedSet(
        "kitti_closest_vehicle_distance", 4, "acc1", "kitti-distance", 711, (1, 1), whole=True
    ),
    NamedSet("mnist", 10, "acc1", "mnist", 10_000, (1, 1)),
    NamedSet("pets", 37, _MEAN, "oxford-iiit-pets", 3669, (1, 1), ("oxford_pets",)),
    NamedSet("pcam", 2, "acc1", "patch-camelyon", 32_768, (2, 1)),
    NamedSet("renderedsst2", 2, "acc1", "rendered-sst2", 1821, (1, 1), ("sst2",)),
    NamedSet("resisc45", 45, "acc1", "resisc45_clip", 25_200, (4, 18)),
    NamedSet("cars", 196, "acc1", "stanford-cars", 8041, (8, 8)),
    NamedSet(
        "voc2007_multilabel", 20, "11_point_mAP", "voc-2007-classification", 4952, (1, 1),
        several=True,
    ),
    NamedSet("voc2007", 20),
    NamedSet("sun397", 397, templates=(2, 0)),
    NamedSet("stl10", 10, templates=(2, 0)),
    NamedSet("svhn", 10, templates=(6, 0)),
    NamedSet("imagenetv2", 1000, templates=(80, 0)),
    NamedSet("imagenet_sketch", 1000, templates=(80, 0)),
    NamedSet("imagenet-a", 200, templates=(80, 0)),
    NamedSet("imagenet-r", 200, templates=(80, 0)),
    NamedSet("objectnet", 113, templates=(80, 0), border=2),
    NamedSet("clevr_closest_object_distance", 6),
    NamedSet("clevr_count_all", 8),
    NamedSet("diabetic_retinopathy", 5),
    NamedSet("dmlab", 6),
)  # fmt: skip


def find_set(name: str) -> NamedSet | None:
    """Return the set of a name of either family; "wds_", "vtab/" and hyphens make no difference."""
    return _BY_NAME.get(_plain(name))


def elevater_members() -> list[tuple[str, str]]:
    """Return name and metric of the 21 sets whose plain mean is ELEVATER's zero-shot score."""
    return [(one.name, one.metric) for one in NAMED_SETS if one.elevater is not None]


def key_in(names: Sequence[str], dataset: str) -> str | None:
    """Return which of some names means a data set: itself, or another name of the same set."""
    if dataset in names:
        return dataset
    wanted = find_set(dataset)
    return next((one for one in names if wanted is not None and find_set(one) == wanted), None)


def _plain(name: str) -> str:
    return re.sub(r"[-_/ ]", "", re.sub(r"^(wds[-_])?(vtab[-_/])?", "", name.lower()))


_BY_NAME = {_plain(name): one for one in NAMED_SETS for name in one.names}
