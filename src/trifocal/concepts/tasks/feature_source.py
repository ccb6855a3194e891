"""Few-shot tasks from a file of features that somebody else computed.

The file (see `trifocal.features.files`) has one draw of the support for each number of shots,
so a task has no seed. A file without test rows, such as ImageNet's, is tested on those rows of the
next larger draw that differ from every row of the support.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from trifocal.concepts.datasets.split_files import check_names
from trifocal.concepts.tasks.sampling import VAL_SHOTS
from trifocal.concepts.tasks.task import VAL_MODES, FewShotTask, TestSet, ValMode
from trifocal.errors import UserError
from trifocal.features.files import NamedFeatures, read_feature_file

Labeled = tuple[Tensor, Tensor]
_IMAGENET = 1000  # classes

# Classes of Caltech-101 that LVIS (Gupta et al., arXiv 1908.03195) calls by another word, or by a
# word of two meanings.
SYNONYMS = {
    "cellphone": "cellular_telephone",
    "laptop": "laptop_computer",
    "motorbike": "motorcycle",
    "octopus": "octopus_(animal)",
    "panda": "giant_panda",
    "rhino": "rhinoceros",
}


class FeatureFileSource:
    """Makes the tasks of one feature file.

    Args:
        path: The file.
        class_text: Text features of the classes, one row a class as `classes` has them; None for
            tasks without a text branch.
        concept_text: Text features of concepts.
        classnames: Names of all classes that the file's labels number.
        classes: The labels to keep, in this order; they are numbered anew from 0. All by default.
        scale: The logit scale of the backbone that computed the features.
        backbone: Its name.
        name: Of the data set; by default the file's.

    Raises:
        UserError: the file cannot be used, a kept class does not occur in it, or texts and classes
            do not fit.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        class_text: NamedFeatures | None = None,
        concept_text: NamedFeatures | None = None,
        classnames: Sequence[str] = (),
        classes: Sequence[int] | None = None,
        scale: float = 100.0,
        backbone: str = "",
        name: str | None = None,
    ) -> None:
        self.path, self.name = Path(path), name or Path(path).stem
        parts = read_feature_file(path)
        total = max(int(labels.max()) for _, labels in parts.values()) + 1
        if total > (rows := sum(len(labels) for _, labels in parts.values())):
            raise UserError(f"{path} has the label {total - 1}, but only {rows} rows in all.")
        kept = list(range(total)) if classes is None else list(classes)
        if classnames and max([total - 1, *kept]) >= len(classnames):
            raise UserError(
                f"{path} has labels up to {total - 1}, but there are {len(classnames)} class names."
            )
        if not kept or len(set(kept)) < len(kept) or min(kept) < 0:
            raise UserError(f"the classes of {path} to keep must be different labels from 0 on.")
        self._parts = {part: _restricted(rows, kept) for part, rows in parts.items()}
        self.classnames = tuple(classnames[label] for label in kept) if classnames else ()
        if class_text is not None and not self.classnames:
            self.classnames = class_text.names
        for names in (self.classnames, class_text.names if class_text else ()):
            if len(names) not in (0, _IMAGENET):  # its published list has names twice
                check_names(names, names)
        self.class_text, self.concept_text = class_text, concept_text
        self.scale, self.backbone = scale, backbone
        self._check(len(kept))

    @property
    def shots(self) -> list[int]:
        """The numbers of shots that the file has, in order."""
        numbers = (re.fullmatch(r"train(\d+)", part) for part in self._parts)
        return sorted(int(number[1]) for number in numbers if number)

    def task(
        self, shots: int, seed: int, val_mode: ValMode, *, before_projection: bool = False
    ) -> FewShotTask:
        """Return one task; `seed` changes nothing, since the draw came with the features.

        Raises:
            UserError: the file has no such shots, no validation or test rows, or a head wants
                features from before the projection.
        """
        if before_projection:
            raise UserError(
                f"{self.path} holds pooled features only, none from before the projection; leave "
                "out the methods that tune the projection, or start from the pictures."
            )
        if shots not in self.shots:
            raise UserError(
                f"{self.path} has no {shots} shots; it has {', '.join(map(str, self.shots))}."
            )
        support, labels = self._parts[f"train{shots}"]
        return FewShotTask(
            dataset=self.name,
            shots=shots,
            seed=None,
            support=support[:, None],
            labels=labels,
            class_text=self.class_text.features if self.class_text else None,
            concept_text=self.concept_text.features if self.concept_text else None,
            val=self._val(shots, val_mode),
            val_mode=val_mode,
            tests={"test": self._test(shots)},
            classnames=self.classnames,
            concepts=self.concept_text.names if self.concept_text else (),
            scale=self.scale,
            backbone=self.backbone,
        )

    def _val(self, shots: int, mode: ValMode) -> Labeled | None:
        """Return the rows that may be selected on: the first few of each class, or all."""
        if mode not in VAL_MODES:
            raise UserError(f"there is no validation {mode!r}; choose {', '.join(VAL_MODES)}.")
        if mode == "none":
            return None
        if "val" not in self._parts:
            raise UserError(f"{self.path} has no validation rows (val); select on none.")
        features, labels = self._parts["val"]
        if mode == "few":
            rows = _first_of_each(labels, min(shots, VAL_SHOTS))
            features, labels = features[rows], labels[rows]
        return features, labels

    def _test(self, shots: int) -> TestSet:
        if "test" in self._parts:
            return TestSet(*self._parts["test"])
        larger = [number for number in self.shots if number > shots]
        if not larger:
            raise UserError(
                f"{self.path} has no test rows, and no larger draw than {shots} shots whose other "
                "rows could be tested on."
            )
        known = set(_bytes(self._parts[f"train{shots}"][0]))
        features, labels = self._parts[f"train{larger[0]}"]
        unseen = torch.tensor([row not in known for row in _bytes(features)])
        return TestSet(features[unseen], labels[unseen])

    def _check(self, classes: int) -> None:
        """Refuse what would fail in every head."""
        width = next(iter(self._parts.values()))[0].shape[1]
        for what, text in (("class_text", self.class_text), ("concept_text", self.concept_text)):
            if text is not None and text.features.shape[1] != width:
                raise UserError(
                    f"{what} has width {text.features.shape[1]}, but the features of {self.path} "
                    f"have {width}; compute both with one backbone."
                )
        if self.class_text is not None and len(self.class_text.features) != classes:
            raise UserError(
                f"class_text has {len(self.class_text.features)} rows for {classes} classes of "
                f"{self.path}; give one a class."
            )
        for shots in self.shots:
            there = self._parts[f"train{shots}"][1].unique().tolist()
            missing = sorted(set(range(classes)) - set(there))
            if missing:
                raise UserError(
                    f"train{shots} of {self.path} has no row of {len(missing)} of {classes} "
                    f"classes (the first is {missing[0]}); keep other classes."
                )


