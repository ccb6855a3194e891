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
    """

    source: str
    most_left_out: float = MOST_LEFT_OUT
    remedy: str = "mend them"
    used: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

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
        if not self.left_out:
            return
        if not self.used or self.left_out > self.most_left_out * self.read:
            raise UserError(
                f"{self.left_out:,} of {self.read:,} entries of {self.source} cannot be used "
                f"({self._why()}); {self.remedy}."
            )
        logger.warning("%s", self)

    def facts(self) -> dict[str, Any]:
        """Return the account as plain data, for a results file."""
        counts = {reason: len(places) for reason, places in self.reasons.items()}
        return {"read": self.read, "used": self.used, "left_out": counts}

    def __str__(self) -> str:
        said = f"{self.source}: {self.read:,} entries read, {self.used:,} used"
        return f"{said}, {self.left_out:,} left out ({self._why()})" if self.left_out else said

    def _why(self) -> str:
        return "; ".join(
            f"{len(places):,} {reason}: {', '.join(places[:_NAMED])}"
            + (" …" if len(places) > _NAMED else "")
            for reason, places in self.reasons.items()
        )
