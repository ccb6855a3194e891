"""The few-shot draw of CoOp, element for element, and the variants of other repositories.

CoOp (Zhou et al., arXiv 2109.01134) seeds Python's `random`, groups the training pictures by class
in the order in which classes first appear in the file, draws M of each group, and then, from the
same stream, min(M, 4) of each group of the validation pictures. Repositories that draw validation
first, or pad small classes, get other pictures from the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.errors import UserError

Shots = int | Literal["all"]
Order = Literal["train-first", "val-first"]
ValFrom = Literal["val", "train"]
Drawn = tuple[list[LabeledImage], list[LabeledImage]]

VAL_SHOTS = 4  # at most, where nothing else is asked


def sample_few_shot(
    dataset: ImageClasses,
    shots: Shots,
    seed: int,
    val_shots: Shots | None = None,
    pad: bool = False,
    order: Order = "train-first",
    val_from: ValFrom = "val",
) -> Drawn:
    """Draw support and validation pictures.

    Args:
        dataset: Its `train` and `val`, in the order of their file.
        shots: Pictures of a class, all of them where there are fewer; "all" draws nothing.
        seed: Of the draw; the field uses 1, 2 and 3.
        val_shots: The same for validation; by default min(shots, 4), or "all" with all shots.
        pad: Draw `shots` with repetition where a class has fewer (Tip-Adapter).
        order: "val-first" for CLIP-LoRA.
        val_from: "train" for a data set without validation pictures (ImageNet): validation
            pictures are those that the draw from `train` takes beyond the `shots` (CLIP-LoRA).

    Returns:
        The two lists, class by class.

    Raises:
        UserError: a number of shots is not positive, a class has no training picture, or the
            options do not go together.
    """
    if val_shots is None:
        val_shots = "all" if shots == "all" else min(_checked(shots, 1), VAL_SHOTS)
    _checked(shots, 1)
    _checked(val_shots, 0)
    check_each_class(dataset)
    rng = random.Random(seed)  # the stream of random.seed(seed), without touching the global one
    if val_from == "train":
        if pad:
            raise UserError(
                "padding would put support pictures among the validation pictures drawn from "
                "the training ones; leave one of the two options."
            )
        return _with_extra(dataset.train, shots, val_shots, rng)
    if order == "val-first":
        val = draw(dataset.val, val_shots, rng, pad)
        return draw(dataset.train, shots, rng, pad), val
    train = draw(dataset.train, shots, rng, pad)
    return train, draw(dataset.val, val_shots, rng, pad)


def draw(
    items: Sequence[LabeledImage], shots: Shots, rng: random.Random, pad: bool = False
) -> list[LabeledImage]:
    """Draw pictures of each class, in the order in which the classes first appear."""
    if shots == "all":
        return list(items)
    if shots == 0:
        return []
    drawn: list[LabeledImage] = []
    for group in _groups(items):
        if len(group) >= shots:
            drawn += rng.sample(group, shots)
        else:
            drawn += rng.choices(group, k=shots) if pad else group
    return drawn


def check_each_class(dataset: ImageClasses) -> None:
    """Raise a `UserError` that names a class without a training picture, if there is one."""
    there = {item.label for item in dataset.train}
    for label, name in enumerate(dataset.classnames):
        if label not in there:
            raise UserError(
                f"{dataset.name} has no training picture of class {label} ({name}); add one, or "
                "leave the class out."
            )


def _with_extra(
    items: Sequence[LabeledImage], shots: Shots, val_shots: Shots, rng: random.Random
) -> Drawn:
    """Draw both from one list: the first of each class are support, those beyond validation."""
    if shots == "all" or val_shots == "all":
        raise UserError(
            "validation pictures drawn from the training ones need numbers of shots, not all."
        )
    train: list[LabeledImage] = []
    val: list[LabeledImage] = []
    for group in _groups(items):
        chosen = rng.sample(group, min(shots + val_shots, len(group)))
        train += chosen[:shots]
        val += chosen[shots:]
    return train, val


def _groups(items: Sequence[LabeledImage]) -> list[list[LabeledImage]]:
    groups: dict[int, list[LabeledImage]] = {}
    for item in items:
        groups.setdefault(item.label, []).append(item)
    return list(groups.values())


def _checked(shots: Shots, least: int) -> int:
    """Return a number of shots; "all" counts as none."""
    if shots == "all":
        return 0
    if type(shots) is not int or shots < least:
        raise UserError(f'shots must be an integer from {least} on, or "all", not {shots!r}.')
    return shots
