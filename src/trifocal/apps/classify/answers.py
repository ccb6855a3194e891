"""What a few-shot classifier answers: classes, the reasons for one, and how often it is right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trifocal.concepts.explanation import Explanation, Term, shortened
from trifocal.metrics.intervals import Interval
from trifocal.metrics.result import Result
from trifocal.report.numbers import percentage

UNGROUNDED = 1.0  # below so many standard deviations a concept's name says little about its images
_NO_MARGIN = 1e-6


@dataclass(frozen=True)
class Guess:
    """A class and how probable it is."""

    label: str
    probability: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {"class": self.label, "probability": round(self.probability, 6)}


CLASS_TEXTS = "class texts"  # the name of what those of a class and its rival differ in


@dataclass(frozen=True)
class Reason:
    """A summand of a logit, with its name.

    Attributes:
        term: The summand.
        name: What it is called.
        images: Names of the support images behind it.
        evidence: How surely the picture shows a concept (see `concepts.evidence`), where asked.
    """

    term: Term
    name: str
    images: tuple[str, ...] = ()
    evidence: float | None = None

    @property
    def shown(self) -> str:
        """What it is called where its kind is not said beside it."""
        own = self.term.kind == "text" and self.name != CLASS_TEXTS
        return f"class text: {self.name}" if own else self.name

    @property
    def ungrounded(self) -> bool:
        """Whether a concept's name says little about the images that were found for it."""
        return self.term.grounding is not None and self.term.grounding < UNGROUNDED

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        term = self.term
        facts: dict[str, Any] = {"kind": term.kind, "name": self.name, "contribution": term.value}
        told = (("score", term.score), ("evidence", self.evidence), ("grounding", term.grounding))
        for key, value in told:
            if value is not None:
                facts[key] = round(value, 6)
        if term.grounding is not None:
            facts["grounded"] = not self.ungrounded
        return {**facts, **({"images": list(self.images)} if self.images else {})}


@dataclass(frozen=True)
class Decision:
    """What decides between a class and its rival: parts that add up to the margin.

    Attributes:
        rival: The class that comes next, or the one that was asked about.
        margin: The logit of the explained class above the rival's.
        parts: What each kind of term adds to the margin; "concept" are the named ones alone.
        named: How many concepts are named.
    """

    rival: str
    margin: float
    parts: Mapping[str, float]
    named: int

    @property
    def share(self) -> float | None:
        """How much of the margin the named concepts carry; None where there is none to share."""
        if abs(self.margin) < _NO_MARGIN:
            return None
        return self.parts.get("concept", 0.0) / self.margin

    @property
    def rest_decides(self) -> bool:
        """Whether the answer would be another one without what has no name."""
        return self.margin * (self.margin - self.parts.get("rest", 0.0)) <= 0

    def told(self, about: str) -> str:
        """Return how much of the decision the named concepts explain, in a sentence."""
        between = f"the margin between {about} and {self.rival}"
        if not self.named:
            return f"no concept is named, so none of {between} is explained by concepts"
        these = "this concept carries" if self.named == 1 else f"these {self.named} concepts carry"
        if self.share is None:
            return f"there is no margin between {about} and {self.rival} to explain"
        if self.share < 0:
            against = "speaks" if self.named == 1 else "speak"
            these = these.replace("carries", against).replace("carry", against)
            return f"{these} for {self.rival if self.margin > 0 else about}, against {between}"
        if self.share > 1:
            return f"{these} {self.share:.1f} times {between}, against all else"
        return f"{these} {percentage(self.share)} of {between}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {
            "rival": self.rival,
            "margin": self.margin,
            "parts": dict(self.parts),
            "share_of_concepts": self.share,
            "remainder_decides": self.rest_decides,
        }


def decision(one: Explanation, other: Explanation, rival: str, named: Collection[int]) -> Decision:
    """Return what decides between two classes of a picture.

    Args:
        one: All terms of the explained class.
        other: All terms of its rival.
        rival: What that is called.
        named: Concepts that are shown by name; the others count as "rest".
    """
    parts: dict[str, float] = {}
    for sign, explained in ((1, one), (-1, other)):
        for term in explained.terms:
            hidden = term.kind == "concept" and term.index not in named
            kind = "rest" if hidden else term.kind
            parts[kind] = parts.get(kind, 0.0) + sign * term.value
    return Decision(rival, one.logit - other.logit, parts, len(named))


@dataclass(frozen=True)
class Because:
    """Why a picture has its logit for a class.

    Attributes:
        guesses: The most probable classes of the picture.
        about: The class that is explained, and its probability.
        logit: Its logit; the reasons add up to it.
        reasons: By size.
        against: The class whose logit and reasons were subtracted, if any.
        decision: What decides between the class and the next one; None where there is one class.
        names: What the names of concepts rest on; empty where nothing was asked.
    """

    guesses: tuple[Guess, ...]
    about: Guess
    logit: float
    reasons: tuple[Reason, ...]
    against: str | None = None
    decision: Decision | None = None
    names: str = ""

    @property
    def what(self) -> str:
        """What the reasons add up to."""
        if self.against is None:
            return f"logit of {self.about.label}"
        return f"logit of {self.about.label} above {self.against}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """How much is explained, and what to beware of, in sentences."""
        found = [] if self.decision is None else [self._decided(self.decision)]
        if self.decision is not None and self.decision.rest_decides:
            found.append("what has no name decides here: without it the answer would be another")
        if self.names:
            found.append(self.names)
        return tuple(found)

    def _decided(self, one: Decision) -> str:
        """Return what decides, and that the reasons above add up to something else, if they do."""
        told = one.told(self.about.label)
        if self.against is not None or not one.named or one.share is None:
            return told
        return (
            f"{told}: of the difference of their logits, while the reasons above add up to the "
            f"{self.what} alone"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {
            **self.about.as_dict(),
            **({} if self.against is None else {"against": self.against}),
            "logit" if self.against is None else "logit_difference": self.logit,
            "top": [guess.as_dict() for guess in self.guesses],
            "reasons": [reason.as_dict() for reason in self.reasons],
            **({} if self.decision is None else {"decision": self.decision.as_dict()}),
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
        calibration: Expected calibration error of the logits as they are, and of its probabilities.
    """

    accuracy: Interval
    n: int
    recalls: tuple[tuple[str, int, float], ...]
    confusions: tuple[tuple[str, str, int], ...]
    rows: tuple[Result, ...]
    seen: int
    unseen: Interval | None
    absent: tuple[str, ...]
    calibration: tuple[float, float] = (0.0, 0.0)

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
            "ece_uncalibrated": self.calibration[0],
            "ece": self.calibration[1],
        }
