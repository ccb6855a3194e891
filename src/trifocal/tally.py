"""What became of the entries of a file: how many were read, used, and left out, and why.

A number measured on nine tenths of a table looks like one measured on all of it. So every reader
keeps count, says in one line what it left out, and refuses to go on when that is too much.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from trifocal.errors import UserError

logger = logging.getLogger(__name__)

MOST_LEFT_OUT = 0.01  # the share of entries that may be left out before it is an error
_NAMED = 3  # places that are named for each reason


@dataclass
class Tally:
    """The account of one source.

    Attributes:
        source: What is read: a file, a folder, a pattern of shards.
        most_left_out: The largest share of entries that may be left out.
        remedy: What allows more of it, as an end of a sentence.
        used: Entries that are used.
        reasons: For each reason to leave an entry out, where those entries are.
        parts: The same for parts of entries that are used all the same, such as one of the captions
            of a picture. A single one is never too much; more are held against the entries.
        aside: What is no entry and is passed over, such as hidden folders: by kind, where.
        entries: What a sentence calls them.
    """

    source: str
    most_left_out: float = MOST_LEFT_OUT
    remedy: str = "mend them"
    used: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)
    aside: dict[str, list[str]] = field(default_factory=dict)
    entries: str = "entries"

    def use(self, count: int = 1) -> None:
        """Note entries that are used."""
        self.used += count

    def leave_out(self, reason: str, place: str) -> None:
        """Note an entry that is left out.

        Args:
            reason: Why, such as "no caption"; equal reasons are counted together.
            place: Where it is: "line 7", an id, a file name.
        """
        self.reasons.setdefault(reason, []).append(place)

    def drop_part(self, reason: str, place: str) -> None:
        """Note a part that is left out of an entry that is used."""
        self.parts.setdefault(reason, []).append(place)

    def pass_over(self, kind: str, place: str) -> None:
        """Note what is no entry at all and is not looked at."""
        self.aside.setdefault(kind, []).append(place)

    @property
    def left_out(self) -> int:
        """How many entries were left out."""
        return sum(map(len, self.reasons.values()))

    @property
    def read(self) -> int:
        """How many entries there were."""
        return self.used + self.left_out

    def close(self) -> None:
        """Say what was left out, once everything is read.

        Raises:
            UserError: It is more than may be, or nothing is left to use.
        """
        most = self.most_left_out * self.read
        parts = sum(map(len, self.parts.values()))
        if self.left_out and (not self.used or self.left_out > most):
            raise UserError(
                f"{self.left_out:,} of {self.read:,} {self.entries} of {self.source} cannot be used "
                f"({_listed(self.reasons)}); {self.remedy}."
            )
        if parts > max(most, 1 if self.most_left_out else 0):
            raise UserError(
                f"{parts:,} parts of the {self.read:,} {self.entries} of {self.source} cannot be used "
                f"({_listed(self.parts)}); {self.remedy}."
            )
        if self.left_out or parts or self.aside:
            logger.warning("%s", self)

    def facts(self) -> dict[str, Any]:
        """Return the account as plain data, for a results file."""
        facts = {"read": self.read, "used": self.used, "left_out": _counts(self.reasons)}
        more = {"parts_left_out": _counts(self.parts), "passed_over": _counts(self.aside)}
        return facts | {name: counts for name, counts in more.items() if counts}

    def __str__(self) -> str:
        said = f"{self.source}: {self.read:,} {self.entries} read, {self.used:,} used"
        if self.left_out:
            said += f", {self.left_out:,} left out ({_listed(self.reasons)})"
        if self.parts:
            said += f", parts left out ({_listed(self.parts)})"
        if self.aside:
            said += f", passed over ({_listed(self.aside)})"
        return said


def _counts(places: dict[str, list[str]]) -> dict[str, int]:
    return {reason: len(found) for reason, found in places.items()}


def _listed(places: dict[str, list[str]]) -> str:
    """Say how many there are of each kind, and where the first are."""
    return "; ".join(
        f"{len(found):,} {reason}: {', '.join(found[:_NAMED])}"
        + (" …" if len(found) > _NAMED else "")
        for reason, found in places.items()
    )
