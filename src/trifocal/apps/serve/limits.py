"""What a request may cost, and the refusal of one that would cost more."""

from __future__ import annotations

from dataclasses import dataclass, fields

from trifocal.errors import UserError

_SLACK = 1 << 20  # bytes of a request beside its pictures: texts, boxes, the form itself


@dataclass(frozen=True)
class Limits:
    """Bounds of a request.

    Attributes:
        mb, megapixels: Of a picture, as a file and as it is shown.
        texts, boxes: Of a request.
        archive_mb, pictures: Of a classifier's class folders.
        queue: Requests that wait.
        at_once: Requests that are worked on at a time.
        seconds: Of a request, waiting included.
        letters: Of a text.
        classifiers: That are kept; the one not used for longest goes.
    """

    mb: int = 10
    megapixels: int = 24
    texts: int = 256
    boxes: int = 32
    archive_mb: int = 50
    pictures: int = 500
    queue: int = 32
    at_once: int = 2
    seconds: int = 30
    letters: int = 2000
    classifiers: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < (0 if field.name == "queue" else 1):
                raise UserError(
                    f"the limit {field.name} is below 1; give a whole number from 1 on."
                )

    @property
    def picture_bytes(self) -> int:
        """Bytes of a picture."""
        return self.mb << 20

    @property
    def archive_bytes(self) -> int:
        """Bytes of a classifier's class folders, packed and unpacked."""
        return self.archive_mb << 20

    def body_bytes(self, path: str) -> int:
        """Return the bytes that a request to a path may have."""
        most = self.archive_bytes if path.startswith("/api/classifiers") else self.picture_bytes
        return most + _SLACK


class Refused(Exception):  # noqa: N818 - it is told, not handled
    """A request that is not answered.

    Args:
        status: HTTP's: 404, 413 (too large), 422 (makes no sense), 429 or 503 (too much to do).
        sentence: Why, and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
