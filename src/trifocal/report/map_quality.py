"""What a model's word maps are worth: do words look at the things that they name?

On drawn scenes, whose boxes are known, by the measures of `metrics.maps`; on photos the benchmark
`word_maps` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from trifocal.clip import Clip
from trifocal.evaluate.benchmarks.word_maps import BOX_AUC, DENSE, POINTING, WordMaps
from trifocal.features.word_maps import word_similarities
from trifocal.metrics.intervals import Interval, bootstrap, wilson
from trifocal.metrics.maps import MapScore, UnitBox, map_score
from trifocal.metrics.result import Result
from trifocal.world import draw, make_scene, to_tensor

THINGS, COLORS = "things on drawn scenes", "colors on drawn scenes"
PHOTOS = "things on photos"
Placed = tuple[str, Sequence[UnitBox]]  # a word, and where in the picture what it names is

_SCENES, _SEED = 60, 7


@dataclass(frozen=True)
class MapQuality:
    """How well maps of words find what these name.

    Attributes:
        auc: Area under the ROC curve over patches, mean over words, with its 95 % interval.
        pointing: Share of words whose brightest patch is inside a box.
        chance: The share of patches that are.
        n: How many words in pictures, or how many photos.
    """

    auc: Interval
    pointing: float
    chance: float
    n: int

    @property
    def above_chance(self) -> bool:
        """Whether the maps say anything."""
        return self.auc.low > 0.5


def photo_map_quality(rows: Iterable[Result]) -> dict[str, MapQuality]:
    """Return what a model's maps are worth on photos, by its rows of `word_maps`; empty without any."""
    own = {(row.task, row.metric): row for row in rows if row.benchmark == WordMaps.name}
    area, hits = own.get((DENSE, BOX_AUC)), own.get((DENSE, POINTING))
    if area is None or hits is None or hits.chance is None:
        return {}
    # The spread of shares within [0, 1] is largest where each is 0 or 1, as Wilson's interval has it.
    return {PHOTOS: MapQuality(wilson(area.value, area.n), hits.value, hits.chance, area.n)}


def map_quality(clip: Clip, pictures: Iterable[tuple[Tensor, Sequence[Placed]]]) -> MapQuality:
    """Return what a model's maps are worth on pictures with boxes.

    Args:
        clip: The model.
        pictures: Pixels (3, H, W) as the model takes them, and the words that have a place in each;
            words that cover no patch's center, or all, are left out.
    """
    scores: list[MapScore] = []
    for pixels, placed in pictures:
        if not placed:
            continue
        found = word_similarities(clip, pixels[None], [word for word, _ in placed])[0]
        for similarity, (_, boxes) in zip(found, placed, strict=True):
            score = map_score(similarity, boxes)
            scores += [] if score is None else [score]
    if not scores:
        raise ValueError("no word has a place in any picture")
    hits, shares = ([getattr(one, name) for one in scores] for name in ("hit", "share"))
    auc = bootstrap(np.array([one.auc for one in scores]))
    return MapQuality(auc, float(np.mean(hits)), float(np.mean(shares)), len(scores))


def world_map_quality(clip: Clip, scenes: int = _SCENES) -> dict[str, MapQuality]:
    """Return what a model's maps are worth on drawn scenes, for words of things and of colors."""
    drawn = [make_scene(_SEED, index, "val") for index in range(scenes)]
    pixels = [to_tensor(draw(scene, clip.image_size)) for scene in drawn]
    words: dict[str, list[list[Placed]]] = {THINGS: [], COLORS: []}
    for scene in drawn:
        for name, key in ((THINGS, "kind"), (COLORS, "color")):
            places: dict[str, list[UnitBox]] = {}
            for thing in scene.things:
                places.setdefault(getattr(thing, key), []).append(thing.box)
            words[name].append(list(places.items()))
    return {
        name: map_quality(clip, zip(pixels, placed, strict=True)) for name, placed in words.items()
    }
