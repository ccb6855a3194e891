"""ColorSwap: two pictures, and two captions in which the color words have changed places.

Burapacheep et al., Findings of ACL 2024 (arXiv 2402.04492): squares of generated pictures; the test
split has 300.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trifocal.composition.benchmarks.files import (
    first_there,
    read_list,
    split_tables,
    strings,
    table_entries,
)
from trifocal.composition.benchmarks.square import ALL, SquareSuite
from trifocal.features.identity import Picture
from trifocal.features.questions import Question
from trifocal.metrics.benchmark import Missing

_TEXTS = ("caption_1", "caption_2")
_PICTURES = ("image_1", "image_2")
_WHAT = "a ColorSwap file"


@dataclass
class ColorSwap(SquareSuite):
    """The test split: `test.json` and its pictures, or the Hub's parquet file."""

    name: ClassVar[str] = "colorswap"
    source: ClassVar[str] = (
        "github.com/Top34051/colorswap (MIT), or huggingface.co/datasets/stanfordnlp/colorswap "
        "(needs a token)"
    )
    photos_from: ClassVar[str] = "unpack images.zip of github.com/Top34051/colorswap there"

    def files(self, root: Path) -> list[Missing]:
        """Return the parquet files if there are any, else `test.json`."""
        paths = split_tables(root) or [first_there(root, "test.json", "data/test.json")]
        return [Missing(str(path), f"get it from {self.source}") for path in paths]

    def read(self, root: Path) -> list[Question]:
        """Read the squares."""
        return [
            Question(
                ALL,
                pictures,
                (entry["caption_1"], entry["caption_2"]),
                str(entry.get("id", number)),
            )
            for number, (entry, pictures) in enumerate(self._entries(root))
        ]

    def _entries(self, root: Path) -> Iterator[tuple[Mapping[str, Any], tuple[Picture, ...]]]:
        tables = split_tables(root)
        if tables:
            yield from table_entries(tables, _WHAT, _TEXTS, _PICTURES, ("id",))
            return
        path = Path(self.files(root)[0].path)
        photos = self.photos(root, "images", "data/images")
        for number, entry in enumerate(read_list(path, _WHAT)):
            names = strings(entry, (*_PICTURES, *_TEXTS), path, number, _WHAT)[:2]
            # The file says `images/img_0_1.png`; here the folder may have another name.
            yield entry, tuple(photos.find(Path(name).name) for name in names)
