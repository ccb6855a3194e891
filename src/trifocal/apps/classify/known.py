"""Whether a picture shows any of a classifier's classes, at a stated rate of false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trifocal.concepts.calibration import fewest_known
from trifocal.concepts.head import Head
from trifocal.errors import UserError

NONE = "none of these"


def check_rate(head: Head, rate: float) -> None:
    """Refuse a rate of false alarms that a head cannot keep.

    Raises:
        UserError: it is not between 0 and 1, the head was not calibrated, or on too few pictures.
    """
    if not 0 < rate < 1:
        raise UserError(f"--none-of-these is {rate:g}; give a rate between 0 and 1, such as 0.05.")
    head.known_shares(torch.zeros(1, 1))  # says what is missing
    there, wanted = len(head.known_), fewest_known(rate)  # pyright: ignore[reportAttributeAccessIssue]
    if there < wanted:
        raise UserError(
            f"a false alarm in {rate:.2g} of the pictures is told from {wanted:,} pictures that the "
            f"classifier was not fitted to, and it was asked of {there:,}; give --none-of-these "
            f"{1 / (there + 1):.2g} or more, or fit it to more pictures."
        )


def told_known(head: Head, logits: Tensor, rate: float) -> list[dict[str, Any]]:
    """Return for each of n pictures, by logits (n, D), what a record says of it.

    "known" is the share of pictures of the classes that look as little like one, and "none_of_these"
    whether it is at most the rate.
    """
    return [
        {"known": round(share, 6), "none_of_these": share <= rate + 1e-12}
        for share in head.known_shares(logits).tolist()
    ]


def shown_class(record: Mapping[str, Any]) -> str:
    """Return what is shown as the class of a picture."""
    return NONE if record.get("none_of_these") else str(record["class"])


def known_line(records: Sequence[Mapping[str, Any]], head: Head, rate: float) -> str:
    """Return how many pictures are of no class, and how often that is said wrongly."""
    found = sum(bool(one["none_of_these"]) for one in records)
    return (
        f"{found:,} of {len(records):,} pictures show none of these classes; of pictures that do show "
        f"one, at most {100 * rate:g} % are called so on average (told from "
        f"{len(head.known_):,} pictures that it was not fitted to)"  # pyright: ignore[reportAttributeAccessIssue]
    )
