"""A page about a folder of labeled pictures: who is taken for whom, and why the worst are wrong."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from trifocal.apps.classify.classifier import Classifier, Labeled
from trifocal.apps.classify.picture import explained_picture
from trifocal.metrics.accuracy import confusion
from trifocal.metrics.intervals import wilson
from trifocal.report.numbers import percent, percentage
from trifocal.report.page import Chapter, Highlight, Highlights, Picture, Pictures, Report
from trifocal.report.table import Column, Entry, Row, Table

MISTAKES = 6  # explained
_MATRIX = 30  # classes in a confusion matrix at most; of more, those that are confused most
_REASONS = 6


def folder_report(classifier: Classifier, labeled: Labeled) -> Report:
    """Return a report on a classifier's answers to labeled pictures.

    Args:
        classifier: The classifier.
        labeled: Pictures that it has looked at.
    """
    labels = labeled.labels
    chances = classifier.saved.head.predict_proba(labeled.features)
    right = chances.argmax(1) == labels
    share = wilson(float(right.float().mean()), len(labels))
    interval = f"95 % interval {percentage(share.low)} to {percentage(share.high)}"
    names = classifier.saved.classes
    blocks = [
        Highlights([Highlight("accuracy", percentage(share.value), interval)]),
        _matrix(names, chances, labels),
        _classes(names, chances, labels),
        *_mistakes(classifier, labeled, chances),
    ]
    lead = (
        f"{len(labels):,} pictures of {len(labels.unique()):,} classes, asked of "
        f"{classifier.saved.method} on {classifier.saved.backbone.name}; all its {len(names):,} "
        f"classes compete. Wrong answers: {int((~right).sum()):,}{labeled.unreadable.note_of()}."
    )
    return Report(
        f"What {classifier.name} says of {labeled.examples.name}",
        "Confusions, classes, and the worst mistakes with their reasons.",
        [Chapter("Answers", lead, blocks)],
    )


def _matrix(names: Sequence[str], chances: Tensor, labels: Tensor) -> Table:
    """Return who is taken for whom; the diagonal is right."""
    counts = confusion(chances, labels)
    there = (counts.sum(0) + counts.sum(1) > 0).nonzero().flatten()
    title = "Confusion matrix"
    if len(there) > _MATRIX:
        wrong = counts - counts.diag().diag()
        worst = (wrong.sum(0) + wrong.sum(1)).argsort(descending=True, stable=True)[:_MATRIX]
        title += f": the {_MATRIX} classes that are confused most"
        there = worst.sort().values
    rows = []
    for true in there.tolist():
        entries = []
        for named in there.tolist():
            count = int(counts[true, named])
            tone = "" if not count else "gain" if true == named else "cost"
            entries.append(Entry(str(count) if count else "·", tone=tone))
        rows.append(Row(names[int(true)], entries))
    columns = [Column(names[int(named)]) for named in there.tolist()]
    return Table(
        title, "is", columns, rows, "Rows are what pictures are, columns what they are called."
    )


def _classes(names: Sequence[str], chances: Tensor, labels: Tensor) -> Table:
    """Return a row for each class, the worst first."""
    counts = confusion(chances, labels)
    rows: list[tuple[float, Row]] = []
    for label in labels.unique().tolist():
        mine = labels == label
        right, called = int(counts[label, label]), int(counts[:, label].sum())
        recall = right / int(mine.sum())
        wrong = counts[label].clone()
        wrong[label] = 0
        mistaken = f"{names[int(wrong.argmax())]} ({int(wrong.max())})" if wrong.any() else ""
        sure = float(chances[mine, label].mean())
        entries = [
            Entry(f"{int(mine.sum()):,}"),
            Entry(percent(recall)),
            Entry(percent(right / called) if called else "–"),
            Entry(percent(sure)),
            Entry(mistaken),
        ]
        rows.append((recall, Row(names[int(label)], entries)))
    columns = [
        Column("pictures"),
        Column("recall"),
        Column("precision"),
        Column("its probability"),
        Column("mostly taken for", words=True),
    ]
    ordered = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    told = "In %. Its probability: what pictures of the class get for it on average."
    return Table("Classes, the worst first", "class", columns, ordered, told)


def _mistakes(classifier: Classifier, labeled: Labeled, chances: Tensor) -> list[Pictures]:
    """Return the surest wrong answers, each against the true class."""
    examples, labels = labeled.examples, labeled.labels
    sure, named = chances.max(1)
    wrong = (named != labels).nonzero().flatten()
    worst = wrong[sure[wrong].argsort(descending=True, stable=True)][:MISTAKES]
    items = []
    for row in worst.tolist():
        region = examples.regions[labeled.kept[row]]
        image, boxes = region.open()
        true = classifier.saved.classes[int(labels[row])]
        because = classifier.explain(region, None, _REASONS, against=true)
        picture = explained_picture(image, boxes if region.boxes else (), because, classifier.saved)
        name = examples.names[labeled.kept[row]]
        told = f"{because.about.label} with {percentage(because.about.probability)}, but {true}."
        items.append(
            Picture(picture, f"{name}: this is {true}.", " ".join([told, *because.remarks]))
        )
    if not items:
        return []
    text = "The surest wrong answers: what speaks for the class that was named, and not for the true one."
    return [Pictures("Worst mistakes", items, text)]
