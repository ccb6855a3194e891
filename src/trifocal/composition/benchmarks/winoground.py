"""Winoground: two pictures, and two captions of the same words in another order.

Thrush et al., CVPR 2022 (arXiv 2204.03162): 400 hand-made squares. Sub-sets by what changes places
(`Object`, `Relation`, `Both`) and by the number of main predicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trifocal.composition.benchmarks.files import (
    first_there,
    read_json_lines,
    split_tables,
    strings,
    table_entries,
)
from trifocal.composition.benchmarks.square import ALL, SquareSuite
from trifocal.features.identity import Picture
from trifocal.features.questions import Question
from trifocal.metrics.benchmark import Missing

_TEXTS = ("caption_0", "caption_1")
_PICTURES = ("image_0", "image_1")
_TAGS = ("collapsed_tag", "num_main_preds")
_WHAT = "a Winoground file"


@dataclass
class Winoground(SquareSuite):
    """The benchmark over `examples.jsonl` and its pictures, or the Hub's parquet file."""

    name: ClassVar[str] = "winoground"
    source: ClassVar[str] = (
        "huggingface.co/datasets/facebook/winoground (for research only; accept its terms there)"
    )
    photos_from: ClassVar[str] = "unpack data/images.zip of facebook/winoground there"

    def files(self, root: Path) -> list[Missing]:
        """Return the parquet files if there are any, else `examples.jsonl`."""
        lines = first_there(root, "examples.jsonl", "data/examples.jsonl")
        paths = split_tables(root) or [lines]
        return [Missing(str(path), f"get it from {self.source}") for path in paths]

    def read(self, root: Path) -> list[Question]:
        """Read the squares, with their tags where the file has them."""
        return [
            Question(
                ALL,
                pictures,
                (entry["caption_0"], entry["caption_1"]),
                str(entry.get("id", number)),
                _tags(entry),
            )
            for number, (entry, pictures) in enumerate(self._entries(root))
        ]

    def _entries(self, root: Path) -> Iterator[tuple[Mapping[str, Any], tuple[Picture, ...]]]:
        tables = split_tables(root)
        if tables:
            yield from table_entries(tables, _WHAT, _TEXTS, _PICTURES, ("id", *_TAGS))
            return
        path = Path(self.files(root)[0].path)
        photos = self.photos(root, "images", "data/images")
        for number, entry in enumerate(read_json_lines(path, _WHAT)):
            names = strings(entry, (*_PICTURES, *_TEXTS), path, number, _WHAT)[:2]
            # The authors' file names pictures without a suffix.
            files = [name if Path(name).suffix else f"{name}.png" for name in names]
            yield entry, tuple(map(photos.find, files))


def _tags(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sub-sets of a square, as rows call them."""
    kind, predicates = (entry.get(name) for name in _TAGS)
    tags = (kind,) if isinstance(kind, str) and kind else ()
    if predicates in (1, 2):
        tags += ("1 main predicate" if predicates == 1 else "2 main predicates",)
    return tags
