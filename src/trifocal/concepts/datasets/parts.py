"""Training, validation and test parts where a data set comes without them.

CoOp (Zhou et al., arXiv 2109.01134) divides such sets class by class, 50 % for training, 20 % for
validation, 30 % for test; these are our defaults too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.datasets.split_files import Split
from trifocal.data.copies import copies
from trifocal.errors import UserError
from trifocal.tally import MOST_LEFT_OUT, Tally

VAL, TEST = 0.2, 0.3

Parts = tuple[list[LabeledImage], list[LabeledImage], list[LabeledImage]]


def divide(
    items: Sequence[LabeledImage],
    val: float = VAL,
    test: float = TEST,
    seed: int = 1,
    together: Sequence[Sequence[int]] = (),
) -> Parts:
    """Divide pictures into train, val and test, class by class.

    The same pictures, shares and seed give the same parts, and another class more changes nothing
    for the rest. Each part keeps the order of `items`.

    Args:
        items: All pictures.
        val: Share of a class for validation, rounded.
        test: Share of a class for test, rounded. At least one picture is left for training: a
            class of one has that only, a class of two has no validation picture.
        seed: Of the shuffle.
        together: Groups of indices that go into one part, such as copies of one picture: the first
            of train, val and test that one of them falls into.

    Raises:
        UserError: the shares are negative, or leave nothing to train on.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise UserError(
            f"the shares val={val} and test={test} must not be negative, and leave something "
            "for training."
        )
    classes: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        classes.setdefault(item.label, []).append(index)
    part_of: dict[int, int] = {}
    for indices in classes.values():
        random.Random(seed).shuffle(indices)
        for_val, for_test = _sizes(len(indices), val, test)
        for place, index in enumerate(indices):
            part_of[index] = 2 if place < for_test else 1 if place < for_test + for_val else 0
    for group in together:
        first = min(part_of[index] for index in group)
        part_of.update(dict.fromkeys(group, first))
    parts: Parts = ([], [], [])
    for index, item in enumerate(items):
        parts[part_of[index]].append(item)
    return parts


def apart(split: Split, images: Path, source: str, most_left_out: float = MOST_LEFT_OUT) -> Split:
    """Return a split with stated parts without the copies of what is tested on.

    No picture of the training and validation parts has the bytes of a test picture, nor one of the
    validation part those of a training picture.

    Args:
        split: The parts.
        images: Folder that the paths start from.
        source: What to call them where copies are left out.
        most_left_out: The largest share of the pictures that may be such copies.

    Raises:
        UserError: more of them are.
    """
    items = [*split.train, *split.val, *split.test]
    part_of = [0] * len(split.train) + [1] * len(split.val) + [2] * len(split.test)
    tally = Tally(source, most_left_out, "remove them from one of the parts")
    order = (2, 0, 1)  # which part keeps a picture: test, train, val
    gone: set[int] = set()
    for group in copies([images / item.path for item in items]):
        stays = min(group, key=lambda index: order.index(part_of[index]))
        for index in group:
            if part_of[index] != part_of[stays]:
                gone.add(index)
                place = f"{items[index].path} = {items[stays].path}"
                tally.leave_out("in two parts of the split", place)
    tally.use(len(items) - len(gone))
    tally.close()
    train, val, test = (
        [items[i] for i, one in enumerate(part_of) if one == part and i not in gone]
        for part in range(3)
    )
    return replace(split, train=train, val=val, test=test) if gone else split


def _sizes(count: int, val: float, test: float) -> tuple[int, int]:
    """Return how many of `count` pictures are for validation and for test."""
    for_test = min(int(test * count + 0.5), count - 1)
    return min(int(val * count + 0.5), count - 1 - for_test), for_test
