"""Which pictures of a test a model was trained on, as far as it remembers; see `clip.trained_on`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trifocal.clip.trained_on import TrainedOn
from trifocal.data.held import Held
from trifocal.data.images import BadImage, read_image_file
from trifocal.features.identity import Picture, content_hash, identity
from trifocal.progress import Progress, Quiet

logger = logging.getLogger(__name__)

_AT_ONCE = 1024  # pictures that are read before the next ones are asked for


@dataclass(frozen=True)
class InTraining:
    """What a model remembers of the pictures of a test.

    Attributes:
        count: How many it was trained on; None where it does not say what it was trained on, or no
            picture comes from a file.
        of: How many distinct picture files the test has.
    """

    count: int | None = None
    of: int = 0

    @property
    def note(self) -> str:
        """What a protocol says of them; empty where there are none."""
        if not self.count:
            return ""
        return f"; {self.count:,} of the {self.of:,} pictures were in training"

    def account(self, read: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return a row's account: that of what was read before, and their number."""
        if self.count is None:
            return None if read is None else dict(read)
        return {**(read or {}), "seen_in_training": self.count}


NOTHING = InTraining()


def in_training(
    model: object, pictures: Iterable[Picture], source: str, also: TrainedOn | None = None
) -> InTraining:
    """Return what a model remembers of pictures, and say it where there are any.

    Their files are read for it, unless the model remembers nothing. A picture that cannot be read is
    one that it was not trained on.

    Args:
        model: An encoder; one without `trained_on` remembers nothing.
        pictures: Of the test, in any order; equal paths count once.
        source: What is tested, as a sentence calls it.
        also: What was trained beside the model, such as a head on it, was trained on.
    """
    known = getattr(model, "trained_on", TrainedOn()) | (also or TrainedOn())
    if not known:
        return NOTHING
    reads = {identity(one): read for one in pictures if (read := _reader(one)) is not None}
    if not reads:
        return NOTHING
    found = InTraining(known.count(digests([*reads.values()])), len(reads))
    if found.count:
        logger.warning(
            "%s: %s of the %s pictures were in the training of %s%s",
            source,
            f"{found.count:,}",
            f"{found.of:,}",
            getattr(model, "name", "the model"),
            " or of the classifier on it" if also else "",
        )
    return found


def digests(
    reads: Sequence[Callable[[], bytes]], *, threads: int = 4, progress: Progress | None = None
) -> list[bytes]:
    """Return the content hashes of pictures, without those that cannot be read.

    Args:
        reads: Each returns the bytes of a file, or raises `BadImage`; called in threads.
        threads: How many are read at a time.
        progress: Told of every picture.
    """
    progress = progress or Quiet()
    if not reads:
        return []
    progress.start("hashing pictures", len(reads))
    found: list[bytes] = []
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for start in range(0, len(reads), _AT_ONCE):
            for digest in pool.map(_digest, reads[start : start + _AT_ONCE]):
                if digest is not None:
                    found.append(digest)
                progress.advance(1)
    return found


def _reader(picture: Picture) -> Callable[[], bytes] | None:
    """Return what reads the file that a picture is, or is a part of; None for one in memory."""
    if isinstance(picture, Held):
        return picture.content
    return partial(read_image_file, Path(picture)) if isinstance(picture, str | Path) else None


def _digest(read: Callable[[], bytes]) -> bytes | None:
    try:
        return content_hash(read())
    except BadImage:
        return None
