"""ARO: do a picture's relations, attributes and word order matter to a model?

Yuksekgonul et al., ICLR 2023 (arXiv 2210.01936), four parts: a relation's two ends exchanged, two
attributes exchanged (boxes of Visual Genome), and captions of COCO and of Flickr30k against four wrong
orders. The number is the mean of the four. Relations are macro without those of the authors' notebook that
are symmetric, attributes are macro over pairs with 25 cases or more; the script's macro over all
relations, and micro, stand beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from trifocal.composition.benchmarks.aro_boxes import box_questions
from trifocal.composition.benchmarks.aro_order import order_choices
from trifocal.composition.benchmarks.aro_relations import SYMMETRIC
from trifocal.composition.benchmarks.files import (
    first_there,
    malformed,
    read_list,
    split_tables,
    table_entries,
)
from trifocal.composition.benchmarks.photo_places import VISUAL_GENOME, coco
from trifocal.composition.benchmarks.suite import PhotoFolders, Suite
from trifocal.composition.negatives import make_parser
from trifocal.features.questions import Question, Scored
from trifocal.metrics.answers import Answers
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_text

RELATION, ATTRIBUTION, COCO, FLICKR = PARTS = (
    "vg_relation",
    "vg_attribution",
    "coco_order",
    "flickr_order",
)
_ORDERS = (COCO, FLICKR)
_FILES = {
    RELATION: "visual_genome_relation.json",
    ATTRIBUTION: "visual_genome_attribution.json",
    COCO: "coco_karpathy_test.json",
    FLICKR: "flickr30k_test.json",
}
_HUB = {
    RELATION: "ARO-Visual-Relation",
    ATTRIBUTION: "ARO-Visual-Attribution",
    COCO: "ARO-COCO-order",
    FLICKR: "ARO-Flickr-Order",
}
_HUB_TEXTS = ("correct_caption", *(f"hard_text_{number}" for number in range(1, 5)))
_PHOTOS = {
    RELATION: ("images", *VISUAL_GENOME),
    ATTRIBUTION: ("images", *VISUAL_GENOME),
    COCO: coco("val2014"),
    FLICKR: ("flickr30k-images", "flickr30k/flickr30k-images", "flickr30k_images"),
}
_LEAST_CASES = {RELATION: 1, ATTRIBUTION: 25}
_MEMBERS = (
    (RELATION, "acc_macro_relation"),
    (ATTRIBUTION, "acc_macro_attribute"),
    (COCO, "acc"),
    (FLICKR, "acc"),
)
_WHAT = "a file of ARO"


@dataclass
class Aro(Suite):
    """The benchmark over the authors' files, or the Hub's (see `Suite` for further options).

    With `available_only`, parts without a file are left out, too. Order sets in the Hub's folders
    (`ARO-COCO-order`, `ARO-Flickr-Order`) hold frozen strings, and are preferred to shuffling anew.

    Attributes:
        parser: What finds nouns and adjectives where captions are shuffled here (`make_parser`).
        seed: Seed of those shuffles.
    """

    parser: str = "textblob"
    seed: int = 1

    name: ClassVar[str] = "aro"
    source: ClassVar[str] = (
        "github.com/mertyg/vision-language-models-are-bows (MIT; order sets: "
        "storage.googleapis.com/sfr-vision-language-research/datasets/), or "
        "huggingface.co/datasets/gowitheflow/ARO-..."
    )
    protocol: ClassVar[str] = (
        "2 captions of a box, or 5 orders of a caption; ties are errors; mean of 4, of relations and "
        "attributes the macro mean"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "acc")
    photos_from: ClassVar[str] = (
        "get vgr_vga_images.zip of the authors (1 GB), COCO's val2014 and Flickr30k's photos"
    )

    def files(self, root: Path) -> list[Missing]:
        """Return the files of the four parts, or of those that are there."""
        return [
            Missing(str(path), f"get it from {self.source}")
            for paths in self._asked(root).values()
            for path in paths
        ]

    def form(self, root: Path) -> str:
        """Say which parts are there, and in which form."""
        said, asked = [], self._asked(root)
        if len(asked) < len(PARTS):
            said.append(f"{', '.join(asked)} alone")
        frozen = [part for part, (path, *_) in asked.items() if _is_table(path)]
        said += [f"{part} as on the Hub" for part in frozen]
        drawn = [part for part in asked if part in _ORDERS and part not in frozen]
        if drawn:
            parser = make_parser(self.parser).name
            said.append(f"{' and '.join(drawn)} shuffled with seed {self.seed}, tags of {parser}")
        return "; ".join(said)

    def read(self, root: Path) -> list[Question]:
        """Read the parts; the true caption comes first."""
        found = []
        for part, paths in self._asked(root).items():
            photos = self.photos(root, *_PHOTOS[part])
            if _is_table(paths[0]):
                found += _from_tables(part, paths)
            elif part in _ORDERS:
                found += self._orders(part, paths[0], photos)
            else:
                found += box_questions(part, paths[0], photos, _LEAST_CASES[part])
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the means of each part, and the mean of the four."""
        outcome, blind = choose_text(scored.scores), choose_text(scored.blind)
        answers = scored.answers(outcome, scored.chance(), blind)
        weights = _weights(scored.questions, answers)
        for (task, metric), weight in weights.items():
            answers.add_row(sheet, task, metric, weight)
        if not self.official:
            return
        # In the authors' order sets the true caption is the first, and their argmax takes the first.
        order = torch.tensor([one.part in _ORDERS for one in scored.questions])
        lenient = replace(
            answers, right=answers.right | (answers.tied & order), tied=answers.tied & ~order
        )
        for (task, metric), weight in weights.items():
            if metric == "acc":
                lenient.add_row(sheet, task, f"{metric}_ties_right", weight)

    def _asked(self, root: Path) -> dict[str, list[Path]]:
        """Return the files of each part; with `available_only`, of those parts that are there."""
        every = {part: _paths(root, part) for part in PARTS}
        there = {part: paths for part, paths in every.items() if paths[0].exists()}
        return there if self.available_only and there else every

    def _orders(self, part: str, path: Path, photos: PhotoFolders) -> Iterator[Question]:
        """Yield a question for every caption of a file of photos."""
        for number, entry in enumerate(read_list(path, _WHAT)):
            match entry:
                case {"image": str(photo), "caption": [*captions]} if all(
                    isinstance(one, str) for one in captions
                ):
                    found = photos.find(Path(photo).name, photo)
                case _:
                    raise malformed(path, number, _WHAT, "image and caption (a list)")
            for place, caption in enumerate(captions):
                texts = order_choices(caption, self.parser, self.seed)
                yield Question(part, (found,), texts, f"{number}.{place}")


