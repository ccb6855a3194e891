"""What a few-shot classifier answers: classes, the reasons for one, and how often it is right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from trifocal.concepts.explanation import Explanation, Term, shortened
from trifocal.metrics.intervals import Interval
from trifocal.metrics.result import Result

UNGROUNDED = 1.0  # below so many standard deviations a concept's name says little about its images


@dataclass(frozen=True)
class Guess:
    """A class and how probable it is."""

    label: str
    probability: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {"class": self.label, "probability": round(self.probability, 6)}


@dataclass(frozen=True)
class Reason:
    """A summand of a logit, with its name.

    Attributes:
        term: The summand.
        name: What it is called.
        images: Names of the support images behind it.
    """

    term: Term
    name: str
    images: tuple[str, ...] = ()

    @property
    def ungrounded(self) -> bool:
        """Whether a concept's name says little about the images that were found for it."""
        return self.term.grounding is not None and self.term.grounding < UNGROUNDED

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        term = self.term
        facts: dict[str, Any] = {"kind": term.kind, "name": self.name, "contribution": term.value}
        for key, value in (("score", term.score), ("grounding", term.grounding)):
            if value is not None:
                facts[key] = round(value, 6)
        if term.grounding is not None:
            facts["grounded"] = not self.ungrounded
        return {**facts, **({"images": list(self.images)} if self.images else {})}


@dataclass(frozen=True)
class Because:
    """Why a picture has its logit for a class.

    Attributes:
        guesses: The most probable classes of the picture.
        about: The class that is explained, and its probability.
        logit: Its logit; the reasons add up to it.
        reasons: By size, "rest" last.
        against: The class whose logit and reasons were subtracted, if any.
    """

    guesses: tuple[Guess, ...]
    about: Guess
    logit: float
    reasons: tuple[Reason, ...]
    against: str | None = None

    @property
    def what(self) -> str:
        """What the reasons add up to."""
        if self.against is None:
            return f"logit of {self.about.label}"
        return f"logit of {self.about.label} above {self.against}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {
            **self.about.as_dict(),
            **({} if self.against is None else {"against": self.against}),
            "logit" if self.against is None else "logit_difference": self.logit,
            "top": [guess.as_dict() for guess in self.guesses],
            "reasons": [reason.as_dict() for reason in self.reasons],
        }


def difference(one: Explanation, other: Explanation, top: int) -> Explanation:
    """Return why a picture has a higher logit for one class than for another.

    Args:
        one: All terms of the one class.
        other: All terms of the other.
        top: Most terms of one kind.
    """
    terms = {(term.kind, term.index): term for term in one.terms}
    for term in other.terms:
        mine = terms.get((term.kind, term.index), replace(term, value=0.0))
        terms[term.kind, term.index] = replace(mine, value=mine.value - term.value)
    return Explanation(one.label, one.logit - other.logit, shortened(list(terms.values()), top))


@dataclass(frozen=True)
class Evaluation:
    """How a classifier does on labeled pictures.

    Attributes:
        accuracy: Share of pictures whose class it names, with its 95 % interval.
        n: How many pictures.
        recalls: (class, pictures, share recognized) of each class that occurs.
        confusions: (true class, named class, how often), most frequent first.
        rows: The same as rows of a results file.
        seen: How many of the pictures it was fitted to.
        unseen: The accuracy on the others, where there are both.
        absent: Classes that do not occur.
    """

    accuracy: Interval
    n: int
    recalls: tuple[tuple[str, int, float], ...]
    confusions: tuple[tuple[str, str, int], ...]
    rows: tuple[Result, ...]
    seen: int
    unseen: Interval | None
    absent: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {
            "acc1": self.accuracy.value,
            "interval": [self.accuracy.low, self.accuracy.high],
            "n": self.n,
            "recall": {name: share for name, _, share in self.recalls},
            "confusions": [
                {"class": true, "named": named, "count": count}
                for true, named, count in self.confusions
            ],
            "seen_in_fit": self.seen,
            "acc1_unseen": self.unseen.value if self.unseen else None,
            "absent": list(self.absent),
        }
