"""BiVLC: SugarCrepe's pairs, each false caption with a generated picture of it.

Miranda et al., NeurIPS 2024 Datasets and Benchmarks (arXiv 2406.09952): 2,933 squares. The authors
call the text score I2T and the image score T2I. Both directions of each are reported, too: what wins
on photos may lose on generated pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from trifocal.composition.benchmarks.files import split_tables, table_entries
from trifocal.composition.benchmarks.square import SquareSuite, add_square
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_image, choose_text

_TEXTS = ("caption", "negative_caption")
_PICTURES = ("image", "negative_image")
_KIND = ("type", "subtype")


@dataclass
class BiVlc(SquareSuite):
    """The benchmark over the Hub's parquet files (see `Suite` for its options)."""

    name: ClassVar[str] = "bivlc"
    source: ClassVar[str] = "huggingface.co/datasets/imirandam/BiVLC (MIT)"
    photos_from: ClassVar[str] = "the pictures are in the parquet files; get those again"

    def files(self, root: Path) -> list[Missing]:
        """Return the parquet files of the test split."""
        paths = split_tables(root) or [root / "data" / "test-00000-of-00001.parquet"]
        return [Missing(str(path), f"get it from {self.source}") for path in paths]

    def read(self, root: Path) -> list[Question]:
        """Read the squares: the photo and its caption come first; parts are sub-types."""
        paths = [Path(file.path) for file in self.files(root)]
        entries = table_entries(paths, "a BiVLC file", (*_TEXTS, *_KIND), _PICTURES)
        return [
            Question(
                f"{entry['type']}_{entry['subtype']}",
                pictures,
                (entry["caption"], entry["negative_caption"]),
                str(number),
            )
            for number, (entry, pictures) in enumerate(entries)
        ]

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append text, image and group, and what each picture and each text chooses."""
        super().rows(sheet, scored)
        half = torch.full((len(scored.questions),), 1 / 2, dtype=torch.float64)
        swapped, blind = scored.scores.flip(1, 2), scored.blind
        for metric, answers in {
            "ipos_to_t": scored.answers(choose_text(scored.scores), half, choose_text(blind)),
            "ineg_to_t": scored.answers(choose_text(swapped), half, choose_text(blind.flip(1, 2))),
            "tpos_to_i": scored.answers(choose_image(scored.scores), half),
            "tneg_to_i": scored.answers(choose_image(swapped), half),
        }.items():
            add_square(sheet, metric, answers, self.tree, scored.questions)
