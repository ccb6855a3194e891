"""Two answers of the concept map on the world's classes, a right and a wrong one, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from trifocal.apps.classify.answers import Because
from trifocal.apps.classify.classifier import Classifier
from trifocal.apps.classify.examples import content_key
from trifocal.apps.classify.features import PictureFeatures, shown_for
from trifocal.apps.classify.picture import explained_picture
from trifocal.apps.demo.concepts_evidence import held_out_scenes, truths, world_evidence
from trifocal.apps.demo.worded import Worded
from trifocal.apps.region_lists import GivenRegion
from trifocal.clip import Clip
from trifocal.concepts.curves import concept_curves
from trifocal.concepts.evidence import Evidence
from trifocal.concepts.head import Head
from trifocal.concepts.head_files import (
    Backbone,
    SavedHead,
    kept_images,
    load_head,
    make_head,
    save_head,
    thumbnail,
)
from trifocal.concepts.named import names_right
from trifocal.concepts.registry import HEADS
from trifocal.concepts.summands import summands
from trifocal.concepts.tasks.picture_source import PictureSource
from trifocal.concepts.tasks.task import FewShotTask, TestSet
from trifocal.data.images import open_image
from trifocal.evaluate.few_shot.run import SHOTS
from trifocal.report.concept_trust import SCENES, TEST_PICTURES, Trust
from trifocal.report.numbers import percentage, signed
from trifocal.report.page import Picture
from trifocal.world import FEW_SHOT_CLASSES, FEW_SHOT_TEMPLATES, few_shot_dataset

_METHOD, _SEED = "concept-map", 1  # explained at the most shots of this draw
_SIDE = 400  # pixels of an explained picture; the model sees it smaller
_REASONS = 8  # concepts shown
_EVERY = 4  # of the test pictures one is asked how much its concepts decide


@dataclass(frozen=True)
class Reasons:
    """Explained answers, and what explanations are worth.

    Attributes:
        pictures: A right answer and a wrong one, explained.
        commands: What gives these again.
        trust: How often names are right, and how much they decide.
    """

    pictures: list[Picture]
    commands: list[str]
    trust: Trust


def reasons(source: Worded, drawn: PictureSource, base: Clip, folder: Path) -> Reasons:
    """Return explained answers: the first right one, and the first wrong one of another class.

    Args:
        source: The tasks.
        drawn: Their pictures.
        base: The backbone.
        folder: Where the classifier is kept, for `trifocal classify`.
    """
    task = source.task(SHOTS[-1], _SEED, "few")
    classifier = _classifier(task, drawn, base, folder)
    test = task.tests["test"]
    right = classifier.saved.head.predict(test.features) == test.labels
    first = int(right.int().argmax())
    others = ~right & (test.labels != test.labels[first])
    chosen = [first, *torch.nonzero(others).flatten().tolist()[:1]]
    made = [_explained(classifier, drawn, index) for index in chosen]
    pictures, commands = [one[0] for one in made], [one[1] for one in made]
    evidence = classifier.saved.evidence
    assert evidence is not None
    return Reasons(pictures, commands, trust_in(classifier.saved.head, evidence, drawn, base, test))


def trust_in(
    head: Head, evidence: Evidence, drawn: PictureSource, base: Clip, test: TestSet
) -> Trust:
    """Return how often named concepts are true of test pictures, and how much they decide.

    Args:
        head: Fitted to pictures of the few-shot classes.
        evidence: What decides on names.
        drawn: The pictures.
        base: The backbone.
        test: Their features and labels.
    """
    items = drawn.dataset.test
    each = len(items) // len(FEW_SHOT_CLASSES)
    scenes = {one.scene.id: one.scene for one in few_shot_dataset(each, split="test")}
    truth = truths([scenes[Path(item.path).stem] for item in items])
    asked, labels = test.features[::_EVERY], test.labels[::_EVERY]
    parts = summands(head, asked, evidence.shown(asked), _REASONS)
    assert parts is not None
    sets = {TEST_PICTURES: (test.features, truth), SCENES: held_out_scenes(base)}
    return Trust(
        {name: names_right(head, *one, evidence) for name, one in sets.items()},
        {name: names_right(head, *one, None) for name, one in sets.items()},
        concept_curves(parts, labels, range(_REASONS + 1)),
    )


def _classifier(task: FewShotTask, drawn: PictureSource, base: Clip, folder: Path) -> Classifier:
    """Fit a head to a task and keep it as `trifocal classify fit` would."""
    head = make_head(HEADS, _METHOD, {"scale": task.scale, "seed": _SEED})
    head.fit(task.support, task.labels, task.class_text, task.concept_text, task.val)
    features = PictureFeatures(base, shown_for(base, boxes=False))
    files = [drawn.dataset.images / image for image in task.images]
    labels = tuple(task.labels.tolist())
    names = tuple(one.name for one in FEW_SHOT_CLASSES)
    saved = SavedHead(
        method=_METHOD,
        head=head,
        folders=names,
        classes=names,
        templates=FEW_SHOT_TEMPLATES,
        concepts=tuple(task.concepts),
        images=tuple(task.images),
        keys=tuple(content_key(GivenRegion(file, ())) for file in files),
        labels=labels,
        backbone=Backbone(base.name, features.fingerprint, features.shown),
        evidence=world_evidence(base),
        note="fitted by trifocal demo; the penalty was chosen on validation pictures",
    )
    save_head(
        folder, saved, {i: thumbnail(open_image(files[i])) for i in kept_images(labels)}, force=True
    )
    return Classifier(load_head(folder, HEADS), features)


def _explained(classifier: Classifier, drawn: PictureSource, index: int) -> tuple[Picture, str]:
    """Return why a test picture is called what it is called, or that rather than what it is."""
    test = drawn.dataset.test
    file, one = drawn.dataset.images / test[index].path, FEW_SHOT_CLASSES[test[index].label]
    region = GivenRegion(file, ())
    answer = classifier.predict([region], 1)[0][0].label
    against = None if answer == one.name else one.name
    because = classifier.explain(region, answer, _REASONS, against=against)
    scenes = few_shot_dataset(len(test) // len(FEW_SHOT_CLASSES), split="test")
    scene = next(each for each in scenes if each.scene.id == file.stem)
    verdict = "Right" if against is None else "Wrong"
    picture = Picture(
        explained_picture(scene.picture(_SIDE), (), because, classifier.saved),
        f"{verdict}. This is a {one.name}: {one.descriptions[0]}.",
        _told(because),
    )
    words = ["trifocal classify explain", str(classifier.saved.folder), str(file)]
    words += [f"--against {against}"] if against else []
    return picture, " ".join([*words, "--out why.png"])


def _told(because: Because) -> str:
    """Return the reasons in words."""
    parts = [f"{reason.name} {signed(reason.term.value, 3)}" for reason in because.reasons]
    about = because.about
    return (
        f"{about.label}, {percentage(about.probability)}; {because.what} {because.logit:.2f}: "
        + ", ".join(parts)
        + "".join(f". {remark[0].upper()}{remark[1:]}" for remark in because.remarks)
    )
