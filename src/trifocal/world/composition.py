"""Tests of composition in the form of SugarCrepe: one picture, a true and a false caption.

The seven tasks are those of SugarCrepe (Hsieh et al., NeurIPS 2023 Datasets and Benchmarks,
arXiv 2306.14610): replace an object, attribute or relation; swap two objects or attributes; add an
object or attribute. That paper shows how a test fails when the false captions look false without
the picture, so here true and false caption are exchangeable: a scene in which they change roles
is drawn just as often, and worded in the same way. No scorer that reads only texts can then be
right more than half of the time. This takes three rules.

* A replaced word comes from the same distribution as the true one, and a pair of kind and color
  that the split never shows is not used in a false caption either.
* The scenes used have no two things of one kind, so whether a scene qualifies does not depend on
  which of the two captions is the true one.
* For `add_*` both captions extend the same base: the true one by something that is there, the
  false one by something that is not, of the same form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from trifocal.errors import UserError, nearest
from trifocal.world.captions import (
    Mention,
    Statement,
    draw_style,
    holds,
    mention,
    render,
    with_mention,
)
from trifocal.world.scene import Scene, allowed, draw_pair, generator, make_scene
from trifocal.world.vocabulary import (
    ALLOWED_COLORS,
    KINDS,
    MARKED_SIZES,
    MARKED_TEXTURES,
    OPPOSITE,
    RELATIONS,
)

SETTING_SHARE = 0.2
# Which kind of word an attribute test is about, where the scene offers it.
ATTRIBUTE_SHARES: tuple[tuple[str, float], ...] = (("color", 0.6), ("size", 0.2), ("texture", 0.2))
_LEVEL = 0.1
_MARKED = {"size": MARKED_SIZES, "texture": MARKED_TEXTURES}


@dataclass(frozen=True)
class CompositionItem:
    """One test: `caption` is true of the scene and `negative_caption` is not."""

    scene: int  # index of the scene in its split
    filename: str
    caption: str
    negative_caption: str


Pair = tuple[Statement, Statement]


def composition_items(
    task: str, count: int, seed: int = 0, split: str = "test"
) -> list[CompositionItem]:
    """Draw the first `count` tests of a task; pictures are `make_scene(seed, item.scene, split)`.

    Scenes are gone through in order and those that do not allow such a test are passed over; a
    longer list begins with the shorter one.
    """
    if task not in TASKS:
        known = ", ".join(TASKS)
        raise UserError(
            f"There is no composition task {task!r}: choose one of {known}.{nearest(task, TASKS)}"
        )
    if split == "novel":
        raise UserError("Composition tests need a split without held-out pairs, not 'novel'.")
    purpose = 100 + tuple(TASKS).index(task)
    items: list[CompositionItem] = []
    index = -1
    while len(items) < count:
        index += 1
        scene = make_scene(seed, index, split)
        kinds = [thing.kind for thing in scene.things]
        if len(set(kinds)) < len(kinds):
            continue
        rng = generator(seed, split, index, purpose)
        pair = TASKS[task](scene, rng)
        if pair is None:
            continue
        true, false = pair
        if not holds(true, scene) or holds(false, scene):
            raise AssertionError(f"{task} made a wrong test of {scene.id}")  # a bug, not input
        style = replace(draw_style(rng), sentence=True)
        items.append(
            CompositionItem(index, f"{scene.id}.png", render(true, style), render(false, style))
        )
    return items


def _setting(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    return (scene.place, scene.condition) if rng.random() < SETTING_SHARE else None


def _related_pairs(scene: Scene) -> list[tuple[int, int]]:
    indices = range(len(scene.things))
    return [(i, j) for i, j in permutations(indices, 2) if scene.relation(i, j) is not None]


def _pick(options, rng: np.random.Generator):
    return options[int(rng.integers(len(options)))]


def _base(scene: Scene, rng: np.random.Generator) -> tuple[Statement, list[int]]:
    """Draw a statement about two things, related where that is clear and wanted."""
    first, second = rng.permutation(len(scene.things))[:2].tolist()
    relation = scene.relation(first, second) if rng.random() < 0.6 else None
    mentions = (mention(scene, first, rng), mention(scene, second, rng))
    return Statement(mentions, relation, _setting(scene, rng)), [first, second]


def _bare(scene: Scene, index: int, rng: np.random.Generator) -> Mention:
    """Mention a thing by kind and, mostly, color."""
    thing = scene.things[index]
    return Mention(thing.kind, thing.color if rng.random() < 0.85 else None)


def _replace_obj(scene: Scene, rng: np.random.Generator) -> Pair | None:
    true, things = _base(scene, rng)
    which = int(rng.integers(2))
    color = scene.things[things[which]].color
    present = {thing.kind for thing in scene.things}
    # The thing's color counts even where it is not named: otherwise kinds that are rarely of
    # this color would come up more often in false captions than in true ones.
    kinds = [kind for kind in KINDS if kind not in present and allowed(kind, color)]
    return true, with_mention(true, which, kind=_pick(kinds, rng))


def _attribute(rng: np.random.Generator) -> str:
    draw = rng.random()
    for name, share in ATTRIBUTE_SHARES:
        draw -= share
        if draw < 0:
            return name
    return "color"


def _other(attribute: str, kind: str, value: str, rng: np.random.Generator) -> str:
    """Draw another value of an attribute that a thing of this kind can have."""
    values = ALLOWED_COLORS[kind] if attribute == "color" else _MARKED[attribute]
    return _pick([v for v in values if v != value], rng)


def _replace_att(scene: Scene, rng: np.random.Generator) -> Pair | None:
    statement, things = _base(scene, rng)
    attribute, which = _attribute(rng), int(rng.integers(2))
    thing = scene.things[things[which]]
    value = getattr(thing, attribute)
    if attribute in _MARKED and value not in _MARKED[attribute]:
        return None  # medium and plain go without saying
    true = with_mention(statement, which, **{attribute: value})
    other = _other(attribute, thing.kind, value, rng)
    return true, with_mention(true, which, **{attribute: other})


def _replace_rel(scene: Scene, rng: np.random.Generator) -> Pair | None:
    pairs = _related_pairs(scene)
    if not pairs:
        return None
    first, second = _pick(pairs, rng)
    relation = scene.relation(first, second)
    assert relation is not None
    other = OPPOSITE[relation]
    (ax, ay), (bx, by) = scene.things[first].center, scene.things[second].center
    # "Above" is plainly false of things side by side only if they are nearly level.
    if min(abs(ax - bx), abs(ay - by)) < _LEVEL and rng.random() < 0.5:
        other = _pick([r for r in RELATIONS if r not in (relation, other)], rng)
    mentions = (mention(scene, first, rng), mention(scene, second, rng))
    true = Statement(mentions, relation, _setting(scene, rng))
    return true, replace(true, relation=other)


def _swap_obj(scene: Scene, rng: np.random.Generator) -> Pair | None:
    pairs = _related_pairs(scene)
    if not pairs:
        return None
    first, second = _pick(pairs, rng)
    mentions = (mention(scene, first, rng), mention(scene, second, rng))
    true = Statement(mentions, scene.relation(first, second), _setting(scene, rng))
    return true, replace(true, mentions=(mentions[1], mentions[0]))


def _swap_att(scene: Scene, rng: np.random.Generator) -> Pair | None:
    statement, things = _base(scene, rng)
    attribute = _attribute(rng)
    (kind_a, a), (kind_b, b) = (
        (scene.things[i].kind, getattr(scene.things[i], attribute)) for i in things
    )
    if a == b or (attribute in _MARKED and not {a, b} <= set(_MARKED[attribute])):
        return None
    if attribute == "color" and not (allowed(kind_a, b) and allowed(kind_b, a)):
        return None
    true = with_mention(with_mention(statement, 0, **{attribute: a}), 1, **{attribute: b})
    false = with_mention(with_mention(statement, 0, **{attribute: b}), 1, **{attribute: a})
    return true, false


def _add_obj(scene: Scene, rng: np.random.Generator) -> Pair | None:
    if len(scene.things) < 3:
        return None
    first, second, added = rng.permutation(len(scene.things))[:3].tolist()
    base = (_bare(scene, first, rng), _bare(scene, second, rng))
    present = {thing.kind for thing in scene.things}
    kind, color = draw_pair(rng)
    while kind in present:
        kind, color = draw_pair(rng)
    there = _bare(scene, added, rng)
    absent = Mention(kind, color if there.color else None)
    relation = scene.relation(first, second) if rng.random() < 0.4 else None
    setting = _setting(scene, rng)
    true = Statement((*base, there), relation, setting)
    return true, replace(true, mentions=(*base, absent))


def _add_att(scene: Scene, rng: np.random.Generator) -> Pair | None:
    first, second = rng.permutation(len(scene.things))[:2].tolist()
    relation = scene.relation(first, second) if rng.random() < 0.6 else None
    attribute, which = _attribute(rng), int(rng.integers(2))
    thing = scene.things[(first, second)[which]]
    value = getattr(thing, attribute)
    if attribute in _MARKED and value not in _MARKED[attribute]:
        return None
    mentions = [_bare(scene, first, rng), _bare(scene, second, rng)]
    if attribute == "color":
        mentions[which] = Mention(thing.kind)
    base = Statement((mentions[0], mentions[1]), relation, _setting(scene, rng))
    other = _other(attribute, thing.kind, value, rng)
    return (
        with_mention(base, which, **{attribute: value}),
        with_mention(base, which, **{attribute: other}),
    )


TASKS: dict[str, Callable[[Scene, np.random.Generator], Pair | None]] = {
    "replace_obj": _replace_obj,
    "replace_att": _replace_att,
    "replace_rel": _replace_rel,
    "swap_obj": _swap_obj,
    "swap_att": _swap_att,
    "add_obj": _add_obj,
    "add_att": _add_att,
}
