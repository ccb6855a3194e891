"""Pictures to look at in a report: what is shown, what the model sees, and what is said of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, SugarCrepe
from trifocal.data.images import BadImage, open_image
from trifocal.evaluate.benchmarks.world import World
from trifocal.features.identity import Picture
from trifocal.features.questions import Question
from trifocal.metrics.benchmark import Benchmark
from trifocal.world import composition_items, draw, make_scene, to_tensor
from trifocal.world.vocabulary import COLOR_NAMES, KINDS, MARKED_TEXTURES

_DISPLAY = 256  # pixels; what a report shows of a drawn scene
_RELATION_WORDS = ("left", "right", "above", "below", "over", "under")
_WORLD_WORDS = frozenset((*KINDS, *COLOR_NAMES, *MARKED_TEXTURES, *_RELATION_WORDS))
_NO_NAMES = """
a about all also an and any are as at be been both but by can each for from had has have he her him
his how i if in into is it its just like many more most much no not of on one or other out over own
she so some such than that the their them then there these they this those to too up very was we
were what when where which while who with you your
"""
_FUNCTION_WORDS = frozenset(_NO_NAMES.split())  # a patch cannot show what they say
_TITLES = {
    "replace_obj": "another object",
    "replace_att": "another attribute",
    "replace_rel": "another relation",
    "swap_obj": "objects swapped",
    "swap_att": "attributes swapped",
    "add_obj": "an object added",
    "add_att": "an attribute added",
}


@dataclass(frozen=True)
class Shown:
    """A question with a picture that a reader can look at."""

    display: Image.Image  # the picture for the reader
    picture: Picture  # the picture for the model
    subject: str  # what the question is about, in a few words
    caption: str  # the true sentence
    negative: str  # the false one
    words: tuple[str, ...] = ()  # words of the caption worth a heat map


def shown_of(
    benchmark: Benchmark, root: str | Path, image_size: int | tuple[int, int]
) -> list[Shown]:
    """Return the first questions of every subset of a composition benchmark, none of others.

    Data are read below `root`; `image_size` is what the models see, in pixels (`Clip.image_size`).
    """
    if isinstance(benchmark, World):
        return world_shown(image_size, seed=benchmark.seed, split=benchmark.split)
    return photos_shown(benchmark.items(root).items) if isinstance(benchmark, SugarCrepe) else []


def world_shown(
    image_size: int | tuple[int, int], *, each: int = 1, seed: int = 0, split: str = "test"
) -> list[Shown]:
    """Return the first `each` tests of every subset of the world's composition, no scene twice.

    The first, and not the best: a report that picks its examples proves nothing. `image_size` is
    what the models see, in pixels (`Clip.image_size`).
    """
    found: list[Shown] = []
    used: set[int] = set()
    for subset in SUBSETS:
        items = composition_items(subset, each + len(used), seed, split)
        for item in [item for item in items if item.scene not in used][:each]:
            used.add(item.scene)
            scene = make_scene(seed, item.scene, split)
            words = [w for w in _letters(item.caption) if w in _WORLD_WORDS]
            pictures = draw(scene, _DISPLAY), to_tensor(draw(scene, image_size))
            texts = _TITLES[subset], item.caption, item.negative_caption
            found.append(Shown(*pictures, *texts, tuple(dict.fromkeys(words))))
    return found


def photos_shown(questions: Iterable[Question], *, each: int = 1) -> list[Shown]:
    """Return the first `each` of every subset of SugarCrepe, with their photo files, none twice."""
    found: list[Shown] = []
    count, used = dict.fromkeys(SUBSETS, 0), set()
    for one in questions:
        (image,), (caption, negative) = one.images, one.texts
        if not isinstance(image, str | Path):
            raise TypeError("photos are shown from files")
        if count[one.part] < each and str(image) not in used:
            used.add(str(image))
            try:
                photo = open_image(image)
            except BadImage:  # the score tells of it
                continue
            count[one.part] += 1
            texts = _TITLES[one.part], caption, negative
            found.append(Shown(photo, photo, *texts, telling_words(caption)))
    return found


def telling_words(caption: str, most: int = 6) -> tuple[str, ...]:
    """Return up to `most` words that name something, the longest if there are more, in order."""
    words = [word for word in dict.fromkeys(_letters(caption)) if word not in _FUNCTION_WORDS]
    kept = set(sorted(words, key=len, reverse=True)[:most])
    return tuple(word for word in words if word in kept)


def _letters(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())