def _paths(root: Path, part: str) -> list[Path]:
    """Return the file of a part; the Hub's, if it is there and tells more or there is no other."""
    plain = first_there(root, _FILES[part], f"data/{_FILES[part]}", f"coco/{_FILES[part]}")
    tables = split_tables(root / _HUB[part])
    return tables if tables and (part in _ORDERS or not plain.exists()) else [plain]


def _is_table(path: Path) -> bool:
    return path.suffix == ".parquet"


def _from_tables(part: str, paths: Sequence[Path]) -> Iterator[Question]:
    """Yield the questions of the Hub's files, which name neither relations nor attributes."""
    texts = _HUB_TEXTS if part in _ORDERS else ("true_caption", "false_caption")
    pictures = ("images",) if part in _ORDERS else ("image",)
    for number, (row, found) in enumerate(table_entries(paths, _WHAT, texts, pictures)):
        yield Question(part, found, tuple(row[name] for name in texts), str(number))


def _weights(questions: Sequence[Question], answers: Answers) -> dict[tuple[str, str], Tensor]:
    """Return the weights of every mean that can be had, by task and metric."""
    relations = [_kind(one, RELATION) for one in questions]
    telling = [None if name in SYMMETRIC else name for name in relations]
    found = {
        (RELATION, "acc_macro_relation"): _macro(telling),
        (RELATION, "acc_macro_relation_all"): _macro(relations),
        (RELATION, "acc_micro"): answers.of_part(RELATION),
        (ATTRIBUTION, "acc_macro_attribute"): _macro(
            [_kind(one, ATTRIBUTION) for one in questions]
        ),
        (ATTRIBUTION, "acc_micro"): answers.of_part(ATTRIBUTION),
        (COCO, "acc"): answers.of_part(COCO),
        (FLICKR, "acc"): answers.of_part(FLICKR),
    }
    four = [found[member] for member in _MEMBERS]
    if all(bool(one.any()) for one in four):
        found["mean", "acc"] = torch.stack(four).mean(dim=0)
    return found


def _kind(question: Question, part: str) -> str | None:
    """Return the relation or the attributes of a question of a part, if it is averaged inside any."""
    return question.tags[0] if question.part == part and question.tags else None


def _macro(kinds: Sequence[str | None]) -> Tensor:
    """Return (N,) weights: each kind counts alike, and so does each question of a kind; None does not."""
    cases = Counter(kind for kind in kinds if kind is not None)
    each = [0.0 if kind is None else 1 / (len(cases) * cases[kind]) for kind in kinds]
    return torch.tensor(each, dtype=torch.float64)