def named_classes(
    classnames: Sequence[str], text: NamedFeatures, synonyms: Mapping[str, str] = SYNONYMS
) -> tuple[list[int], NamedFeatures]:
    """Return the labels of those classes that a text file names too, and their text features.

    Names may be `synonyms` of a class.

    Names are compared without case, spaces, signs and a final "s", and without what stands in
    parentheses; of several names that are alike an equal one is taken before others.

    Raises:
        UserError: fewer than two classes are named.
    """
    backwards = list(enumerate(text.names))[::-1]  # so that of several alike the first stays
    equal = {name: row for row, name in backwards}
    alike = {_plain(name): row for row, name in backwards}
    labels, rows = [], []
    for label, name in enumerate(classnames):
        called = synonyms.get(name.replace(" ", "_"), name)
        row = equal.get(called, alike.get(_plain(called)))
        if row is not None:
            labels.append(label)
            rows.append(row)
    if len(labels) < 2:
        raise UserError(
            f"the text file names {len(labels)} of {len(classnames)} classes; give one with these "
            "names, or go without class texts."
        )
    names = tuple(text.names[row] for row in rows)
    return labels, NamedFeatures(text.features[rows], names)


def _plain(name: str) -> str:
    name = re.sub(r"\(.*?\)", "", name.casefold())
    return re.sub(r"[\W_]", "", name).removesuffix("s")


def _restricted(rows: Labeled, kept: Sequence[int]) -> Labeled:
    """Return the rows of some classes, numbered from 0 on in their order."""
    features, labels = rows
    numbers = torch.full((max(int(labels.max()), *kept) + 1,), -1)
    numbers[torch.tensor(kept)] = torch.arange(len(kept))
    chosen = numbers[labels] >= 0
    return features[chosen], numbers[labels[chosen]]


def _first_of_each(labels: Tensor, count: int) -> Tensor:
    """Return the places of the first `count` rows of each class, in their order."""
    places = [(labels == label).nonzero().flatten()[:count] for label in labels.unique()]
    return torch.cat(places).sort().values


def _bytes(features: Tensor) -> list[bytes]:
    return [row.tobytes() for row in features.numpy()]
