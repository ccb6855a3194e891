"""What a concept map should select, and by what: candidates on validation rows, never on the test.

    python benchmarks/concept_selection.py FEATURES --class-names split_zhou_Caltech101.json

FEATURES holds `caltech101`, `oxford_flowers`, `oxford_pets`, `ucf101`, `imagenet` and `text`
(.safetensors; ready features of CLIP). Supports of 1 to 8 shots are drawn from the 16-shot support,
with 16 it is that itself, and everything is judged on validation rows: four sets without class texts,
and Caltech's classes that LVIS names with theirs. ImageNet has no validation rows: fits to rows of
`train2` are judged on those of `train1`. Test rows are not read. Concepts are the object names of four
data sets. Candidates, all in the concept map's space:

penalty P              logistic regression alone, its penalty fixed
held out, folds        that penalty is chosen on one held-out picture a class, or on four folds pooled by
                       right answers or by likelihood
ridge                  ridge regression instead, its penalty chosen by closed-form leave-one-out, or by
                       its evidence
Gaussians              classes of one covariance, shrunken as GDA, by Ledoit-Wolf, by OAS, or as leave-one-out
                       likes best
power P, length L      Gaussians where concepts count with the power P of their covariance, and points keep
                       the power L of their length
likeliest space        Gaussians where left-out pictures of the support are likeliest
share S                both, Gaussians counting S, on scales learned from unseen support pictures
concept-map            both, with the share's posterior mean, and without class texts in the likeliest
                       space: what the head does
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from sklearn.covariance import OAS, ledoit_wolf_shrinkage
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts import ConceptMap
from trifocal.concepts.baselines import GDA, ProKeR
from trifocal.concepts.datasets.split_files import read_split
from trifocal.concepts.discovery import concept_features
from trifocal.concepts.folds import fold_numbers
from trifocal.concepts.gaussians import class_gaussians, leave_one_out
from trifocal.concepts.likely_space import likeliest_space
from trifocal.concepts.placed import Placed, Places, concept_frame
from trifocal.concepts.regression import map_weights
from trifocal.concepts.search import hold_out_one
from trifocal.concepts.space import POWER, ConceptSpace
from trifocal.concepts.support import Labeled, Support, checked_support, unit
from trifocal.concepts.tasks.feature_source import named_classes
from trifocal.features.files import read_feature_file, read_named_features

SHOTS = (1, 2, 4, 8, 16)
CONCEPTS = ("lvis", "coco", "objects365", "openimages")
PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
RIDGES = tuple(10 ** (step / 2) for step in range(-6, 5))
SHRINKAGES = (0.1, 0.3, 1.0, 3.0, 10.0)
SHARES = (0.0, 0.4, 0.7, 1.0)


@dataclass(frozen=True)
class Trial:
    """One support in a space of its concepts, and validation rows.

    Concepts stay those of the whole support, whatever part is fitted to.
    """

    data: Support
    concepts: Tensor
    val: Tensor
    shrinkage: float = 1.0

    @property
    def places(self) -> Places:
        """The support in all spaces."""
        return Places(concept_frame(self.data.features, self.concepts), self.data, self.shrinkage)

    @property
    def space(self) -> ConceptSpace:
        """The usual space."""
        return self.places.at(POWER, 0.0).space

    def texts(self, x: Tensor) -> Tensor:
        return 100 * unit(x) @ self.data.class_text.T

    def at(self, shrinkage: float) -> Trial:
        """Return the same with another shrinkage of the scatter."""
        return replace(self, shrinkage=shrinkage)

    def without(self, kept: Tensor) -> Trial:
        """Return the same fitted to a part of the support; `val` stays."""
        part = replace(self.data, views=self.data.views[kept], labels=self.data.labels[kept])
        return replace(self, data=part)


Method = Callable[[Trial], Tensor]  # logits of the validation rows


def regression(trial: Trial, penalty: float, x: Tensor | None = None) -> Tensor:
    data, asked = trial.data, trial.val if x is None else x
    space = trial.space
    given = (space(data.features), trial.texts(data.features), data.labels)
    weights = map_weights(*given, penalty)
    return trial.texts(asked) + space(unit(asked)) @ weights


def chosen_on(trial: Trial, held: list[Tensor], *, right: bool) -> Tensor:
    """Choose the penalty on held-out rows of the support, pooled over several holdings."""
    data, everything = trial.data, torch.arange(len(trial.data.labels))

    def quality(penalty: float) -> float:
        found = 0.0
        for rows in held:
            part = trial.without(everything[~torch.isin(everything, rows)])
            logits, labels = regression(part, penalty, data.features[rows]), data.labels[rows]
            hits = (logits.argmax(1) == labels).sum()
            found += float(hits if right else -F.cross_entropy(logits, labels, reduction="sum"))
        return found

    return regression(trial, max(PENALTIES, key=quality))


def held_out(trial: Trial) -> Tensor:
    if trial.data.shots < 2:
        return regression(trial, 0.01)
    return chosen_on(trial, [hold_out_one(trial.data.labels, 0)[1]], right=True)


def folds(trial: Trial, *, right: bool) -> Tensor:
    if trial.data.shots < 2:
        return regression(trial, 0.1)
    numbers = fold_numbers(trial.data.labels, 0)
    held = [(numbers == fold).nonzero().flatten() for fold in range(int(numbers.max()) + 1)]
    return chosen_on(trial, held, right=right)


def ridge(trial: Trial, *, evidence: bool) -> Tensor:
    """Regress what the texts' chances miss on the points; the penalty is chosen in closed form."""
    data = trial.data
    space = trial.space
    points, asked = space(data.features), space(unit(trial.val))
    missing = data.onehot - trial.texts(data.features).softmax(1)
    left, singular, right = torch.linalg.svd(points, full_matrices=False)
    turned, energy = left.T @ missing, float(missing.square().sum())

    def badness(penalty: float) -> float:
        kept = singular.square() / (singular.square() + penalty)
        if evidence:
            unexplained = energy - float((kept[:, None] * turned.square()).sum())
            volume = float((1 + singular.square() / penalty).log().sum()) * missing.shape[1]
            return volume + missing.numel() * float(torch.tensor(unexplained).log())
        outs = 1 - (left.square() * kept).sum(1, keepdim=True)
        return float(((missing - left @ (kept[:, None] * turned)) / outs).square().sum())

    penalty = min(RIDGES, key=badness)
    shrunken = singular / (singular.square() + penalty)
    return trial.texts(trial.val).softmax(1) + asked @ right.T @ (shrunken[:, None] * turned)


