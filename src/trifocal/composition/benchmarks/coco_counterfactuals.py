"""COCO-Counterfactuals: COCO captions with one word exchanged, and generated pictures of both.

Le et al., NeurIPS 2023 Datasets and Benchmarks (arXiv 2309.14356): 17,410 squares. FSC-CLIP (arXiv
2410.05210) draws 30 % of them, puts their pictures and texts into one pool, where the counterfactual
stands among the wrong candidates, and reports recall@1 each way. It does not publish which; this draw
is our own, fixed, and the same whatever pictures are missing. Winoground's scores stand beside it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from trifocal.composition.benchmarks.files import first_there, read_json_lines, strings
from trifocal.composition.benchmarks.square import ALL, SquareSuite
from trifocal.errors import UserError
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.ranks import retrieval_ranks

_TEXTS = ("caption_0", "caption_1")
_PICTURES = ("image_0", "image_1")
_WHAT = "COCO-Counterfactuals' list of examples"


@dataclass
class CocoCounterfactuals(SquareSuite):
    """The benchmark over `examples.jsonl` and the pictures (see `Suite` for further options).

    Attributes:
        share: How much of the examples is drawn, in (0, 1].
        seed: Seed of the draw.
    """

    share: float = 0.3
    seed: int = 0

    name: ClassVar[str] = "coco_counterfactuals"
    source: ClassVar[str] = (
        "huggingface.co/datasets/Intel/COCO-Counterfactuals (CC BY 4.0), folder data/"
    )
    protocol: ClassVar[str] = (
        "2 pictures and 2 texts, ties are errors, micro; recall@1 in the pool of all pictures and "
        "texts, ties as in random order"
    )
    headline: ClassVar[tuple[str, str]] = ("pool", "text_retrieval_recall@1")
    photos_from: ClassVar[str] = "unpack data/images.zip of Intel/COCO-Counterfactuals (6 GB) there"
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise UserError(f"share must be in (0, 1], not {self.share}")

    def files(self, root: Path) -> list[Missing]:
        """Return the list of examples."""
        path = first_there(root, "examples.jsonl", "data/examples.jsonl")
        return [Missing(str(path), f"get it from {self.source}")]

    def form(self, root: Path) -> str:
        """Say what was drawn."""
        return (
            "all examples" if self.share == 1 else f"{self.share:.3g} drawn with seed {self.seed}"
        )

    def read(self, root: Path) -> list[Question]:
        """Read the examples that are drawn, in the order of the file."""
        path = Path(self.files(root)[0].path)
        photos = self.photos(root, "images", "data/images")
        entries = read_json_lines(path, _WHAT)
        found = []
        for number in _drawn(len(entries), self.share, self.seed):
            fields = (*_TEXTS, *_PICTURES)
            *texts, first, second = strings(entries[number], fields, path, number, _WHAT)
            pictures = (photos.find(f"{first}.jpg"), photos.find(f"{second}.jpg"))
            which = str(entries[number].get("id", number))
            found.append(Question(ALL, pictures, tuple(texts), which))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append text, image and group, and recall@1 of both directions in the pool."""
        super().rows(sheet, scored)
        assert scored.pool is not None
        images, texts = scored.pool
        ways = retrieval_ranks(images, texts, torch.arange(len(texts)))
        for way, ranks in zip(("image", "text"), ways, strict=True):
            recall, chance, marks = ranks.recall(1), ranks.chance(1), ranks.hits(1)
            metric = f"{way}_retrieval_recall@1"
            sheet.add("pool", metric, recall, len(ranks), chance, ranks.ties(1), marks)


def _drawn(count: int, share: float, seed: int) -> list[int]:
    """Return which of `count` examples are drawn, ascending; no generator's version changes them."""
    order = sorted(range(count), key=lambda n: hashlib.sha256(f"{seed} {n}".encode()).digest())
    return sorted(order[: round(share * count)])
