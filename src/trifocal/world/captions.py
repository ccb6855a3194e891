"""English sentences about a scene: what a caption says, and how it says it.

A `Statement` is the content (which things, with which words, in which relation, where), a `Style`
the wording. Both are drawn separately, so that a test can say two different things in exactly the
same words (`composition`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from trifocal.world.scene import Scene, Thing
from trifocal.world.vocabulary import (
    MARKED_SIZES,
    MARKED_TEXTURES,
    RELATION_PHRASES,
    SETTING_PHRASES,
    SPOT_PHRASES,
    article,
)


@dataclass(frozen=True)
class Habits:
    """How often a writer of captions names what could be named."""

    color: float = 0.6  # the color of a mentioned thing
    size: float = 0.25  # a size other than medium (so a third of all things have one to name)
    texture: float = 0.25  # a texture other than plain
    # How the first two of several things stand to each other, where that is clear.
    relation: float = 1.0
    spots: float = 0.0  # otherwise, where in the picture the things are
    setting: float = 0.1  # place and condition
    # One, two or three things (as far as there are so many).
    mentions: tuple[float, float, float] = (0.15, 0.8, 0.05)
    opening: float = 0.0  # begin with "there is", "a picture of" or the like
    in_order: float = 0.0  # name things in the order of reading: from the left, from the top


# "curated" captions relate things to each other, as annotators do; captions from the "web" name a
# thing or two; those of a "list" go through the picture in the order of reading.
HABITS: dict[str, Habits] = {
    "curated": Habits(),
    "web": Habits(
        color=0.4,
        size=0.2,
        texture=0.3,
        relation=0.1,
        spots=0.4,
        setting=0.15,
        mentions=(0.5, 0.4, 0.1),
        opening=0.36,
    ),
    "list": Habits(
        color=0.35,
        size=0.05,
        texture=0.1,
        relation=0.0,
        spots=0.0,
        setting=0.05,
        mentions=(0.1, 0.9, 0.0),
        opening=0.15,
        in_order=1.0,
    ),
}
CURATED = HABITS["curated"]

OPENINGS: tuple[str, ...] = ("", "there is ", "a picture of ", "an image of ")


@dataclass(frozen=True)
class Mention:
    """A thing as a caption names it; None is left unsaid."""

    kind: str
    color: str | None = None
    size: str | None = None
    texture: str | None = None
    spot: str | None = None

    def phrase(self) -> str:
        """Return the noun phrase with its article."""
        words = (self.size, self.texture, self.color, self.kind)
        phrase = article(" ".join(word for word in words if word))
        return f"{phrase} {SPOT_PHRASES[self.spot]}" if self.spot else phrase

    def fits(self, thing: Thing) -> bool:
        """Say whether every word is true of the thing."""
        return (
            self.kind == thing.kind
            and self.color in (None, thing.color)
            and self.size in (None, thing.size)
            and self.texture in (None, thing.texture)
            and (self.spot is None or self.spot in thing.spots)
        )


@dataclass(frozen=True)
class Statement:
    """What a caption claims: these things are there, the first in `relation` to the second."""

    mentions: tuple[Mention, ...]
    relation: str | None = None
    setting: tuple[str, str] | None = None  # place and condition


@dataclass(frozen=True)
class Style:
    """How a claim is worded."""

    opening: int = 0  # index into OPENINGS
    relation_phrase: int = 0
    setting_phrase: int = 0
    setting_first: bool = False
    copula: bool = False  # "a ball is above a cup" for "a ball above a cup"
    sentence: bool = False  # upper-case letter and period


def holds(statement: Statement, scene: Scene) -> bool:
    """Say whether a statement is true of a scene: some different things fit all it says."""
    if statement.setting not in (None, (scene.place, scene.condition)):
        return False
    for chosen in permutations(range(len(scene.things)), len(statement.mentions)):
        fit = all(m.fits(scene.things[i]) for m, i in zip(statement.mentions, chosen))
        related = statement.relation is None or (
            scene.relation(chosen[0], chosen[1]) == statement.relation
        )
        if fit and related:
            return True
    return False


def render(statement: Statement, style: Style) -> str:
    """Put a statement into words."""
    names = [mention.phrase() for mention in statement.mentions]
    if statement.relation is not None:
        phrases = RELATION_PHRASES[statement.relation]
        relation = phrases[style.relation_phrase % len(phrases)]
        verb = "is " if style.copula and not style.opening and len(names) == 2 else ""
        text = f"{names[0]} {verb}{relation} {names[1]}"
        # "and" would leave open whether the relation goes for the third thing as well.
        text = ", along with ".join([text, *names[2:]])
    elif len(names) == 1:
        text = names[0]
    else:
        text = f"{', '.join(names[:-1])} and {names[-1]}"
    text = OPENINGS[style.opening] + text
    if statement.setting is not None:
        phrases = SETTING_PHRASES[statement.setting]
        setting = phrases[style.setting_phrase % len(phrases)]
        text = f"{setting}, {text}" if style.setting_first else f"{text} {setting}"
    if style.sentence:
        text = f"{text[0].upper()}{text[1:]}."
    return text


def draw_style(rng: np.random.Generator, habits: Habits = CURATED) -> Style:
    """Draw a wording."""
    draws = rng.random(7)
    opening = 1 + int(draws[6] * (len(OPENINGS) - 1)) if draws[0] < habits.opening else 0
    return Style(
        opening=opening,
        relation_phrase=int(draws[1] * 2),
        setting_phrase=int(draws[2] * 2),
        setting_first=bool(draws[3] < 0.2) and opening <= 1,
        copula=bool(draws[4] < 0.25),
        sentence=bool(draws[5] < 0.5),
    )


def mention(
    scene: Scene, index: int, rng: np.random.Generator, habits: Habits = CURATED
) -> Mention:
    """Draw how thing `index` is named: always so that the words fit no other thing."""
    thing = scene.things[index]
    draws = rng.random(3)
    unique = sum(other.kind == thing.kind for other in scene.things) == 1
    size = thing.size in MARKED_SIZES and draws[1] < habits.size
    texture = thing.texture in MARKED_TEXTURES and draws[2] < habits.texture
    return Mention(
        kind=thing.kind,
        color=thing.color if draws[0] < habits.color or not unique else None,
        size=thing.size if size else None,
        texture=thing.texture if texture else None,
    )


def draw_statement(scene: Scene, rng: np.random.Generator, habits: Habits = CURATED) -> Statement:
    """Draw something true to say about a scene."""
    order = rng.permutation(len(scene.things)).tolist()
    draws = rng.random(5)
    one, two, _ = habits.mentions
    count = 1 if draws[0] < one else 2 if draws[0] < one + two else 3
    chosen = order[:count]
    if draws[4] < habits.in_order:
        chosen.sort(key=lambda i: sum(scene.things[i].center))
    relation = None
    if len(chosen) > 1 and draws[1] < habits.relation:
        # The first pair that stands in a clear relation is put first.
        for i, j in permutations(chosen, 2):
            relation = scene.relation(i, j)
            if relation is not None:
                chosen = [i, j, *(k for k in chosen if k not in (i, j))]
                break
    setting = (scene.place, scene.condition) if draws[2] < habits.setting else None
    mentions = [mention(scene, i, rng, habits) for i in chosen]
    if relation is None and draws[3] < habits.spots:
        mentions = [_placed(m, scene.things[i], rng) for m, i in zip(mentions, chosen)]
    return Statement(tuple(mentions), relation, setting)


def _placed(mention: Mention, thing: Thing, rng: np.random.Generator) -> Mention:
    spots = thing.spots
    return replace(mention, spot=spots[rng.integers(len(spots))]) if spots else mention


def caption(scene: Scene, rng: np.random.Generator, habits: Habits = CURATED) -> str:
    """Draw a true and unambiguous sentence about a scene."""
    return render(draw_statement(scene, rng, habits), draw_style(rng, habits))


def captions(scene: Scene, rng: np.random.Generator, count: int = 5) -> list[str]:
    """Draw `count` captions of a scene; they differ as far as a few more tries can make them."""
    found: list[str] = []
    for _ in range(4 * count):
        text = caption(scene, rng)
        if text not in found:
            found.append(text)
        if len(found) == count:
            return found
    return found + [caption(scene, rng) for _ in range(count - len(found))]


def with_mention(statement: Statement, index: int, **words: str | None) -> Statement:
    """Return the statement with some words of one mention replaced."""
    mentions = list(statement.mentions)
    mentions[index] = replace(mentions[index], **words)
    return replace(statement, mentions=tuple(mentions))