def gaussian(trial: Trial, rule: str) -> Tensor:
    """Nearest class means (texts left out, whose scale would have to be chosen)."""
    data = trial.data
    points = trial.space.bare(data.features)
    means = class_gaussians(points, data.labels, data.classes).means
    away = (points - means[data.labels]).double().numpy()
    chosen = 1.0
    if data.shots > 1 and rule in ("ledoit-wolf", "oas"):
        shrinkage = (
            ledoit_wolf_shrinkage(away, assume_centered=True)
            if rule == "ledoit-wolf"
            else OAS(assume_centered=True).fit(away).shrinkage_
        )
        # (1 - s) S + s tr(S) / d I, in the units of `concept_space`: S + r tr(S) I.
        chosen = float(shrinkage) / (1 - float(shrinkage)) / points.shape[1]
        chosen = max(chosen, 1e-4)
    elif data.shots > 1 and rule == "leave-one-out":

        def right(shrinkage: float) -> int:
            space = trial.at(shrinkage).space
            z = space(data.features)
            logits = leave_one_out(
                class_gaussians(z, data.labels, data.classes), z, data.labels, space.scatter
            )
            return int((logits.argmax(1) == data.labels).sum())

        chosen = max(SHRINKAGES, key=right)
    space = trial.at(chosen).space
    fitted = class_gaussians(space(data.features), data.labels, data.classes)
    return fitted(space(unit(trial.val)))


def spaced(trial: Trial, where: Placed) -> Tensor:
    """Return what Gaussians say in a space."""
    return where.gaussians(where.space(unit(trial.val)))


def likeliest(trial: Trial) -> Tensor:
    """Return what Gaussians say in the space in which left-out pictures are likeliest."""
    data, places = trial.data, trial.places
    if data.shots < 2:
        return spaced(trial, places.at(POWER, 0.0))
    rows = torch.arange(len(data.labels))
    found = likeliest_space(places, torch.zeros(len(rows), data.classes), rows)
    return spaced(trial, found.placed)


def head(made: ConceptMap | GDA | ProKeR) -> Method:
    def logits(trial: Trial) -> Tensor:
        data = trial.data
        made.fit(data.views, data.labels, data.text, data.concepts)
        return made.logits(trial.val)

    return logits


