"""Pictures that turn out broken while they are embedded: left out of a score, counted and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from trifocal.features.identity import Picture, identity
from trifocal.tally import MOST_LEFT_OUT, Tally

_NAMED = 3  # pictures that a row names


@dataclass
class Unreadable:
    """The broken ones among the pictures of a score.

    A layer that embeds pictures and is given one of these notes what it cannot read, and returns
    NaN there; whoever scores takes the rows of readable pictures.

    Attributes:
        source: What is scored, as a sentence calls it.
        most_left_out: The largest share of its pictures that may be broken.
        found: The broken pictures, and why they are.
        pictures: How many distinct ones were looked at, once they are embedded.
    """

    source: str
    most_left_out: float = MOST_LEFT_OUT
    found: dict[Hashable, str] = field(default_factory=dict)
    pictures: int = 0

    def __contains__(self, picture: Picture) -> bool:
        return bool(self.found) and identity(picture) in self.found

    def note(self, picture: Picture, error: Exception) -> None:
        """Note a picture that cannot be read; may be called in threads."""
        self.found[identity(picture)] = str(getattr(error, "reason", error))

    def close(self, pictures: int) -> None:
        """Say in one line what is left out, once so many distinct pictures were looked at.

        Raises:
            UserError: it is more than may be, or every picture.
        """
        self.pictures = pictures
        remedy = "restore the files, or allow for more with the option most_left_out"
        used = pictures - len(self.found)
        tally = Tally(self.source, self.most_left_out, remedy, used=used, entries="pictures")
        for name, reason in self._sorted():
            tally.leave_out(reason, name)
        tally.close()

    def readable(self, pictures: Sequence[Picture] | Tensor) -> Tensor:
        """Return (N,) bool: which of N pictures were read."""
        if isinstance(pictures, Tensor) or not self.found:
            return torch.ones(len(pictures), dtype=torch.bool)
        return torch.tensor([picture not in self for picture in pictures], dtype=torch.bool)

    def account(self, read: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return a row's account: that of what was read before, and the broken pictures."""
        if not self.found:
            return None if read is None else dict(read)
        found = self._sorted()
        broken = {
            "of": self.pictures,
            "left_out": dict(Counter(reason for _, reason in found)),
            "first": [name for name, _ in found[:_NAMED]],
        }
        return {**(read or {}), "unreadable": broken}

    def note_of(self, what: str = "") -> str:
        """Return what a protocol says of them; empty where every picture could be read.

        Args:
            what: That goes with a picture, such as "with their captions".
        """
        if not self.found:
            return ""
        count = f"{len(self.found):,} of {self.pictures:,} pictures"
        return f"; {count} cannot be read and are left out{what and ' ' + what}"

    def _sorted(self) -> list[tuple[str, str]]:
        """Return names and reasons in an order that does not depend on threads."""
        return sorted((str(name), reason) for name, reason in self.found.items())


def spread(rows: Tensor, there: Tensor) -> Tensor:
    """Return (N, D) with the rows where (N,) `there` is, and NaN elsewhere."""
    if bool(there.all()):
        return rows
    whole = rows.new_full((len(there), *rows.shape[1:]), torch.nan)
    whole[there] = rows
    return whole
