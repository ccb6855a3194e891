"""Result rows of classification: of one class a picture, or of several."""

from __future__ import annotations

import torch
from torch import Tensor

from trifocal.evaluate.names import ZERO_SHOT
from trifocal.metrics.accuracy import accuracy, correct_at, mean_per_class_recall, ties_at
from trifocal.metrics.average_precision import average_precision, eleven_point_precision, roc_auc
from trifocal.metrics.benchmark import Sheet

_SCALE = 100  # ELEVATER ranks pictures by the softmax of 100 times the cosines


def add_accuracies(sheet: Sheet, logits: Tensor, labels: Tensor) -> None:
    """Append the field's three rows of (N, C) logits and (N,) labels."""
    n, classes = logits.shape
    ties, marks = ties_at(logits, labels), correct_at(logits, labels)
    sheet.add(ZERO_SHOT, "acc1", accuracy(logits, labels), n, 1 / classes, ties, marks)
    if classes > 5:
        at_5 = ties_at(logits, labels, 5)
        sheet.add(ZERO_SHOT, "acc5", accuracy(logits, labels, 5), n, 5 / classes, at_5)
    recall = mean_per_class_recall(logits, labels)
    sheet.add(ZERO_SHOT, "mean_per_class_recall", recall, n, 1 / classes, ties)


def add_roc_auc(sheet: Sheet, logits: Tensor, labels: Tensor) -> None:
    """Append how well the second of two classes is told from the first: (N, 2) cosines."""
    value = roc_auc(logits[:, 1] - logits[:, 0], labels == 1)
    sheet.add(ZERO_SHOT, "roc_auc", value, len(logits), 0.5)


def add_average_precisions(sheet: Sheet, logits: Tensor, positives: Tensor) -> None:
    """Append both means over classes of the average precision, of pictures with several classes.

    `mean_average_precision` ranks pictures by their cosine with the class (CLIP_benchmark);
    `11_point_mAP` by the class's share of the softmax of 100 times the cosines, at eleven recalls
    (ELEVATER). Classes that no picture has are left out of the means.

    Args:
        sheet: Where the rows go.
        logits: (N, C) cosines.
        positives: (N, C) bool.
    """
    shares = (_SCALE * logits).softmax(dim=1)
    present = positives.any(dim=0).nonzero().flatten().tolist()
    chance = float(positives[:, present].double().mean())
    ways = (
        ("mean_average_precision", average_precision, logits),
        ("11_point_mAP", eleven_point_precision, shares),
    )
    for metric, measure, scores in ways:
        values = [measure(scores[:, one], positives[:, one]) for one in present]
        value = float(torch.tensor(values, dtype=torch.float64).mean())
        sheet.add(ZERO_SHOT, metric, value, len(logits), chance)
