"""The three tests on the built-in drawn world: zero-shot, retrieval, composition.

They stand for the real ones and use the same scoring code; their names all begin with "world/",
because a number measured on drawings says nothing about photos. Pictures are drawn once at a
model's size and kept, so that several models can be compared quickly, and every picture and text
goes through a model once although several tests ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, add_rows
from trifocal.evaluate.benchmarks.class_rows import add_accuracies
from trifocal.evaluate.benchmarks.retrieval import add_recalls, retrieval_protocol
from trifocal.evaluate.benchmarks.zero_shot import prompt_classifier
from trifocal.evaluate.names import WORLD
from trifocal.features.embed import encode_images, encode_texts
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.world import (
    ZeroShotTask,
    captions,
    composition_items,
    draw,
    make_scene,
    to_tensor,
    zero_shot_task,
)
from trifocal.world.scene import generator

_CAPTION_PURPOSE = 40  # the purpose of the draws that word the retrieval captions


@dataclass(frozen=True)
class WorldQuestions:
    """What is asked, without the pictures."""

    seed: int  # which world
    split: str  # whose scenes
    tasks: tuple[ZeroShotTask, ...]  # the classification tasks
    singles: tuple[int, ...]  # indices of their scenes of one thing, each once
    scenes: tuple[int, ...]  # indices of the scenes of retrieval and composition, each once
    captions: tuple[str, ...]  # one caption for each of the first so many `scenes`
    # (scene index, subset, caption, negative) of the composition tests.
    tests: tuple[tuple[int, str, str, str], ...]

    def __len__(self) -> int:
        return sum(len(t.items) for t in self.tasks) + len(self.captions) + len(self.tests)


@dataclass
class World:
    """The benchmark; it needs no data."""

    seed: int = 0  # which world
    split: str = "test"  # whose scenes: "test", or "val" for choosing between models
    tasks: tuple[str, ...] = ("kinds", "colors")  # what is classified: see `world.ZERO_SHOT`
    classification: int = 512  # scenes of one thing for each of these
    retrieval: int = 500  # scenes with a caption
    composition: int = 250  # tests in each of SugarCrepe's seven subsets
    batch_size: int = 256  # pictures in one pass
    name = WORLD
    source = "drawn by trifocal itself (Apache-2.0)"
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return nothing: the world is always there."""
        return []

    def items(self, root: str | Path = ".") -> WorldQuestions:
        """Draw the questions."""
        return _questions(
            self.seed,
            self.split,
            tuple(self.tasks),
            self.classification,
            self.retrieval,
            self.composition,
        )

    def score(
        self, model: Encoder, items: WorldQuestions, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return the rows of all three tests, of a Clip or a method."""
        size = model.image_size
        pictures = _pictures(items.seed, items.split, items.singles, items.scenes, size)
        images = encode_images(model, pictures, batch_size=self.batch_size, progress=progress)
        alone, scenes = images.split([len(items.singles), len(items.scenes)])
        return [
            *self._classify(model, items, alone, progress),
            *self._retrieve(model, items, scenes, progress),
            *self._compose(model, items, scenes, progress),
        ]

    def _sheet(self, part: str, model: Encoder, protocol: str) -> Sheet:
        return Sheet(f"{WORLD}/{part}", model_name(model), protocol, self.seed, self.version)

    def _classify(
        self, model: Encoder, items: WorldQuestions, images: Tensor, progress: Progress | None
    ) -> list[Result]:
        place = {scene: i for i, scene in enumerate(items.singles)}
        rows: list[Result] = []
        for task in items.tasks:
            texts = [task.prompts(label) for label in range(len(task.classnames))]
            protocol = f"scenes of one thing, {len(texts)} classes, {len(texts[0])} prompts each"
            sheet = self._sheet(task.name, model, protocol)
            classifier = prompt_classifier(model, texts, progress=progress)
            shown = images[[place[item.scene] for item in task.items]]
            labels = torch.tensor([item.label for item in task.items])
            add_accuracies(sheet, shown @ classifier.T, labels)
            rows += sheet.done()
        return rows

    def _retrieve(
        self, model: Encoder, items: WorldQuestions, images: Tensor, progress: Progress | None
    ) -> list[Result]:
        count = len(items.captions)
        sheet = self._sheet("retrieval", model, retrieval_protocol(count, count))
        texts = encode_texts(model, items.captions, progress=progress)
        add_recalls(sheet, images[:count], texts, range(count))
        return sheet.done()

    def _compose(
        self, model: Encoder, items: WorldQuestions, images: Tensor, progress: Progress | None
    ) -> list[Result]:
        protocol = "image to text, 2 choices, ties are errors; groups micro, mean of groups"
        sheet = self._sheet("composition", model, protocol)
        texts = [test[2] for test in items.tests] + [test[3] for test in items.tests]
        true, false = encode_texts(model, texts, progress=progress).chunk(2)
        place = {scene: i for i, scene in enumerate(items.scenes)}
        pictures = images[[place[test[0]] for test in items.tests]]
        own, other = (pictures * true).sum(1), (pictures * false).sum(1)
        add_rows(sheet, [test[1] for test in items.tests], own, other)
        return sheet.done()


@lru_cache(maxsize=8)
def _questions(
    seed: int, split: str, tasks: tuple[str, ...], singles: int, scenes: int, tests: int
) -> WorldQuestions:
    drawn = tuple(zero_shot_task(name, singles, seed, split) for name in tasks)
    alone = dict.fromkeys(item.scene for task in drawn for item in task.items)
    asked = tuple(
        (item.scene, subset, item.caption, item.negative_caption)
        for subset in SUBSETS
        for item in composition_items(subset, tests, seed, split)
    )
    # Retrieval takes the first scenes, which are mostly those of the composition tests too.
    together = dict.fromkeys([*range(scenes), *(test[0] for test in asked)])
    texts = tuple(
        captions(make_scene(seed, i, split), generator(seed, split, i, _CAPTION_PURPOSE), 1)[0]
        for i in range(scenes)
    )
    return WorldQuestions(seed, split, drawn, tuple(alone), tuple(together), texts, asked)


@lru_cache(maxsize=4)
def _pictures(
    seed: int,
    split: str,
    singles: tuple[int, ...],
    scenes: tuple[int, ...],
    size: tuple[int, int],
) -> Tensor:
    """Draw scenes of one thing, then the other scenes, (N, 3, H, W) uint8."""
    graphs = [make_scene(seed, i, split, 1) for i in singles]
    graphs += [make_scene(seed, i, split) for i in scenes]
    return torch.stack([to_tensor(draw(scene, size)) for scene in graphs])


def world_suite(
    model: Encoder, *, name: str | None = None, progress: Progress | None = None, **settings: Any
) -> list[Result]:
    """Score a Clip or a method on the world in one call.

    It is named in the rows as `name`, by default its own; settings are fields of `World`.
    """
    world = World(**settings)
    rows = world.score(model, world.items(), progress=progress)
    return rows if name is None else [row.of(name) for row in rows]
