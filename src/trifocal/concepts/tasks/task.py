"""What a protocol gives to a head: features to fit to, features to select by, features to test on.

Sources make tasks from pictures and a backbone, or from files of ready features; the runner knows
tasks only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from trifocal.features.in_training import InTraining

ValMode = Literal["none", "few", "full"]
VAL_MODES: tuple[ValMode, ...] = ("none", "few", "full")


@dataclass(frozen=True)
class TestSet:
    """Features to test on."""

    features: Tensor  # (n, d)
    labels: Tensor  # (n,) as numbered in the support, or among `new_text` where that is given
    # The classes that compete, where that is not all of them (ImageNet-A and -R).
    candidates: Tensor | None = None
    # (D', d) texts of classes that are not in the support (base-to-new).
    new_text: Tensor | None = None
    # What the backbone remembers of the pictures, where these were embedded here.
    training: InTraining | None = None

    __test__ = False  # not a test of pytest's


@dataclass(frozen=True)
class FewShotTask:
    """One data set at one number of shots and one seed."""

    dataset: str
    shots: int  # support images of a class at most
    seed: int | None  # of the draw of the support; None where the draw came with the features
    support: Tensor  # (N, V, d) features, V views of each picture, not normalized
    labels: Tensor  # (N,)
    class_text: Tensor | None  # (D, d), or None
    concept_text: Tensor | None  # (I, d), or None
    # Features and labels for selection, or None (`val_mode` "none").
    val: tuple[Tensor, Tensor] | None
    val_mode: ValMode  # "none", "few" (min(shots, 4) a class) or "full"
    # By name; "test" is the data set's own, others are shifted domains or new classes.
    tests: Mapping[str, TestSet]
    classnames: Sequence[str] = ()  # D names
    concepts: Sequence[str] = ()  # I names
    images: Sequence[str] = ()  # N names of the support images, where there are any
    scale: float = 100.0  # the backbone's logit scale
    backbone: str = ""
    # (d, d') of a backbone whose features are from before it (ProLIP), or None.
    projection: Tensor | None = None


class TaskSource(Protocol):
    """Makes the tasks of one data set."""

    name: str

    def task(
        self, shots: int, seed: int, val_mode: ValMode, *, before_projection: bool = False
    ) -> FewShotTask:
        """Return one task; its picture features from before the projection, if so asked.

        Raises:
            UserError: the source has no such shots, seed, validation part or features.
        """
        ...
