"""Questions that one of two models gets right and the other wrong, to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from trifocal.evaluate.disagreements import Disagreement, Disagreements, opened
from trifocal.report.page import Browser, Judged, Score

SHOWN = 6  # questions of each kind; a page holds their pictures
_MOST = 4  # pictures, or texts, of a question
_SIDE = 224  # pixels of a picture's longer side
_LETTERS = "abcdefgh"


def browsers(
    found: Sequence[Disagreements], models: tuple[str, str], *, shown: int = SHOWN
) -> list[Browser]:
    """Return for each benchmark what only the first model gets right, and what only the second.

    Of each part of a benchmark the first in the order of its files, in turn: none is picked.

    Args:
        found: What two models disagree about.
        models: Their names.
        shown: The most questions of each kind.
    """
    blocks = []
    for one in found:
        for place, questions in enumerate((one.first, one.second)):
            kept = [
                item
                for each in _in_turn(questions, shown)
                if (item := _judged(each, models, place, one.true_texts)) is not None
            ]
            if not kept:
                continue
            title = f"{one.benchmark}: only {models[place]} is right"
            caption = (
                f"{len(kept)} of {len(questions)} such questions, of {one.asked} asked "
                f"({one.measure}); the first of each part in turn. Numbers are cosines, the one "
                "that a model prefers in color."
            )
            blocks.append(Browser(title, kept, caption))
    return blocks


def _in_turn(questions: Sequence[Disagreement], count: int) -> list[Disagreement]:
    """Return some questions, one of each part after another."""
    turn: dict[str, int] = {}
    places = []
    for place, one in enumerate(questions):
        part = one.question.part
        turn[part] = turn.get(part, 0) + 1
        places.append((turn[part], place))
    return [questions[place] for _, place in sorted(places)[:count]]


def _judged(
    one: Disagreement, models: tuple[str, str], right: int, true_texts: int
) -> Judged | None:
    """Return a question with its pictures; None if one cannot be read any more."""
    question = one.question
    images, texts = _shown(one, true_texts)
    pictures = [_small(found) for i in images if (found := opened(question.images[i])) is not None]
    if len(pictures) < len(images):
        return None
    single = len(question.images) == 1
    several = not single and len(question.texts) > 1
    pairs = [(i, t) for i in images for t in texts]
    true = [i == t if several else t < true_texts if single else i == 0 for i, t in pairs]
    answers = []
    for number, model in enumerate(models):
        scores = one.scores[number][np.ix_(images, texts)]
        chosen = _preferred(scores).flatten().tolist()
        columns = zip(scores.flatten().tolist(), true, chosen, strict=True)
        answers.append((model, number == right, [Score(*column) for column in columns]))
    letters = _LETTERS if len(images) > 1 else " "
    return Judged(
        pictures,
        question.part.replace("_", " "),
        [(question.texts[t], t < true_texts if single else None) for t in texts],
        [
            f"{letters[row]}{column + 1 if len(texts) > 1 else ''}".strip() or "score"
            for row in range(len(images))
            for column in range(len(texts))
        ],
        answers,
    )


def _shown(one: Disagreement, true_texts: int) -> tuple[list[int], list[int]]:
    """Return which pictures and texts are shown: all of a square, else the true and the preferred."""
    images, texts = one.scores[0].shape
    if images > 1 and texts > 1:
        return list(range(images))[:_MOST], list(range(texts))[:_MOST]
    best = [np.unravel_index(int(scores.argmax()), scores.shape) for scores in one.scores]
    chosen_images = {0, *(int(i) for i, _ in best)}
    chosen_texts = {*range(min(true_texts, texts)), *(int(t) for _, t in best)}
    return sorted(chosen_images)[:_MOST], sorted(chosen_texts)[:_MOST]


def _preferred(scores: np.ndarray) -> np.ndarray:
    """Return (I, T) bool: the text that each picture prefers, or the picture that the text does.

    Nothing is preferred where two are equal.
    """
    axis = 0 if scores.shape[1] == 1 else 1
    best = scores == scores.max(axis=axis, keepdims=True)
    return best & (best.sum(axis=axis, keepdims=True) == 1)


def _small(picture: Image.Image) -> Image.Image:
    """Return a picture no larger than it is shown, so that many fit into memory."""
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return picture
