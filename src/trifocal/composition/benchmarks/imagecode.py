"""ImageCoDe: which of ten nearly equal pictures does a long description mean?

Krojer et al., ACL 2022 (arXiv 2203.15867). Sets of ten frames of a video, or of ten static pictures that look
alike (from Open Images); the validation set, because the labels of the test set are not public.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trifocal.composition.benchmarks.files import first_there, malformed, read_json
from trifocal.composition.benchmarks.suite import PhotoFolders, Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_image

_PICTURES = 10
_PLACES = {str(number): number for number in range(_PICTURES)}
_STATIC = "open-images"  # what the names of sets of static pictures have in them
_WHAT = "ImageCoDe's validation file"


@dataclass
class ImageCode(Suite):
    """The benchmark over the file in its published form (see `Suite` for its options)."""

    name: ClassVar[str] = "imagecode"
    source: ClassVar[str] = "github.com/McGill-NLP/imagecode (MIT), data/valid_data.json"
    protocol: ClassVar[str] = "validation set, 10 pictures, ties are errors; all items micro"
    headline: ClassVar[tuple[str, str]] = ("all", "R@1_micro")
    photos_from: ClassVar[str] = "get image-sets.zip (zenodo.org, record 6518944)"

    def files(self, root: Path) -> list[Missing]:
        """Return the validation file."""
        path = first_there(root, "valid_data.json", "data/valid_data.json")
        return [Missing(str(path), f"get it from {self.source}")]

    def read(self, root: Path) -> list[Question]:
        """Read it; the picture that is meant is the first of a question."""
        sets = self.photos(root, "image-sets", "data/image-sets")
        path = Path(self.files(root)[0].path)
        content = read_json(path, _WHAT)
        if not isinstance(content, dict):
            raise malformed(path, 0, _WHAT, "a name")
        found = []
        for name, texts in content.items():
            pictures = _pictures(sets, name)
            part = "static" if _STATIC in name else "video"
            for index, text in texts.items() if isinstance(texts, dict) else [("", None)]:
                place = _PLACES.get(index)
                if not isinstance(text, str) or place is None:
                    raise malformed(path, name, _WHAT, "texts by the number of a picture, 0 to 9")
                others = [one for number, one in enumerate(pictures) if number != place]
                meant = pictures[min(place, len(pictures) - 1)]
                found.append(Question(part, (meant, *others), (text.strip(),), f"{name}/{index}"))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append `R@1` of video and static sets, and of all items."""
        answers = scored.answers(choose_image(scored.scores), scored.chance(images=True))
        answers.add_rows(sheet, "R@1")
        answers.add_row(sheet, "all", "R@1_micro", answers.micro())


def _pictures(sets: PhotoFolders, name: str) -> list[Path]:
    """Return the ten pictures of a set in the order of their frames.

    Where they are not all there, nobody knows which is which: one path says what is missing.
    """
    for folder in sets.folders:
        if os.path.isdir(folder / name):
            files = [file for file in (folder / name).glob("img*.jpg") if _frame(file) >= 0]
            if len(files) == _PICTURES:
                return sorted(files, key=_frame)
    return [sets.usual / name / f"img*.jpg, {_PICTURES} pictures"]


def _frame(file: Path) -> int:
    """Return the number of a frame; -1 if the name has none."""
    digits = file.stem.removeprefix("img")
    return int(digits) if digits.isdecimal() else -1
