"""What turns out about the pictures of a score while they are embedded: some are broken, which are left
out, counted and named; some were in the model's training, which is counted and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from trifocal.clip.trained_on import TrainedOn
from trifocal.features.identity import Picture, identity
from trifocal.features.in_training import NOTHING, InTraining, in_training
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
        also: Pictures that were trained on beside those that the model remembers.
        found: The broken pictures, and why they are.
        pictures: How many distinct ones were looked at, once they are embedded.
        training: What the model remembers of them, from then on.
    """

    source: str
    most_left_out: float = MOST_LEFT_OUT
    also: TrainedOn | None = None
    found: dict[Hashable, str] = field(default_factory=dict)
    pictures: int = 0
    training: InTraining = NOTHING

    def __contains__(self, picture: Picture) -> bool:
        return bool(self.found) and identity(picture) in self.found

    def note(self, picture: Picture, error: Exception) -> None:
        """Note a picture that cannot be read; may be called in threads."""
        self.found[identity(picture)] = str(getattr(error, "reason", error))

    def close(self, model: object, pictures: Iterable[Picture]) -> None:
        """Say in one line what is left out, once pictures were shown to a model, and in another
        which of them it was trained on.

        Raises:
            UserError: more is left out than may be, or every picture.
        """
        distinct = {identity(picture): picture for picture in pictures}
        self.pictures = len(distinct)
        remedy = "restore the files, or allow for more with the option most_left_out"
        used = self.pictures - len(self.found)
        tally = Tally(self.source, self.most_left_out, remedy, used=used, entries="pictures")
        for name, reason in self._sorted():
            tally.leave_out(reason, name)
        tally.close()
        self.training = in_training(model, distinct.values(), self.source, self.also)

    def readable(self, pictures: Sequence[Picture] | Tensor) -> Tensor:
        """Return (N,) bool: which of N pictures were read."""
        if isinstance(pictures, Tensor) or not self.found:
            return torch.ones(len(pictures), dtype=torch.bool)
        return torch.tensor([picture not in self for picture in pictures], dtype=torch.bool)

    def account(self, read: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return a row's account: that of what was read before, and what turned out."""
        read = self.training.account(read)
        if not self.found:
            return read
        found = self._sorted()
        broken = {
            "of": self.pictures,
            "left_out": dict(Counter(reason for _, reason in found)),
            "first": [name for name, _ in found[:_NAMED]],
        }
        return {**(read or {}), "unreadable": broken}

    def note_of(self, what: str = "") -> str:
        """Return what a protocol says of broken pictures and of those in training; empty for none.

        Args:
            what: That goes with a broken picture, such as "with their captions".
        """
        if not self.found:
            return self.training.note
        count = f"{len(self.found):,} of {self.pictures:,} pictures"
        left = f"; {count} cannot be read and are left out{what and ' ' + what}"
        return left + self.training.note

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
