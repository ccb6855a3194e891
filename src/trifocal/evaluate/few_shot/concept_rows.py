"""How much concepts decide, as rows of a few-shot run.

Of heads whose logits have concepts in them, at the most shots, on some of the test pictures, spread
evenly. With k concepts the head has class texts, biases and its k strongest concepts alone; without, all
but these (see `concepts.curves`). A *named* concept is one that `classify explain` would name: its words
win over the other words (`Evidence.from_words`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from torch import Tensor

from trifocal.concepts.curves import STEPS, concept_curves
from trifocal.concepts.evidence import Evidence
from trifocal.concepts.head import Head
from trifocal.concepts.summands import summands
from trifocal.concepts.tasks.task import FewShotTask, TestSet

MOST = 200  # test pictures asked
NAMED_SHARE = "share_with_named_concepts"  # of the pictures


@dataclass(frozen=True)
class Curve:
    """A curve of the rows: which number, over which concepts, kept or taken out.

    Attributes:
        what: "acc", or "margin" (the head's own is 1).
        kept: Whether the concepts are all that is left, or are left out.
        which: "concepts", any; "named_concepts"; "random_concepts", any in a drawn order.
    """

    what: str
    kept: bool
    which: str

    def metric(self, count: int) -> str:
        """Return the metric of a number of concepts."""
        return f"{self.what}_{self._with}_{count}_{self.which}"

    @property
    def area(self) -> str:
        """The metric of the mean over the number of concepts."""
        return f"{self.what}_{self._with}_{self.which}_area"

    @property
    def _with(self) -> str:
        return "with" if self.kept else "without"


RIGHT_WITH, RIGHT_WITHOUT = (Curve("acc", kept, "concepts") for kept in (True, False))
RIGHT_WITH_NAMED = Curve("acc", True, "named_concepts")
MARGIN_WITH, MARGIN_WITHOUT = (Curve("margin", kept, "concepts") for kept in (True, False))
RANDOM_WITH, RANDOM_WITHOUT = (Curve("margin", kept, "random_concepts") for kept in (True, False))
_ACCURACIES = (RIGHT_WITH, RIGHT_WITHOUT, RIGHT_WITH_NAMED)
_MARGINS = (MARGIN_WITH, MARGIN_WITHOUT, RANDOM_WITH, RANDOM_WITHOUT)

METRICS = (
    *(curve.metric(count) for curve in (*_ACCURACIES, *_MARGINS) for count in STEPS),
    *(curve.area for curve in _MARGINS),
    NAMED_SHARE,
)


def is_accuracy(metric: str) -> bool:
    """Return whether a metric is a share of right answers."""
    return metric.startswith("acc_")


def asked(test: TestSet) -> tuple[Tensor, Tensor]:
    """Return the features and labels of the pictures that are asked about."""
    step = max(1, ceil(len(test.labels) / MOST))
    return test.features[::step], test.labels[::step]


def can_ask(head: Head, task: FewShotTask, test: TestSet) -> bool:
    """Return whether a head may have concepts, and all its classes compete in a test."""
    alone = test.candidates is None and test.new_text is None
    return head.wants_concepts and task.concept_text is not None and alone


def concept_scores(head: Head, task: FewShotTask, test: TestSet) -> dict[str, float]:
    """Return the values of `METRICS` of a fitted head; none where its logits have no concepts."""
    features, labels = asked(test)
    parts = summands(head, features, None, STEPS[-1])
    if parts is None or task.concept_text is None or parts.base.shape[1] < 2:
        return {}
    words = Evidence.from_words(task.concept_text, task.scale)
    gated = summands(head, features, words.shown(features), STEPS[-1])
    assert gated is not None
    found, named = concept_curves(parts, labels), concept_curves(gated, labels)
    curves = {
        RIGHT_WITH: found.right_with,
        RIGHT_WITHOUT: found.right_without,
        RIGHT_WITH_NAMED: named.right_with,
        MARGIN_WITH: found.margin_with,
        MARGIN_WITHOUT: found.margin_without,
        RANDOM_WITH: found.random_with,
        RANDOM_WITHOUT: found.random_without,
    }
    scores = {
        curve.metric(count): value
        for curve, values in curves.items()
        for count, value in zip(STEPS, values, strict=True)
    }
    scores |= {curve.area: found.area(curves[curve]) for curve in _MARGINS}
    return {**scores, NAMED_SHARE: named.told}
