"""What chose the defaults of the concept map and of CCLI: parameters, varied on validation rows.

    python benchmarks/concepts_defaults.py FEATURES --class-names split_zhou_Caltech101.json

FEATURES holds `caltech101.safetensors`, `oxford_flowers.safetensors` and `text.safetensors` (ready
features of CLIP). Supports of 1 to 8 shots are drawn from the 16-shot support, and everything is
judged on validation rows: Caltech's classes that LVIS names, with their texts, and Flowers without
any class text. Test rows are not read. Concepts are the object names of four data sets.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from trifocal.concepts import CCLI, ConceptMap
from trifocal.concepts.baselines import TipAdapterF
from trifocal.concepts.datasets.split_files import read_split
from trifocal.concepts.head import Head
from trifocal.concepts.registry import HEADS
from trifocal.concepts.support import Labeled
from trifocal.concepts.tasks.feature_source import named_classes
from trifocal.features.files import read_feature_file, read_named_features

SHOTS = (1, 2, 4, 8)
CONCEPTS = ("lvis", "coco", "objects365", "openimages")
VARIANTS: dict[str, Head] = {
    "concept-map": ConceptMap(),
    "visual=mean": ConceptMap(visual="mean"),
    "visual=text": ConceptMap(visual="text"),
    "visual=raw": ConceptMap(visual="raw"),
    "ridge=0.1": ConceptMap(ridge=0.1),
    "ridge=0.001": ConceptMap(ridge=0.001),
    "shrinkage=0.3": ConceptMap(shrinkage=0.3),
    "shrinkage=3": ConceptMap(shrinkage=3.0),
    "nothing selected": ConceptMap(select=False),
    "penalty=0.001": ConceptMap(select=False, penalty=0.001),
    "penalty=0.1": ConceptMap(select=False, penalty=0.1),
    "ccli": CCLI(),
    "hidden=256, epochs=20, lr=1e-4": CCLI(hidden=256, epochs=20, lr=1e-4),
    "lr=1e-3": CCLI(lr=1e-3),
    "learn_concepts=True": CCLI(learn_concepts=True),
    "visual=reconstruct": CCLI(visual="reconstruct"),
    "head=tf": CCLI(head="tf"),
    "head=tf, top=1": CCLI(head="tf", top=1),
    "head=tf, top=4": CCLI(head="tf", top=4),
    "head=tf, debias=False": CCLI(head="tf", debias=False),
    "head=tf, column_mass=False": CCLI(head="tf", column_mass=False),
    "head=tf, score=cosine": CCLI(head="tf", score="cosine"),
    "head=linear": CCLI(head="linear"),
    "ccli-paper": HEADS["ccli-paper"](),
    "tip-adapter-f": TipAdapterF(),
}


class Rows:
    """Support to draw from, validation rows, and class texts."""

    def __init__(self, support: Labeled, val: Labeled, text: Tensor | None) -> None:
        self.support, self.val, self.text = support, val, text

    def draw(self, shots: int, seed: int) -> Labeled:
        """Return `shots` support rows of each class."""
        features, labels = self.support
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        chosen = [order[labels[order] == label][:shots] for label in range(int(labels.max()) + 1)]
        rows = torch.cat(chosen)
        return features[rows], labels[rows]


def read(file: Path, kept: list[int] | None, text: Tensor | None) -> Rows:
    """Read a feature file; of its classes keep some, numbered anew."""
    parts = read_feature_file(file)

    def part(name: str) -> Labeled:
        features, labels = parts[name]
        if kept is None:
            return features.float(), labels
        place = torch.full((int(labels.max()) + 1,), -1)
        place[torch.tensor(kept)] = torch.arange(len(kept))
        labels = place[labels]
        return features[labels >= 0].float(), labels[labels >= 0]

    return Rows(part("train16"), part("val"), text)


def accuracy(head: Head, rows: Rows, concepts: Tensor, shots: int, draws: int) -> float:
    """Return the mean accuracy on validation rows in percent."""
    right = []
    for seed in range(draws):
        head.fit(*rows.draw(shots, seed), rows.text, concepts)
        right.append(float((head.predict(rows.val[0]) == rows.val[1]).float().mean()))
    return 100 * sum(right) / draws


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path, nargs="?")
    parser.add_argument("--class-names", type=Path, help="CoOp's split of Caltech")
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.features is None or arguments.class_names is None:
        print("skipped: it needs a folder of ready features and --class-names")
        return
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)  # small matrices
    folder = arguments.features
    texts = read_named_features(folder / "text.safetensors", ["lvis"])
    kept, text = named_classes(read_split(arguments.class_names).classnames, texts)
    concepts = read_named_features(folder / "text.safetensors", CONCEPTS).features.float()
    data = {
        "Caltech": read(folder / "caltech101.safetensors", kept, text.features.float()),
        "Flowers": read(folder / "oxford_flowers.safetensors", None, None),
    }
    table = Table("variant", *(f"{name} {shots}" for name in data for shots in SHOTS), "mean")
    for name, head in VARIANTS.items():
        found = [
            accuracy(head, rows, concepts, shots, arguments.draws)
            for rows in data.values()
            for shots in SHOTS
        ]
        table.add_row(name, *(f"{value:.1f}" for value in [*found, sum(found) / len(found)]))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
