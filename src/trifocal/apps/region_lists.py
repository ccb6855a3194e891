"""Many regions asked about: a list of them in, JSON lines out, resumable line by line."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trifocal.apps.answer_files import LINES, check_answers, write_table
from trifocal.data.box_formats import (
    BoxFormat,
    check_format,
    fault,
    fits,
    in_pixels,
    is_number,
    read_box,
)
from trifocal.data.boxes import check_box, parse_box
from trifocal.data.images import BadImage, open_stored
from trifocal.data.keys import check_keys, unique
from trifocal.data.regions import UNIT, Box, Region
from trifocal.errors import UserError
from trifocal.files import Lines, growing
from trifocal.progress import Onward, Progress

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

CHUNK = 64  # regions answered, and lines written, at a time


class CannotOpen(UserError, BadImage):  # noqa: N818 - it is told, and may be noted
    """A sentence about a picture that cannot be read, which may also be noted and left out."""

    def __init__(self, sentence: str, path: str, reason: str) -> None:
        super(BadImage, self).__init__(sentence, path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return self.args[0]


@dataclass(frozen=True)
class GivenRegion(Region):
    """A region as a user wrote it: opening it checks it, and no box means the whole picture.

    Attributes:
        where: Which line says so, for the error message.
        box_format: What was said of how the boxes are written.
    """

    where: str = ""
    box_format: BoxFormat | None = None

    def open(self, draft: int | None = None) -> tuple[Image.Image, tuple[Box, ...]]:
        """Return the picture as RGB, and the boxes in its pixels.

        Raises:
            UserError: the picture cannot be read, or a box shows nothing of it.
        """
        try:
            image, boxes = super().open(draft)
        except (BadImage, OSError) as error:
            reason = getattr(error, "reason", error)
            sentence = (
                f"{self.where}cannot open the picture {self.image} ({reason}); "
                "give a whole JPEG, PNG or WebP file."
            )
            raise CannotOpen(sentence, str(self.image), str(reason)) from None
        # Without a frame the boxes are measured in the picture that is open.
        own = self.frame is None or self.frame == UNIT
        size = image.size if own or self.frame is None else self.frame
        try:
            for box in boxes if own else self.boxes:
                stored = None if fits(box, size) or not own else self._stored()
                check_box(box, size, self.box_format, stored)
        except UserError as error:
            raise UserError(f"{self.where}{error}") from None
        return image, boxes or ((0.0, 0.0, float(image.width), float(image.height)),)

    def _stored(self) -> tuple[int, int] | None:
        """Return width and height of the picture in its file, before EXIF turns it."""
        return open_stored(self.image)[1].size if isinstance(self.image, str | Path) else None


def given_region(
    image: Path,
    boxes: Sequence[Box],
    box_format: BoxFormat | None = None,
    frame: tuple[int, int] | None = None,
    where: str = "",
) -> GivenRegion:
    """Return a region as it was written.

    Args:
        image: The picture.
        boxes: Left, top, width and height, as `read_box` or `parse_box` return them.
        box_format: What was said of how they are written.
        frame: Width and height that they were measured in, if that was said.
        where: Which line says so, for the error message.

    Raises:
        UserError: boxes that were said to be normalized are not.
    """
    if box_format == "normalized":
        wrong = next(filter(None, (fault(box, box_format, UNIT) for box in boxes)), "")
        if wrong:
            raise UserError(f"{where}there is a {wrong}; give shares of the picture's sides.")
        boxes, frame = [in_pixels(box, box_format, frame or UNIT) for box in boxes], frame or UNIT
    return GivenRegion(image, tuple(boxes), frame, where, box_format)


def stated_boxes(texts: Sequence[str], box_format: BoxFormat | None) -> tuple[Box, ...]:
    """Return the boxes of a command line: --box, and --box-format, which says how it is written.

    Raises:
        UserError: a box cannot be read, or there is none that a format could be of.
    """
    if box_format and not texts:
        raise UserError("--box-format says how --box is written, and there is none; leave it out.")
    return tuple(parse_box(text, box_format) for text in texts)


Record = dict[str, Any]
Answer = Callable[[Sequence[GivenRegion], Progress | None], Sequence[Record]]


@dataclass(frozen=True)
class ListedRegion:
    """A line of a list of regions.

    Attributes:
        region: What is asked about.
        facts: What the line says of what is asked about, as the output repeats it.
    """

    region: GivenRegion
    facts: Record


@dataclass(frozen=True)
class Asked:
    """What lines of an output are the answers to.

    Attributes:
        run: A hash of all that decides an answer besides the region.
        by: The command that writes them, for messages.
        settings: What another run differs in, for messages.
    """

    run: str
    by: str
    settings: str


_FACTS = ("id", "image", "boxes", "box_format", "width", "height")
_KEYS = (*_FACTS, "label")  # which only labeled lists need; others may have it


def region_key(facts: Record) -> str:
    """Return what tells whether an output line is about a listed region."""
    return json.dumps([facts.get(name) for name in _FACTS])


def read_regions(path: str | os.PathLike[str]) -> list[ListedRegion]:
    """Read a list of regions: {"image": path, "boxes": [[x, y, w, h], …], "id": …} a line.

    A relative path starts from the list's folder; no boxes mean the whole picture; "id" may be
    left out. A line that says the same again is left out. Boxes are in pixels of the picture as it
    is shown (EXIF orientation applied), unless "width" and "height" say in which they were
    measured, or "box_format" that they are something else (see `data.box_formats`).

    Raises:
        UserError: the file is missing or empty, or a line is not like that.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no list of regions at {file}; check the path.")
    found: dict[str, ListedRegion] = {}
    try:
        with file.open(encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    one = parse_region(line, file, f"{file}, line {number}: ")
                    found.setdefault(region_key(one.facts), one)
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text; save it as such.") from None
    if not found:
        raise UserError(f'{file} lists no region; give an {{"image": …}} on each line.')
    return list(found.values())


def parse_region(line: str, file: Path, where: str) -> ListedRegion:
    """Return the region of one line; `where` begins the message that says what is wrong with it.

    Raises:
        UserError: the line is not like that.
    """
    try:
        entry = json.loads(line, object_pairs_hook=unique)
        if isinstance(entry, dict):
            check_keys(entry, _KEYS)
    except UserError as error:
        raise UserError(f"{where}{error}") from None
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise UserError(
            f'{where}not like {{"image": "a.jpg", "boxes": [[40, 60, 120, 80]]}}; mend the line.'
        )
    named = isinstance(entry.get("id"), str | int) and not isinstance(entry.get("id"), bool)
    if entry.get("id") is not None and not named:
        raise UserError(f'{where}the "id" is neither a text nor a whole number; mend the line.')
    try:
        box_format, frame = check_format(entry.get("box_format")), _frame(entry)
        boxes = [] if entry.get("boxes") is None else entry["boxes"]
        if not isinstance(boxes, list):
            raise ValueError("has boxes that are no list")
        if len(boxes) == 4 and all(map(is_number, boxes)):
            raise ValueError("has one box where a list of boxes belongs, [[x, y, width, height]]")
        read = tuple(read_box(box, box_format, empty=True) for box in boxes)
        if not read and (box_format or frame):
            raise ValueError("says how boxes are written or measured, but has no boxes")
    except UserError as error:
        raise UserError(f"{where}{error}") from None
    except ValueError as error:
        raise UserError(f"{where}the region {error}; mend the line.") from None
    facts = {name: entry[name] for name in _FACTS if entry.get(name) is not None}
    region = given_region(file.parent / entry["image"], read, box_format, frame, where)
    return ListedRegion(region, {**facts, "boxes": boxes})


def _frame(entry: Record) -> tuple[int, int] | None:
    """Return the size of the picture that boxes were measured in, if the line says it."""
    width, height = entry.get("width"), entry.get("height")
    if width is None and height is None:
        return None
    if (
        type(width) is int
        and type(height) is int
        and 0 < min(width, height) <= max(width, height) < 1 << 31
    ):
        return width, height
    raise ValueError('has not both "width" and "height" of a picture, in pixels')


def answered(
    listed: Sequence[ListedRegion],
    answer: Answer,
    *,
    skip_bad: bool = False,
    progress: Progress,
) -> Iterator[list[Record]]:
    """Yield what is known of the regions and what is answered about them, a chunk at a time.

    Args:
        listed: The regions.
        answer: Returns an answer for each of some regions.
        skip_bad: Warn of a picture or box that is no good, and leave it out.
        progress: Told of every region.

    Raises:
        UserError: a region is no good.
    """
    for start in range(0, len(listed), CHUNK):
        chunk = listed[start : start + CHUNK]
        try:
            found = answer([one.region for one in chunk], Onward(progress))
        except UserError:
            if not skip_bad:
                raise
            chunk = [one for one in chunk if _good(one)]
            found = answer([one.region for one in chunk], None)
        yield [{**one.facts, **each} for one, each in zip(chunk, found, strict=True)]


def write_answers(
    listed: Sequence[ListedRegion],
    answer: Answer,
    asked: Asked,
    out: str | os.PathLike[str] | None = None,
    *,
    skip_bad: bool = False,
    progress: Progress,
) -> int:
    """Write a JSON line for each region; return how many regions now have theirs.

    Args:
        listed: The regions.
        answer: Returns an answer for each of some regions.
        asked: What the lines are the answers to.
        out: The file, by default standard output; its ending says in which form (.jsonl, .json,
            .csv, .tsv). Lines can be gone on with: regions that they have already are left as they
            are, and a line that was cut off is made again.
        skip_bad: Warn of a picture or box that is no good, and go on; they have no line, so that
            another run tries them again.
        progress: Told of every region.

    Raises:
        UserError: a region is no good, or the file holds something else.
    """
    with _output(out, asked) as (write, finished):
        rest = [one for one in listed if region_key(one.facts) not in finished]
        count = len(listed) - len(rest)
        progress.start("regions", len(listed))
        progress.advance(count)
        for records in answered(rest, answer, skip_bad=skip_bad, progress=progress):
            write([{"run": asked.run, **record} for record in records])
            count += len(records)
    return count


def _good(one: ListedRegion) -> bool:
    try:
        one.region.open()
    except UserError as error:
        logger.warning("skipped: %s", error)
        return False
    return True


@contextmanager
def _output(
    out: str | os.PathLike[str] | None, asked: Asked
) -> Iterator[tuple[Callable[[Sequence[Record]], None], set[str]]]:
    """Yield what writes lines, and the keys of the regions that have theirs."""
    if out is None:
        yield _print, set()
        return
    check_answers(out, "answers", asked.by)
    if Path(out).suffix.lower() != LINES:
        records: list[Record] = []
        yield records.extend, set()
        write_table(out, [{k: v for k, v in one.items() if k != "run"} for one in records])
        return
    with _lines(out, asked) as found:
        yield found


@contextmanager
def _lines(
    out: str | os.PathLike[str], asked: Asked
) -> Iterator[tuple[Callable[[Sequence[Record]], None], set[str]]]:
    """Yield the same of a file of lines; where nothing comes of it, a new one is removed again."""
    there = os.path.exists(out)
    with growing(out, wait=False) as lines:
        finished = _finished(lines, out, asked)

        def write(records: Sequence[Record]) -> None:
            lines.add("".join(json.dumps(record) + "\n" for record in records).encode())

        try:
            yield write, finished
        finally:
            if not there and not lines.size:
                os.unlink(out)


def _print(records: Sequence[Record]) -> None:
    for record in records:
        print(json.dumps(record))
    sys.stdout.flush()


def _finished(lines: Lines, out: str | os.PathLike[str], asked: Asked) -> set[str]:
    """Return the keys of the regions in a file; a line that was cut off is removed from it."""
    keys: set[str] = set()
    end, start = 0, f'{{"run": "{asked.run}"'.encode()
    for line in lines.read().splitlines(keepends=True):
        if not line.endswith(b"\n") and (line.startswith(start) or start.startswith(line)):
            break
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or "run" not in record or not line.endswith(b"\n"):
            raise UserError(f"{out} is not what `{asked.by}` wrote; give another --out.")
        if record["run"] != asked.run:
            raise UserError(
                f"{out} holds answers by {asked.settings}; give another --out, or remove the file."
            )
        keys.add(region_key(record))
        end += len(line)
    lines.cut(end)
    return keys
