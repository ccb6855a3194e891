"""Few-shot tasks from pictures and a frozen backbone.

The support is drawn as CoOp draws it (Zhou et al., arXiv 2109.01134) and embedded, in one view or
in several random ones (ten in Tip-Adapter, Zhang et al., arXiv 2207.09519). Test pictures are
embedded once for all tasks, when the first task is asked for.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.concepts.class_tuned import trained_template
from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.concepts.datasets.folders import list_classes
from trifocal.concepts.datasets.imagenet_shifts import ShiftedTest
from trifocal.concepts.prompts import Order, class_name, class_text
from trifocal.concepts.tasks.base_to_new import halves, restrict
from trifocal.concepts.tasks.sampling import ValFrom, sample_few_shot
from trifocal.concepts.tasks.task import VAL_MODES, FewShotTask, TestSet, ValMode
from trifocal.concepts.vocabulary import Vocabulary, concept_text
from trifocal.data.classes import class_folders, readable
from trifocal.errors import UserError
from trifocal.features.in_training import in_training
from trifocal.features.pictures import OnBad, image_features, image_identity
from trifocal.progress import Progress

logger = logging.getLogger(__name__)

Labeled = tuple[Tensor, Tensor]


@dataclass(eq=False)
class PictureSource:
    """Makes the tasks of one data set under one backbone.

    Attributes:
        name: Of the data set.
        templates: The prompts of its classes; a backbone trained on classes keeps to its own.
    """

    dataset: ImageClasses
    model: Encoder  # it must not change while the source is used
    _: KW_ONLY
    concepts: Vocabulary | None = None  # text concepts; None for tasks without them
    shifts: Sequence[ShiftedTest] = ()  # further test sets with the classes of the data set
    # Fit to the first half of the classes; test on these ("base") and on the others ("new").
    base_to_new: bool = False
    views: int = 0  # random ones of each support picture; 0 for one view, as in testing
    view_scale: tuple[float, float] = (0.5, 1.0)  # bounds of a random view's share of the picture
    order: Order = "tip"  # of averaging and normalizing the prompts of a class: `prompts.ensemble`
    pad: bool = False  # repeat support pictures of classes that have too few
    # "train" draws the "few" validation pictures from the training ones, where there are no others.
    val_from: ValFrom = "val"
    cache: Path | None = None  # folder of the feature store; None keeps nothing between runs
    batch_size: int = 64  # pictures in one pass
    threads: int = 4  # how many pictures are opened at a time
    progress: Progress | None = None  # told of pictures and texts that are embedded
    on_bad: OnBad = "raise"  # or "skip" a picture that cannot be read, with a warning

    def __post_init__(self) -> None:
        if self.base_to_new and self.shifts:
            raise UserError("base-to-new and shifted tests do not go together; choose one.")
        self.name = self.dataset.name
        template = trained_template(self.model)
        self.templates = (template,) if template else self.dataset.templates
        self._image_identity = None if self.cache is None else image_identity(self.model)
        labels = range(len(self.dataset.classnames))
        self._base, self._new = halves(len(labels)) if self.base_to_new else (labels, labels)
        self._known: dict[Any, Any] = {}  # what every task shares

    def task(
        self, shots: int, seed: int, val_mode: ValMode, *, before_projection: bool = False
    ) -> FewShotTask:
        """Return one task; its picture features from before the projection, if so asked.

        Raises:
            UserError: a picture cannot be read, a class has none, there are no validation or test
                pictures, or the backbone offers pooled features only.
        """
        if val_mode not in VAL_MODES:
            raise UserError(f"there is no validation {val_mode!r}; choose {', '.join(VAL_MODES)}.")
        val_from: ValFrom = self.val_from if val_mode == "few" else "val"
        self._tell_few(shots)
        # CoOp draws from all classes, and keeps the base classes then.
        drawn, few = sample_few_shot(self.dataset, shots, seed, pad=self.pad, val_from=val_from)
        chosen = restrict(drawn, self._base)
        support, kept = self._embedded(self.dataset.images, chosen, before_projection, self.views)
        images = [chosen[i] for i in kept]
        return FewShotTask(
            dataset=self.name,
            shots=shots,
            seed=seed,
            support=support,
            labels=_labels(images),
            class_text=self._class_text(self._base),
            concept_text=self._concept_text(),
            val=self._val(val_mode, few, before_projection),
            val_mode=val_mode,
            tests=self._tests(before_projection),
            classnames=self._names(self._base),
            concepts=self.concepts.names if self.concepts else (),
            images=[one.path for one in images],
            scale=float(torch.as_tensor(getattr(self.model, "logit_scale", 100.0)).detach()),
            backbone=self.model.name,
            projection=self._projection() if before_projection else None,
        )

    def _tell_few(self, shots: int) -> None:
        """Tell, once, of classes that have fewer pictures than shots."""
        counts = Counter(one.label for one in self.dataset.train)
        few = sum(count < shots for count in counts.values())
        if few and not self.pad and ("few", shots) not in self._known:
            self._known["few", shots] = True
            logger.warning(
                "%s: %d of %d classes have fewer than %d training pictures; all of theirs are taken",
                self.name,
                few,
                len(counts),
                shots,
            )

    # --- pictures ---------------------------------------------------------------------------

    def _embedded(
        self, folder: Path, items: Sequence[LabeledImage], before: bool, views: int = 0
    ) -> tuple[Tensor, list[int]]:
        """Return features (n, V, d) of the pictures that can be read, and which these are."""
        made = image_features(
            self.model,
            [folder / one.path for one in items],
            views=views,
            view_scale=self.view_scale,
            projected=not before,
            cache=self.cache,
            batch_size=self.batch_size,
            threads=self.threads,
            progress=self.progress,
            on_bad=self.on_bad,
            fingerprint=self._image_identity,
        )
        return made.features, made.kept

    def _part(self, key: str, folder: Path, items: Iterable[LabeledImage], before: bool) -> Labeled:
        """Return features (n, d) and labels of a part that all tasks share."""
        if (key, before) not in self._known:
            listed = list(items)
            features, kept = self._embedded(folder, listed, before)
            self._known[key, before] = features[:, 0], _labels([listed[i] for i in kept])
        return self._known[key, before]

    def _tests(self, before: bool) -> dict[str, TestSet]:
        folder, test = self.dataset.images, self.dataset.test
        if not test:
            raise UserError(f"{self.name} has no test pictures; add a test part.")
        if self.base_to_new:
            base = self._test("base", folder, restrict(test, self._base), before)
            new = self._test("new", folder, restrict(test, self._new), before)
            return {"base": base, "new": replace(new, new_text=self._class_text(self._new))}
        tests = {"test": self._test("test", folder, test, before)}
        for shift in self.shifts:
            found = self._test(f"shift {shift.name}", shift.images, shift.test, before)
            among = None if shift.candidates is None else torch.tensor(shift.candidates)
            tests[shift.name] = replace(found, candidates=among)
        return tests

    def _test(self, key: str, folder: Path, items: Iterable[LabeledImage], before: bool) -> TestSet:
        listed = list(items)
        if ("training", key) not in self._known:
            files = [folder / one.path for one in listed]
            self._known["training", key] = in_training(self.model, files, f"{self.name}, {key}")
        training = self._known["training", key]
        return TestSet(*self._part(key, folder, listed, before), training=training)

    def _val(self, mode: ValMode, few: Sequence[LabeledImage], before: bool) -> Labeled | None:
        if mode == "none":
            return None
        if mode == "full":
            every = restrict(self.dataset.val, self._base)
            if not every:
                raise UserError(f"{self.name} has no validation pictures; select on none or few.")
            return self._part("val", self.dataset.images, every, before)
        chosen = restrict(few, self._base)
        if not chosen:
            raise UserError(
                f"{self.name} has no validation pictures; select on none, or draw them from the "
                'training pictures (val_from="train").'
            )
        features, kept = self._embedded(self.dataset.images, chosen, before)
        return features[:, 0], _labels([chosen[i] for i in kept])

    # --- texts ------------------------------------------------------------------------------

    def _names(self, labels: range) -> tuple[str, ...]:
        return tuple(self.dataset.classnames[label] for label in labels)

    def _class_text(self, labels: range) -> Tensor:
        """Return (D, d) text features of some classes."""
        if labels not in self._known:
            made = class_text(self.model, self._names(labels), self.templates, self.order)
            self._known[labels] = made.float().cpu()
        return self._known[labels]

    def _concept_text(self) -> Tensor | None:
        """Return (I, d) text features of the concepts."""
        if self.concepts is None:
            return None
        if "concepts" not in self._known:
            made = concept_text(self.model, self.concepts, progress=self.progress)
            self._known["concepts"] = made
        return self._known["concepts"]

    def _projection(self) -> Tensor:
        projection = getattr(self.model, "image_projection", None)
        assert projection is not None  # or the features from before it were refused
        return projection.float().cpu()


def read_shift_folder(folder: str | Path, dataset: ImageClasses) -> ShiftedTest:
    """Return a folder of class folders as a shifted test of a data set.

    Its class folders are named after classes of the data set; where some classes have none, the
    others alone compete.

    Raises:
        UserError: there are no class folders, one is not named after a class, or has no picture.
    """
    folder = Path(folder)
    labels = {name: label for label, name in enumerate(dataset.classnames)}
    places: dict[str, int] = {}
    for place in class_folders(folder):
        names = (place.name, readable(place.name), class_name(place.name, dataset.name))
        found = next((labels[name] for name in names if name in labels), None)
        if found is None:
            raise UserError(
                f"{place} is no class of {dataset.name}; name its folders after the classes."
            )
        places[place.name] = found
    if not places:
        raise UserError(f"{folder} has no class folders; make one folder per class.")
    items = list_classes(folder, places)[1]
    present = tuple(sorted(set(places.values())))
    return ShiftedTest(folder.name, folder, items, present if len(present) < len(labels) else None)


def _labels(items: Sequence[LabeledImage]) -> Tensor:
    return torch.tensor([one.label for one in items], dtype=torch.long)
