"""SPEC: generated pictures that differ in size, place, number or presence of an object alone.

Peng et al., CVPR 2024 (arXiv 2312.00081): six sets, each asked in both directions, of two to nine
candidates. The number is the mean over the sets and both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from trifocal.composition.benchmarks.files import first_there, malformed, read_list
from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.answers import Answers
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_image, choose_text

SETS = (
    "absolute_size",
    "relative_size",
    "absolute_spatial",
    "relative_spatial",
    "count",
    "existence",
)
_I2T = tuple(f"{name}_i2t" for name in SETS)
_T2I = tuple(f"{name}_t2i" for name in SETS)
_PARTS = tuple(part for both in zip(_I2T, _T2I, strict=True) for part in both)
_WHAT = "a SPEC file"


@dataclass
class Spec(Suite):
    """The benchmark over the folders of `data.zip` (see `Suite` for its options)."""

    name: ClassVar[str] = "spec"
    source: ClassVar[str] = "huggingface.co/datasets/wjpoom/SPEC (no licence is stated), data.zip"
    protocol: ClassVar[str] = "2 to 9 choices, both directions; ties are errors; macro over sets"
    headline: ClassVar[tuple[str, str]] = ("mean", "acc")
    photos_from: ClassVar[str] = "unpack data.zip of huggingface.co/datasets/wjpoom/SPEC there"

    def files(self, root: Path) -> list[Missing]:
        """Return the file of each set in each direction."""
        folder = first_there(root, f"{SETS[0]}/image2text.json", f"data/{SETS[0]}/image2text.json")
        return [
            Missing(str(folder.parents[1] / name / f"{way}.json"), f"get it from {self.source}")
            for name in SETS
            for way in ("image2text", "text2image")
        ]

    def read(self, root: Path) -> list[Question]:
        """Read the sets; the right candidate is put first."""
        photos = self.photos(root, "data")
        found = []
        for part, file in zip(_PARTS, self.files(root), strict=True):
            path = Path(file.path)
            for number, entry in enumerate(read_list(path, _WHAT)):
                query, keys = _choice(entry, path, number)
                pictures, texts = ((query,), keys) if part in _I2T else (keys, (query,))
                paths = tuple(photos.find(f"{path.parent.name}/{name}") for name in pictures)
                found.append(Question(part, paths, texts, str(number)))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append each set in each direction, the mean of each direction, and the mean of both."""
        is_text = torch.tensor([one.part in _I2T for one in scored.questions])
        text, image = choose_text(scored.scores), choose_image(scored.scores)
        to_text = scored.answers(text, scored.chance(), choose_text(scored.blind))
        to_image = scored.answers(image, scored.chance(images=True))
        to_text.at(is_text).add_rows(sheet, "acc", {"i2t": _I2T})
        to_image.at(~is_text).add_rows(sheet, "acc", {"t2i": _T2I})
        both = Answers(
            to_text.part,
            torch.where(is_text, text.right, image.right),
            torch.where(is_text, text.tied, image.tied),
            torch.where(is_text, to_text.chance, to_image.chance),
        )
        both.add_rows(sheet, "acc", {"mean": _PARTS}, parts=False)


def _choice(entry: Any, path: Path, number: int) -> tuple[str, tuple[str, ...]]:
    """Return the query and the candidates of one entry, the right one first."""
    match entry:
        case {"query": str(query), "keys": [*keys], "label": int(label)}:
            if all(isinstance(one, str) for one in keys) and 0 <= label < len(keys):
                return query, (keys[label], *keys[:label], *keys[label + 1 :])
    raise malformed(path, number, _WHAT, "query, keys (a list) and label (a place in it)")
