"""Captioned photos: a list of items from any of the usual files, and a source made of it."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from trifocal import config
from trifocal.data.caption_files import CaptionFile, Format, Row, read_rows
from trifocal.data.file_part import FilePart
from trifocal.data.images import open_image
from trifocal.data.picture_keys import drafted_part, picture_key
from trifocal.data.samples import Sample
from trifocal.data.section import CaptionedSection, drafted
from trifocal.errors import UserError
from trifocal.files import atomic_write
from trifocal.tally import Tally

if TYPE_CHECKING:
    from PIL import Image

    from trifocal.clip.embeddings import ImageEmbedding

logger = logging.getLogger(__name__)

_DRAW = 0  # which photos are held out: the same for every seed of training
# How many where nobody says: so many, but no more than this share of the photos, and none of fewer.
_HELD_OUT, _SHARE, _FEWEST = 200, 0.05, 400


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """A photo and what is said about it.

    Attributes:
        id: Names it in logs; as a rule the path in the caption file.
        image: Path of the picture.
        captions: One sentence or several.
        negatives: Hard negatives written ahead, for a single caption.
    """

    id: str
    image: str
    captions: tuple[str, ...]
    negatives: tuple[str, ...] = ()


def read_captions(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    format: Format = "auto",
    split: str | None = None,
    usual_split: str | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    encoding: str | None = None,
    tally: Tally | None = None,
) -> list[CaptionItem]:
    """Read a caption file.

    Args:
        path: A table (CSV, TSV, JSON lines), a Karpathy or COCO JSON, NegCLIP's TSV, or a folder
            of pictures with a text file beside each.
        images: The folder that image paths start from; by default the caption file's own. Where
            the file's paths have folders that are not there, names alone are looked up.
        format: The form of the file, where it cannot be told from its content.
        split: Keep this part of a file that has a split; `train+restval` joins two.
        usual_split: The part to keep where none is asked for, if the file has it.
        image_column: The table's column of image paths.
        caption_column: The table's column of captions.
        encoding: Of the file; UTF-8 by default.
        tally: Becomes the account of what was read, used and left out; by default one is kept that
            allows for 1 % left out.

    Returns:
        One item a row of a table, one item a photo of the other forms, without empty captions.

    Raises:
        UserError: the file cannot be read, lacks a column, or has nothing of that split; too much
            of it cannot be used; or two of its paths would be looked up as one file.
    """
    file = Path(path).expanduser()
    tally = tally or Tally(str(file))
    rows = read_rows(CaptionFile(file, format, image_column, caption_column, encoding), tally)
    if split is None and any(row.split == usual_split for row in rows):
        split = usual_split
    if split is not None:
        rows = _of_split(rows, split, file)
    kept = [row for row in rows if _usable(row, tally)]
    tally.close()
    if not kept:
        raise UserError(f"{file} has no captions; check its format.")
    place = _placement(kept, file, Path(images).expanduser() if images is not None else None)
    return [CaptionItem(row.image, place(row.image), row.captions, row.negatives) for row in kept]


def _usable(row: Row, tally: Tally) -> bool:
    """Return whether a row has a caption, and note what it has besides."""
    for reason, place in row.wrong if row.captions else ():
        tally.drop_part(reason, place)
    if row.captions:
        tally.use()
    elif row.wrong:
        tally.leave_out(row.wrong[0][0], row.place)
    else:  # an image file lists pictures for other uses, too
        tally.pass_over("pictures listed without captions", row.place)
    return bool(row.captions)


def _of_split(rows: list[Row], split: str, file: Path) -> list[Row]:
    wanted = set(split.split("+"))
    found = {row.split for row in rows}
    strange = wanted - found
    if strange:
        there = ", ".join(sorted(name for name in found if name)) or "no splits"
        raise UserError(f"{file} has no split {strange.pop()!r}; it has {there}.")
    return [row for row in rows if row.split in wanted]


def _placement(rows: Sequence[Row], file: Path, images: Path | None) -> Callable[[str], str]:
    """Return the function from a path in the file to a path on this disk.

    The rule is the one that finds most of the first rows, so nothing is looked up row by row.

    Raises:
        UserError: names alone would be looked up, and two paths have the same.
    """
    folder = images or (file if file.is_dir() else file.parent)
    folders = [folder]
    if images is None and file.is_file():
        folders.append(file.with_suffix(""))  # captions.json beside captions/
    rules = [(place, whole) for place in folders for whole in (True, False)]

    def at(rule: tuple[Path, bool], name: str) -> str:
        return os.path.join(rule[0], name if rule[1] else os.path.basename(name))

    first = [row.image for row in rows[:50]]
    rule = max(rules, key=lambda rule: sum(os.path.isfile(at(rule, name)) for name in first))
    if not rule[1]:
        _check_names_alone([row.image for row in rows], rule[0], file)
    return lambda name: at(rule, name)


def _check_names_alone(names: Sequence[str], folder: Path, file: Path) -> None:
    """Raise a `UserError` if two pictures would be taken for one by their names alone."""
    known: dict[str, str] = {}
    for name in names:
        whole = os.path.normpath(name)
        other = known.setdefault(os.path.basename(whole), whole)
        if other != whole:
            raise UserError(
                f"{file} has the pictures {other} and {whole}, but there is only "
                f"{folder / os.path.basename(whole)} for both; put the pictures into the folders "
                "that the file names, or say where these are with images."
            )


def write_captions(path: Path, items: Iterable[CaptionItem]) -> None:
    """Write items as a JSON list that `read_captions` reads, pictures by their whole paths."""
    rows = [
        {"image": os.path.abspath(item.image), "caption": list(item.captions)} for item in items
    ]
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def missing_images(items: Iterable[CaptionItem]) -> list[str]:
    """Return the paths of pictures that are not there; each folder is listed once."""
    listed: dict[str, set[str]] = {}
    missing = []
    for item in items:
        folder, name = os.path.split(item.image)
        if folder not in listed:
            try:
                listed[folder] = set(os.listdir(folder or "."))
            except (OSError, ValueError):  # no such folder, or no name that a disk could have
                listed[folder] = set()
        if name not in listed[folder]:
            missing.append(item.image)
    return missing


def present(
    items: Sequence[CaptionItem], missing: Literal["error", "skip"] = "error"
) -> list[CaptionItem]:
    """Return the items whose picture is there.

    Raises:
        UserError: pictures are missing and `missing` is "error", or all of them are.
    """
    gone = set(missing_images(items))
    if gone and (missing == "error" or len(gone) == len({item.image for item in items})):
        shown = ", ".join(sorted(gone)[:3]) + (", ..." if len(gone) > 3 else "")
        raise UserError(
            f"{len(gone)} image files are missing ({shown}); set data.images to their folder"
            + (", or data.missing to skip." if missing == "error" else ".")
        )
    if gone:
        logger.warning("%d image files are missing; their captions are left out", len(gone))
    return [item for item in items if item.image not in gone]


class CaptionDataset:
    """Captioned photos as a source for training.

    Texts are packed into a few arrays: millions of small Python objects would be copied into each
    worker, page by page, as their reference counts change.

    Args:
        items: What `read_captions` gives.
        captions: With several captions to a photo, draw one each time, keep the first, or make
            each a sample of its own.
        draft: Let JPEGs be decoded at a reduced scale that still covers this many pixels.
        held_out: Items that are no samples, for who measures on them.
    """

    def __init__(
        self,
        items: Sequence[CaptionItem],
        *,
        captions: Literal["random", "first", "each"] = "random",
        draft: int | None = None,
        held_out: Sequence[CaptionItem] = (),
    ) -> None:
        self.held_out = held_out
        if captions == "each":
            items = [replace(item, captions=(text,)) for item in items for text in item.captions]
        elif captions == "first":
            items = [replace(item, captions=item.captions[:1]) for item in items]
        self.draft = draft
        self._ids = _Texts(item.id for item in items)
        self._images = _Texts(item.image for item in items)
        self._captions = _TextLists(item.captions for item in items)
        self._negatives = _TextLists(item.negatives for item in items)

    def __len__(self) -> int:
        return len(self._ids)

    def item(self, index: int) -> CaptionItem:
        """Return item `index`."""
        return CaptionItem(
            self._ids[index], self._images[index], self._captions[index], self._negatives[index]
        )

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """Return the caption that `sample` would draw, without opening the photo."""
        captions = self._captions[index]
        return captions[int(rng.integers(len(captions)))]

    def sample(
        self, index: int, rng: np.random.Generator, image: ImageEmbedding | None = None
    ) -> Sample:
        """Open the photo of item `index`, or take `image` for it, with one of its captions.

        Raises:
            BadImage: the photo cannot be read.
        """
        item, chosen = self.item(index), self.caption(index, rng)
        return Sample(
            item.id, self.picture(index) if image is None else image, chosen, item.negatives
        )

    def picture(self, index: int) -> Image.Image:
        """Open the photo of item `index`.

        Raises:
            BadImage: it cannot be read.
        """
        return open_image(self._images[index], name=self._ids[index], draft=self.draft)

    def picture_key(self, index: int) -> bytes:
        """Return what the photo of item `index` is known by on disk."""
        return picture_key(Path(self._images[index]), drafted_part(self.draft))

    def file_part(self, index: int) -> FilePart:
        """Return where the photo of item `index` lies."""
        return FilePart(self._images[index])


@dataclass(frozen=True, kw_only=True)
class CaptionData(CaptionedSection):
    """A file of captions with a folder of pictures, as a recipe's data.

    Attributes:
        path: The caption file, or a folder of pictures with a text file beside each.
        images: The folder that image paths of the file start from (by default its own folder).
        format: The form of the file.
        split: The part to train on, of a file that has parts (`train+restval`).
        image_column, caption_column: Columns of a table, where they cannot be guessed.
        encoding: Of the file, such as latin-1; UTF-8 by default.
        captions: With several captions an image, draw one anew each epoch, keep the first, or
            make each a sample of its own.
        missing: Refuse a file whose pictures are not all there, or leave those out.
        held_out: How many of its photos training never sees; they are measured on while it trains,
            and after it. By default 200, but at most one photo in twenty, and 0 of fewer than 400
            photos or where `split` names a part of the file, whose others are there to measure on.
        draft: Let JPEG decode at a reduced scale that still covers the model's image size. It is
            faster and changes pixels slightly.
    """

    source: Literal["captions"] = "captions"
    path: str
    images: str | None = None
    format: Format = "auto"
    split: str | None = None
    image_column: str | None = None
    caption_column: str | None = None
    encoding: str | None = None
    captions: Literal["random", "first", "each"] = "random"
    missing: Literal["error", "skip"] = "error"
    held_out: int | None = None
    draft: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"held_out": 0}, "data")

    def open(self, image_size: tuple[int, int]) -> CaptionDataset:
        """Read the file; photos are opened one by one."""
        items, held_out = self.parts()
        draft = drafted(self.draft, image_size)
        return CaptionDataset(items, captions=self.captions, draft=draft, held_out=held_out)

    def parts(self) -> tuple[list[CaptionItem], list[CaptionItem]]:
        """Return what is trained on and what is held out, which is the same in every run.

        Raises:
            UserError: more is to be held out than half of the photos.
        """
        items = read_captions(
            self.path,
            images=self.images,
            format=self.format,
            split=self.split,
            image_column=self.image_column,
            caption_column=self.caption_column,
            encoding=self.encoding,
            tally=self.tally(self.path),
        )
        found = present(items, self.missing)
        if self.held_out == 0 or (self.held_out is None and self.split is not None):
            return found, []
        photos = [*dict.fromkeys(os.path.realpath(item.image) for item in found)]
        count = self._count(len(photos))
        if 2 * count > len(photos):
            raise UserError(
                f"data.held_out is {count}, more than half of the {len(photos)} photos of "
                f"{self.path}; hold fewer out."
            )
        held = {*random.Random(_DRAW).sample(photos, count)}
        apart: tuple[list[CaptionItem], list[CaptionItem]] = ([], [])
        for item in found:
            apart[os.path.realpath(item.image) in held].append(item)
        return apart

    def _count(self, photos: int) -> int:
        """Return how many of so many photos are held out."""
        if self.held_out is not None:
            return self.held_out
        count = min(_HELD_OUT, int(_SHARE * photos)) if photos >= _FEWEST else 0
        if count:
            logger.info(
                "%d of the %d photos of %s are held out to measure on; with data.held_out 0 all are "
                "trained on",
                *(count, photos, self.path),
            )
        return count


class _Texts:
    """Strings in one array of bytes."""

    def __init__(self, texts: Iterable[str]) -> None:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        self._ends, self._bytes = ends, np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = self._bytes[self._ends[index] : self._ends[index + 1]]
        return part.tobytes().decode("utf-8", "surrogatepass")


class _TextLists:
    """Tuples of strings, flattened."""

    def __init__(self, lists: Iterable[tuple[str, ...]]) -> None:
        lists = list(lists)
        self._ends = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        self._texts = _Texts(self._flat(lists))

    @staticmethod
    def _flat(lists: Iterable[tuple[str, ...]]) -> Iterator[str]:
        for texts in lists:
            yield from texts

    def __getitem__(self, index: int) -> tuple[str, ...]:
        return tuple(
            self._texts[i] for i in range(int(self._ends[index]), int(self._ends[index + 1]))
        )
