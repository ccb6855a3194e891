"""MMVP-VLM: pairs of pictures that CLIP embeds alike, each with a statement.

Tong et al., CVPR 2024 (arXiv 2401.06209): nine visual patterns of 15 pairs. The authors' score is
Winoground's image score (each statement chooses its picture); text and group stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trifocal.composition.benchmarks.files import first_there, malformed, read_csv
from trifocal.composition.benchmarks.square import SquareSuite, add_square, squares
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet

PATTERNS = 9
_ID, _TYPE, _TEXT = _COLUMNS = ("Question ID", "Type", "Statement")
_WHAT = "MMVP-VLM's file of questions"
_PROMPT = "a photo of "


@dataclass
class MmvpVlm(SquareSuite):
    """The benchmark over `Questions.csv` and the folders of pictures."""

    name: ClassVar[str] = "mmvp_vlm"
    source: ClassVar[str] = "huggingface.co/datasets/MMVP/MMVP_VLM (MIT)"
    protocol: ClassVar[str] = (
        "2 pictures and 2 texts 'a photo of ...'; ties are errors; mean macro over 9 patterns"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "image")
    photos_from: ClassVar[str] = (
        "get the folder of pictures of huggingface.co/datasets/MMVP/MMVP_VLM"
    )

    def files(self, root: Path) -> list[Missing]:
        """Return the file of questions."""
        path = first_there(root, "Questions.csv", "MMVP_VLM/Questions.csv")
        return [Missing(str(path), f"get it from {self.source}")]

    def read(self, root: Path) -> list[Question]:
        """Read the pairs: statements 1 and 2, 3 and 4, and so on, in the order of their numbers."""
        path = Path(self.files(root)[0].path)
        photos = self.photos(root, "MLLM_VLM Images", "MMVP_VLM_Images", "MMVP_VLM/MLLM_VLM Images")
        asked: dict[int, dict[str, str]] = {}
        for line, row in enumerate(read_csv(path, _COLUMNS, _WHAT), start=1):
            number = row[_ID].strip()
            if not number.isdecimal() or len(number) > 9:
                raise malformed(path, line, _WHAT, f"a number as {_ID}")
            asked[int(number)] = row
        found = []
        for odd in sorted({number - 1 + number % 2 for number in asked}):
            pair = [asked.get(odd, {}), asked.get(odd + 1, {})]
            if len({row.get(_TYPE) for row in pair}) > 1:
                raise malformed(path, odd, _WHAT, f"a partner, {odd + 1}, of the same {_TYPE}")
            part = pair[0][_TYPE]
            # Rows of the Hub's viewer are in the order of file names; the number is the file.
            pictures = tuple(photos.find(f"{part}/{odd + k}.jpg") for k in range(2))
            texts = tuple(_PROMPT + row[_TEXT] for row in pair)
            found.append(Question(part, pictures, texts, str(odd)))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the three scores of patterns, and their mean if all nine are there."""
        patterns = tuple(dict.fromkeys(one.part for one in scored.questions))
        tree = {"mean": patterns} if len(patterns) == PATTERNS else {}
        for metric, answers in squares(scored).items():
            add_square(sheet, metric, answers, tree, scored.questions)
