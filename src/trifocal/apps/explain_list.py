"""Many regions explained: a list of them in, JSON lines out, resumable line by line."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from trifocal.apps.explain import GivenRegion, explain
from trifocal.data.regions import Region
from trifocal.data.sherlock_files import read_box
from trifocal.errors import UserError
from trifocal.metrics.progress import Progress, Quiet
from trifocal.regions.bank import Bank, Onward
from trifocal.regions.encoder import region_encoder

logger = logging.getLogger(__name__)

_REGIONS = 64  # regions explained, and lines written, at a time
Record = dict[str, Any]


@dataclass(frozen=True)
class ListedRegion:
    """A line of a list of regions.

    Attributes:
        region: What is to be explained.
        facts: What the line says ("id", "image", "boxes"), as the output repeats it.
    """

    region: GivenRegion
    facts: Record


def region_key(facts: Record) -> str:
    """Return what tells whether an output line is about a listed region."""
    return json.dumps([facts.get(name) for name in ("id", "image", "boxes")])


def read_regions(path: str | os.PathLike[str]) -> list[ListedRegion]:
    """Read a list of regions: {"image": path, "boxes": [[x, y, w, h], …], "id": …} a line.

    A relative path starts from the list's folder; no boxes mean the whole picture; "id" may be
    left out. A line that says the same again is left out.

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
                    one = _listed(line, file, f"{file}, line {number}: ")
                    found.setdefault(region_key(one.facts), one)
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text; save it as such.") from None
    if not found:
        raise UserError(f'{file} lists no region; give an {{"image": …}} on each line.')
    return list(found.values())


def _listed(line: str, file: Path, where: str) -> ListedRegion:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise UserError(
            f'{where}not like {{"image": "a.jpg", "boxes": [[40, 60, 120, 80]]}}; mend the line.'
        )
    boxes = entry.get("boxes") or []
    try:
        if not isinstance(boxes, list):
            raise ValueError("has boxes that are no list")
        read = tuple(read_box(box, empty=True) for box in boxes)
    except ValueError as error:
        raise UserError(f"{where}the region {error}; mend the line.") from None
    named = isinstance(entry.get("id"), str | int)
    facts = {**({"id": entry["id"]} if named else {}), "image": entry["image"], "boxes": boxes}
    return ListedRegion(GivenRegion(file.parent / entry["image"], read, where=where), facts)


def explain_listed(
    model: Any,
    listed: Sequence[ListedRegion],
    bank: Bank,
    top: int = 5,
    out: str | os.PathLike[str] | None = None,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write a JSON line for each region; return how many regions now have theirs.

    Args:
        model: See `explain`.
        listed: The regions.
        bank: What to choose from.
        top: How many explanations of each.
        out: The file, by default standard output. Regions it has already are left as they are; a
            line that was cut off is made again.
        skip_bad: Warn of a picture or box that is no good, and go on; they have no line, so that
            another run tries them again.
        progress: Told of every region.

    Raises:
        UserError: a region is no good, or the file holds something else.
    """
    encoder = region_encoder(model)
    run, progress = _run(encoder, bank, top), progress or Quiet()
    count = 0
    with _output(out, run) as (write, finished):
        rest = [one for one in listed if region_key(one.facts) not in finished]
        count += len(listed) - len(rest)
        progress.start("regions", len(listed))
        progress.advance(count)
        for start in range(0, len(rest), _REGIONS):
            chunk = rest[start : start + _REGIONS]
            try:
                found = explain(encoder, _regions(chunk), bank, top, progress=Onward(progress))
            except UserError:
                if not skip_bad:
                    raise
                chunk = [one for one in chunk if _good(one)]
                found = explain(encoder, _regions(chunk), bank, top)
            pairs = zip(chunk, found, strict=True)
            write(
                [
                    {"run": run, **one.facts, "explanations": [each.as_dict() for each in best]}
                    for one, best in pairs
                ]
            )
            count += len(chunk)
    return count


def _regions(chunk: Sequence[ListedRegion]) -> list[Region]:
    return [one.region for one in chunk]


def _good(one: ListedRegion) -> bool:
    try:
        one.region.open()
    except UserError as error:
        logger.warning("skipped: %s", error)
        return False
    return True


def _run(encoder: Any, bank: Bank, top: int) -> str:
    """Return a hash of all that decides an explanation besides the region."""
    shown = getattr(encoder, "prompt", encoder.protocol)
    return hashlib.sha256(repr((bank.key, shown, top)).encode()).hexdigest()[:12]


@contextmanager
def _output(
    out: str | os.PathLike[str] | None, run: str
) -> Iterator[tuple[Callable[[Sequence[Record]], None], set[str]]]:
    """Yield what writes lines, and the keys of the regions that have theirs."""
    if out is None:
        yield _print, set()
        return
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        file = open(out, "a+b")  # noqa: SIM115 - what follows is another kind of error
    except OSError as error:
        raise UserError(f"cannot write {out} ({error.strerror}); give another --out.") from None
    with file:
        finished = _finished(file, out, run)

        def write(records: Sequence[Record]) -> None:
            try:
                file.write("".join(json.dumps(record) + "\n" for record in records).encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise UserError(f"cannot write {out} ({error.strerror}); make room.") from None

        yield write, finished


def _print(records: Sequence[Record]) -> None:
    for record in records:
        print(json.dumps(record))
    sys.stdout.flush()


def _finished(file: BinaryIO, out: str | os.PathLike[str], run: str) -> set[str]:
    """Return the keys of the regions in a file; a line that was cut off is removed from it."""
    keys: set[str] = set()
    end, start = 0, f'{{"run": "{run}"'.encode()
    file.seek(0)
    for line in file:
        if not line.endswith(b"\n") and (line.startswith(start) or start.startswith(line)):
            break
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or "run" not in record or not line.endswith(b"\n"):
            raise UserError(f"{out} is not what `trifocal explain` wrote; give another --out.")
        if record["run"] != run:
            raise UserError(
                f"{out} holds explanations by another model, bank or --top; give another --out, "
                "or remove the file."
            )
        keys.add(region_key(record))
        end += len(line)
    file.truncate(end)
    return keys
