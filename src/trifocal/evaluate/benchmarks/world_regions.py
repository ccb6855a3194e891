"""Sherlock's three tests on the built-in drawn world: retrieval, localization, comparison.

They stand for the real ones and use the same scoring code. What people rated in the comparison is
here read off the scene: the inference of this actor beside this sign is good, one that has either
of them right is okay, the others are bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from trifocal.data.sherlock_files import Instance
from trifocal.evaluate.names import WORLD
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.regions.benchmarks.annotated import Annotated, annotated
from trifocal.regions.benchmarks.comparison import comparison_metrics
from trifocal.regions.benchmarks.pool import Pool, embed
from trifocal.regions.benchmarks.sherlock import add_localization, add_retrieval
from trifocal.regions.encoder import RegionModel, region_encoder
from trifocal.regions.prompts import Layout
from trifocal.world import MEANINGS, abduction_items, draw, inference_wordings
from trifocal.world.scene import generator

_CANDIDATES = 220  # the purpose of the draws of the comparison's candidates
_KINDS = ((2, 1), (1, 6), (0, 3))  # rating, and how many candidates have it
PICTURE = 144  # side of the pictures; a region is cut out and magnified


@dataclass(frozen=True)
class Question:
    """A region with ten inferences and what each is worth."""

    region: int
    texts: np.ndarray
    ratings: np.ndarray


@dataclass(frozen=True)
class WorldRegionItems:
    """What is asked."""

    pool: Pool
    instances: Sequence[Instance]
    annotated: Annotated
    questions: Sequence[Question]

    def __len__(self) -> int:
        return len(self.instances)


@dataclass
class WorldRegions:
    """The benchmark; it needs no data.

    Attributes:
        seed: Which world.
        split: Whose scenes: "test", or "val" for choosing between models.
        scenes: How many; 20 make a fold of 48 regions.
        variant, layout: Show regions so, instead of as the model was trained to see them.
        auto: Also ask for the right one of a detector's boxes, which are many.
        batch_size: Pictures in one pass.
    """

    seed: int = 0
    split: str = "test"
    scenes: int = 200
    variant: str | None = None
    layout: Layout | None = None
    auto: bool = True
    batch_size: int = 256
    name = "world_regions"
    source = "drawn by trifocal itself (Apache-2.0)"
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return nothing: the world is always there."""
        return []

    def items(self, root: str | Path = ".") -> WorldRegionItems:
        """Draw the questions."""
        return _items(self.seed, self.split, self.scenes, self.auto)

    def score(
        self, model: RegionModel, items: WorldRegionItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return the rows of all three tests, named as Sherlock's."""
        encoder = region_encoder(model, variant=self.variant, layout=self.layout)
        embedded = embed(encoder, items.pool, batch_size=self.batch_size, progress=progress)
        name = f"{WORLD}/regions"
        sheet = Sheet(name, model_name(model), embedded.protocol, self.seed, self.version)
        base, folds = embedded.protocol, len(items.annotated.folds)
        add_retrieval(sheet, f"{base}; {folds} folds", items.annotated.retrieval(embedded))
        add_localization(sheet, base, items.annotated.localization(embedded))
        found = comparison_metrics(
            [
                embedded.matrix(np.array([question.region]), question.texts)[0]
                for question in items.questions
            ],
            [np.stack([question.ratings] * 2) for question in items.questions],
        )
        sheet.protocol = f"{base}; pairwise order, 2 (accuracy - 1/2)"
        sheet.add("comparison", "Human Acc", found.model, found.n, 0.0, found.ties)
        return sheet.done()


@lru_cache(maxsize=4)
def _items(seed: int, split: str, scenes: int, auto: bool) -> WorldRegionItems:
    pool, instances, pictures = Pool(), [], {}
    drawn = abduction_items(scenes, seed, split)
    for item in drawn:
        scene = item.scene.scene
        if scene.id not in pictures:
            pictures[scene.id] = draw(scene, PICTURE)
        instances.append(Instance(item.region_item(pictures[scene.id]), scene.id, item.fold))
    asked = annotated(instances, pool, proposals=None if auto else {})
    questions = [
        _question(int(region), item.instance.meaning, generator(seed, split, i, _CANDIDATES), pool)
        for i, (region, item) in enumerate(zip(asked.region, drawn))
    ]
    return WorldRegionItems(pool, instances, asked, questions)


def _question(
    region: int, meaning: tuple[str, str], rng: np.random.Generator, pool: Pool
) -> Question:
    by_rating: dict[int, list[tuple[str, str]]] = {rating: [] for rating, _ in _KINDS}
    for other in MEANINGS:
        by_rating[sum(a == b for a, b in zip(meaning, other))].append(other)
    texts, ratings = [], []
    for rating, count in _KINDS:
        options = by_rating[rating]
        for k in rng.permutation(len(options))[:count]:
            wordings = inference_wordings(*options[k])
            texts.append(pool.text(wordings[rng.integers(len(wordings))]))
            ratings.append(float(rating))
    order = rng.permutation(len(texts))
    return Question(region, np.array(texts)[order], np.array(ratings)[order])


def world_regions(
    model: RegionModel,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> list[Result]:
    """Score what `trifocal.regions.region_encoder` takes on the world's regions in one call.

    It is named in the rows as `name`, by default its own; settings are fields of `WorldRegions`.
    """
    world = WorldRegions(**settings)
    rows = world.score(model, world.items(), progress=progress)
    return rows if name is None else [row.of(name) for row in rows]