METHODS: dict[str, Method] = {
    **{f"penalty {p:g}": (lambda t, p=p: regression(t, p)) for p in PENALTIES},
    "held out, one a class": held_out,
    "folds, right answers": lambda t: folds(t, right=True),
    "folds, likelihood": lambda t: folds(t, right=False),
    "ridge, leave-one-out": lambda t: ridge(t, evidence=False),
    "ridge, evidence": lambda t: ridge(t, evidence=True),
    "Gaussians, GDA's": lambda t: gaussian(t, "gda"),
    "Gaussians, Ledoit-Wolf": lambda t: gaussian(t, "ledoit-wolf"),
    "Gaussians, OAS": lambda t: gaussian(t, "oas"),
    "Gaussians, leave-one-out": lambda t: gaussian(t, "leave-one-out"),
    **{
        f"Gaussians, power {p:g}, length {n:g}": (lambda t, p=p, n=n: spaced(t, t.places.at(p, n)))
        for p in (0.0, 0.25, 0.5)
        for n in (0.0, 0.5)
    },
    "Gaussians, likeliest space": likeliest,
    **{f"share {s:g}": head(ConceptMap(share=s)) for s in SHARES},
    "concept-map": head(ConceptMap()),
    "GDA": head(GDA()),
    "ProKeR": head(ProKeR()),
}


def draw(rows: Labeled, shots: int, seed: int) -> Labeled:
    """Return `shots` rows of each class."""
    features, labels = rows
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    chosen = [order[labels[order] == label][:shots] for label in range(int(labels.max()) + 1)]
    return features[torch.cat(chosen)], labels[torch.cat(chosen)]


def restricted(rows: Labeled, kept: list[int] | None) -> Labeled:
    """Return the rows of some classes, numbered anew."""
    features, labels = rows[0].float(), rows[1]
    if kept is None:
        return features, labels
    place = torch.full((int(labels.max()) + 1,), -1)
    place[torch.tensor(kept)] = torch.arange(len(kept))
    return features[place[labels] >= 0], place[labels][place[labels] >= 0]


def main() -> None:
    """Print a table of accuracies on validation rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path, nargs="?")
    parser.add_argument("--class-names", type=Path, help="CoOp's split of Caltech")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--methods", default="", help="those whose names begin so, by commas")
    parser.add_argument("--sets", default="flowers,pets,ucf,caltech,caltech+texts,imagenet+texts")
    arguments = parser.parse_args()
    if arguments.features is None or arguments.class_names is None:
        print("skipped: it needs a folder of ready features and --class-names")
        return
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    folder = arguments.features
    texts = read_named_features(folder / "text.safetensors", ["lvis"])
    kept, text = named_classes(read_split(arguments.class_names).classnames, texts)
    concepts = read_named_features(folder / "text.safetensors", CONCEPTS).features.float()
    names = read_named_features(folder / "text.safetensors", ["imagenet1k"]).features.float()
    sets = {
        "flowers": ("oxford_flowers", None, None),
        "pets": ("oxford_pets", None, None),
        "ucf": ("ucf101", None, None),
        "caltech": ("caltech101", None, None),
        "caltech+texts": ("caltech101", kept, text.features.float()),
        "imagenet+texts": ("imagenet", None, names),
    }
    starts = tuple(arguments.methods.split(","))
    methods = {name: method for name, method in METHODS.items() if name.startswith(starts)}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in methods}
    for name in arguments.sets.split(","):
        file, classes, told = sets[name]
        parts = read_feature_file(folder / f"{file}.safetensors")
        largest, judged = ("train2", "train1") if file == "imagenet" else ("train16", "val")
        support, val = (restricted(parts[part], classes) for part in (largest, judged))
        most = int(largest.removeprefix("train"))
        for shots in (each for each in SHOTS if each <= most):
            for seed in range(arguments.draws if shots < most else 1):
                given = draw(support, shots, seed)
                data = checked_support(*given, told, concepts, None)
                seen = concept_features("reconstruct", data, 0.01)
                assert seen is not None
                trial = Trial(data, seen, val[0])
                for label, method in methods.items():
                    right = method(trial).argmax(1) == val[1]
                    place = found[label].setdefault(f"{name} {shots}", [])
                    place.append(100 * float(right.float().mean()))
        columns = [place for place in next(iter(found.values())) if place.startswith(f"{name} ")]
        table = Table("", *columns, "mean")
        for label, by_place in found.items():
            means = [sum(by_place[column]) / len(by_place[column]) for column in columns]
            table.add_row(label, *(f"{v:.1f}" for v in [*means, sum(means) / len(means)]))
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
