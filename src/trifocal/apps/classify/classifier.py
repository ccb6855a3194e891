"""A few-shot classifier of one's own: asked about pictures and regions, explained, evaluated.

A head of `trifocal.concepts` on the features of a frozen CLIP, in a folder that says what it was
fitted to and how well it does on pictures it was not fitted to.

Example:
    >>> from trifocal import load_model
    >>> from trifocal.apps.classify.examples import read_examples
    >>> from trifocal.apps.classify.fit import fit_classifier
    >>> examples = read_examples("photos")
    >>> fit_classifier(examples, load_model("builtin"), method="concept-map").save("runs/photos")
    >>> found = load_classifier("runs/photos").predict([GivenRegion(Path("new.jpg"), ())])
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trifocal.apps.classify.answers import (
    CLASS_TEXTS,
    Because,
    Evaluation,
    Guess,
    Reason,
    decision,
    difference,
)
from trifocal.apps.classify.examples import Examples, content_key
from trifocal.apps.classify.features import PictureFeatures
from trifocal.apps.classify.known import check_rate, told_known
from trifocal.apps.region_lists import GivenRegion
from trifocal.clip.encoder import FrozenClip
from trifocal.concepts import head_registry
from trifocal.concepts.calibration import chances
from trifocal.concepts.explanation import Term, shortened
from trifocal.concepts.head_files import SavedHead, load_head
from trifocal.errors import UserError, nearest
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.accuracy import (
    accuracy,
    confusion,
    correct_at,
    mean_per_class_recall,
    ties_at,
)
from trifocal.metrics.benchmark import Sheet
from trifocal.metrics.calibration import calibration_error
from trifocal.metrics.intervals import wilson
from trifocal.progress import Progress
from trifocal.tally import MOST_LEFT_OUT
from trifocal.tuning import load_model

TASK = "classification"  # of the rows in a results file
VERSION = 1  # raised whenever the same head would get another value

_ALL = 1 << 60  # more reasons than any head has
_NAMES = {
    "network": "concept inference network",
    "bias": "bias of the class",
    "rest": "everything else",
}


@dataclass(frozen=True)
class Labeled:
    """Labeled pictures that a classifier has looked at.

    Attributes:
        examples: Where they come from.
        kept: Their places there, without those that cannot be read.
        labels: (n,) their true classes, by the classifier's numbers.
        features: (n, d).
        unreadable: What turned out about them.
    """

    examples: Examples
    kept: Sequence[int]
    labels: Tensor
    features: Tensor
    unreadable: Unreadable


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier with its backbone, ready to be asked.

    Attributes:
        saved: The head, and what its numbers stand for.
        features: Makes the features of pictures.
    """

    saved: SavedHead
    features: PictureFeatures

    @property
    def name(self) -> str:
        """What results are filed under."""
        return str(self.saved.folder or self.saved.method)

    def predict(
        self, regions: Sequence[GivenRegion], top: int = 3, *, progress: Progress | None = None
    ) -> list[tuple[Guess, ...]]:
        """Return the most probable classes of each picture, best first.

        Args:
            regions: Pictures, with a box or without.
            top: How many classes.
            progress: Told of every picture.

        Raises:
            UserError: a picture cannot be read, a box does not fit it, or `top` is below 1.
        """
        return [guesses for guesses, _ in self._asked(regions, top, progress)]

    def records(
        self,
        regions: Sequence[GivenRegion],
        top: int = 3,
        *,
        none_of_these: float | None = None,
        progress: Progress | None = None,
    ) -> list[dict[str, Any]]:
        """Return what `predict` does as JSON holds it, and whether each picture is of any class.

        Args:
            regions: Pictures, with a box or without.
            top: How many classes.
            none_of_these: Share of pictures of its classes that may be called none of them; None asks
                nothing.
            progress: Told of every picture.

        Raises:
            UserError: as `predict`, or the rate cannot be kept.
        """
        if none_of_these is not None:
            check_rate(self.saved.head, none_of_these)
        found = []
        for best, logits in self._asked(regions, top, progress):
            facts = {**best[0].as_dict(), "top": [guess.as_dict() for guess in best]}
            if none_of_these is not None:
                facts |= told_known(self.saved.head, logits[None], none_of_these)[0]
            found.append(facts)
        return found

    def _asked(
        self, regions: Sequence[GivenRegion], top: int, progress: Progress | None
    ) -> list[tuple[tuple[Guess, ...], Tensor]]:
        check_top(top)
        if not regions:
            return []
        logits = self.saved.head.logits(self.features(regions, progress=progress)[:, 0])
        sure = chances(logits, *self.saved.head.certainty)
        return [(self._guesses(row, top), given) for row, given in zip(sure, logits, strict=True)]

    def explain(
        self,
        region: GivenRegion,
        about: str | None = None,
        top: int = 8,
        *,
        against: str | None = None,
    ) -> Because:
        """Return why a picture has its logit for a class.

        Args:
            region: The picture, with a box or without.
            about: The class; by default the most probable one.
            top: Most reasons of one kind; the others are summed into one.
            against: Explain instead by how much its logit is above that of this class.

        Raises:
            UserError: the picture cannot be read, there is no such class, or `top` is below 1.
        """
        check_top(top)
        asked = self.features([region])[:, 0]
        other = None if against is None else self.label_of(against)
        return self._because(asked, None if about is None else self.label_of(about), top, other)

    def _because(self, asked: Tensor, label: int | None, top: int, against: int | None) -> Because:
        """Return why a picture's features (1, d) have their logit for a class."""
        head, classes, evidence = self.saved.head, self.saved.classes, self.saved.evidence
        chances = head.predict_proba(asked)[0]
        order = chances.argsort(descending=True, stable=True).tolist()
        label = order[0] if label is None else label
        if against == label:
            raise UserError(f"{classes[label]} cannot be compared with itself; give another.")
        rival = next((one for one in order if one != label), None) if against is None else against
        asked_of = [label] if rival is None else [label, rival]
        strengths = None if evidence is None else evidence(asked)
        among = None
        if strengths is not None and evidence is not None:
            among = (strengths >= evidence.least).expand(len(asked_of), -1)
        both = head.explain(asked.expand(len(asked_of), -1), asked_of, _ALL, among)
        if against is None:
            terms, logit = shortened(both[0].terms, top), both[0].logit
        else:
            found = difference(both[0], both[1], top)
            terms, logit = found.terms, found.logit
        apart = None if against is None else classes[against]
        sure = None if strengths is None else strengths[0]
        reasons = [self._reason(term, label, apart, sure) for term in terms]
        named = {term.index for term in terms if term.kind == "concept" and term.index is not None}
        return Because(
            self._guesses(chances, 3),
            Guess(classes[label], float(chances[label])),
            logit,
            tuple(sorted(reasons, key=lambda reason: -abs(reason.term.value))),
            apart,
            None if rival is None else decision(both[0], both[1], classes[rival], named),
            evidence.what if evidence is not None and self.saved.concepts else "",
        )

    def ask(
        self,
        examples: Examples,
        *,
        most_left_out: float = MOST_LEFT_OUT,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> Labeled:
        """Look at labeled pictures, for who measures on them.

        Args:
            examples: The pictures, or their test part where they have one.
            most_left_out: The largest share of them that may turn out broken; they are left out,
                counted and named.
            cache: Where features are kept.
            progress: Told of every picture.

        Raises:
            UserError: a class is not among its own, or more pictures than may be cannot be read.
        """
        chosen = list(examples.tests) or list(range(len(examples)))
        own = [self.label_of(folder, examples.name) for folder in examples.folders]
        regions = [examples.regions[index] for index in chosen]
        unreadable = Unreadable(examples.name, most_left_out, also=self.saved.trained_on)
        told = {"cache": cache, "progress": progress, "unreadable": unreadable}
        features = self.features(regions, **told)[:, 0]
        good = unreadable.readable([region.image for region in regions])
        kept = [index for index, whole in zip(chosen, good.tolist()) if whole]
        labels = torch.tensor([own[examples.labels[index]] for index in kept])
        return Labeled(examples, kept, labels, features[good], unreadable)

    def evaluate(self, examples: Examples, **told: Any) -> Evaluation:
        """Return how well it recognizes labeled pictures; all its classes compete.

        Args:
            examples: The pictures, or their test part where they have one.
            **told: See `ask`.

        Raises:
            UserError: see `ask`.
        """
        return self.score(self.ask(examples, **told))

    def score(self, labeled: Labeled) -> Evaluation:
        """Return how well it recognizes pictures that it has looked at."""
        examples, asked, labels = labeled.examples, labeled.features, labeled.labels
        unreadable = labeled.unreadable
        regions = [examples.regions[index] for index in labeled.kept]
        known = set(self.saved.keys)
        new = torch.tensor([content_key(region) not in known for region in regions])
        seen = int((~new).sum())
        sheet = Sheet(examples.name, self.name, self._protocol(seen), version=VERSION)
        sheet.protocol += unreadable.note_of()
        sheet.account = unreadable.account()
        logits = self.saved.head.logits(asked)
        n, classes = logits.shape
        value = accuracy(logits, labels)
        recall = mean_per_class_recall(logits, labels)
        ties = ties_at(logits, labels)
        sheet.add(TASK, "acc1", value, n, 1 / classes, ties)
        sheet.add(TASK, "mean_per_class_recall", recall, n, 1 / classes, ties)
        before = calibration_error(logits.softmax(1), labels)
        after = calibration_error(chances(logits, *self.saved.head.certainty), labels)
        sheet.add(TASK, "ece_uncalibrated", before, n)
        sheet.add(TASK, "ece", after, n)
        right = correct_at(logits, labels)
        recalls = [
            (name, int(mine.sum()), float(right[mine].mean()))
            for label, name in enumerate(self.saved.classes)
            if (mine := labels == label).any()
        ]
        there = {name for name, _, _ in recalls}
        return Evaluation(
            wilson(value, n),
            n,
            tuple(recalls),
            tuple(self._confusions(confusion(logits, labels))),
            tuple(sheet.done()),
            seen,
            wilson(float(right[new].mean()), n - seen) if 0 < seen < n else None,
            tuple(name for name in self.saved.classes if name not in there),
            (before, after),
        )

    def label_of(self, name: str, source: str = "") -> int:
        """Return the number of a class, by its name or its folder's.

        Raises:
            UserError: there is none of that name.
        """
        wanted = _plain(name)
        for names in (self.saved.classes, self.saved.folders):
            plain = [_plain(each) for each in names]
            if wanted in plain:
                return plain.index(wanted)
        where = f"{source} has a class {name!r}, which" if source else f"the class {name!r}"
        raise UserError(
            f"{where} is not one of the classifier's {len(self.saved.classes)}."
            f"{nearest(name, self.saved.classes)} It knows: {_listing(self.saved.classes)}."
        )

    def _guesses(self, chances: Tensor, top: int) -> tuple[Guess, ...]:
        order = chances.argsort(descending=True, stable=True)[:top].tolist()
        return tuple(Guess(self.saved.classes[label], float(chances[label])) for label in order)

    def _reason(
        self, term: Term, label: int, against: str | None, sure: Tensor | None = None
    ) -> Reason:
        saved, index = self.saved, term.index
        images = term.images or ((index,) if term.kind == "image" and index is not None else ())
        if term.kind == "concept" and index is not None:
            name = saved.concepts[index]
        elif term.kind == "image" and index is not None:
            name = saved.images[index]
        elif term.kind == "text" and against is not None:
            name = CLASS_TEXTS
        elif term.kind == "text":
            name = saved.templates[0].replace("{}", saved.classes[label])
        else:
            name = _NAMES.get(term.kind, term.kind)
        strength = None
        if sure is not None and term.kind == "concept" and index is not None:
            strength = float(sure[index])
        return Reason(term, name, tuple(saved.images[image] for image in images), strength)

    def _confusions(self, counts: Tensor) -> list[tuple[str, str, int]]:
        names = self.saved.classes
        pairs = [
            (names[true], names[named], int(counts[true, named]))
            for true, named in (counts - counts.diag().diag()).nonzero().tolist()
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    def _protocol(self, seen: int) -> str:
        saved = self.saved
        parts = [
            f"method {saved.method}",
            f"{len(saved.images)} support images of {len(saved.classes)} classes",
            f"backbone {saved.backbone.name}",
            f"shown {self.features.protocol}",
        ]
        return "; ".join([*parts, *([f"{seen} pictures seen in the fit"] if seen else [])])


def load_classifier(
    folder: str | os.PathLike[str],
    *,
    model: FrozenClip | str | os.PathLike[str] | None = None,
    force: bool = False,
    device: str = "cpu",
    **options: Any,
) -> Classifier:
    """Load what `Fitted.save` wrote, and the backbone that belongs to it.

    Args:
        folder: The model folder.
        model: The backbone or what loads it, where the recorded name does not.
        force: Take a backbone with other weights.
        device: Where the backbone goes.
        options: Passed to `load_model`.

    Raises:
        UserError: the folder holds no classifier, or the backbone is not the one it belongs to.
    """
    saved = load_head(folder, head_registry.HEADS)
    if model is None or isinstance(model, str | os.PathLike):
        name = model or saved.backbone.name
        try:
            model = load_model(name, device=device, **options).eval()
        except UserError as error:
            raise UserError(
                f"the backbone of {folder} cannot be had (say where it is with --model): {error}"
            ) from None
    features = PictureFeatures(model, saved.backbone.shown, force=force)
    if not force and features.fingerprint != saved.backbone.sha256:
        raise UserError(
            f"{folder} was fitted to features of other weights than {features.model.name!r} has "
            f"(its backbone was {saved.backbone.name!r}); give that one with --model, or force it "
            "with --force."
        )
    return Classifier(saved, features)


def check_top(top: int) -> None:
    """Refuse to rank nothing.

    Raises:
        UserError: `top` is below 1.
    """
    if top < 1:
        raise UserError(f"--top is {top}; ask for at least 1.")


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _listing(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
