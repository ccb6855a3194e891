"""The three tests on the built-in drawn world: zero-shot, retrieval, composition.

They stand for the real ones and use the same scoring code; their names all begin with "world/",
because a number measured on drawings says nothing about photos. Pictures are drawn once at a
model's size and kept, so that several models can be compared quickly, and every picture and text
goes through a model once although several tests ask for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, add_rows
from trifocal.evaluate.retrieval import TASK as RETRIEVAL_TASK
from trifocal.evaluate.retrieval import add_recalls, retrieval_protocol
from trifocal.evaluate.zero_shot import TASK as ZERO_SHOT_TASK
from trifocal.evaluate.zero_shot import add_accuracies, zero_shot_classifier
from trifocal.metrics.benchmark import Missing, Sheet, find
from trifocal.metrics.choice import pair_correct
from trifocal.metrics.encode import encode_images, encode_texts, encoder_of
from trifocal.metrics.progress import Progress
from trifocal.metrics.result import Result, model_name
from trifocal.world import captions, draw, make_scene
from trifocal.world.composition import composition_items
from trifocal.world.scene import generator
from trifocal.world.source import to_tensor
from trifocal.world.vocabulary import COLOR_NAMES, KINDS, article

NAME = "world"
NOTE = "on the built-in drawn world"  # what a table or a report says beside such numbers
KIND_TEMPLATES = ("{c}", "there is {c}", "a picture of {c}", "an image of {c}")
COLOR_TEMPLATES = tuple(f"{{c}} {kind}" for kind in KINDS)
_CAPTION_PURPOSE = 40  # the purpose of the draws that word the retrieval captions


@dataclass(frozen=True)
class WorldQuestions:
    """What is asked, without the pictures.

    Attributes:
        seed: Which world.
        split: Whose scenes.
        singles: How many scenes of one thing zero-shot classification looks at.
        scenes: Scene indices of retrieval and composition, each once, in order.
        captions: One caption for each of the first so many `scenes`.
        tests: (scene index, subset, caption, negative) of the composition tests.
    """

    seed: int
    split: str
    singles: int
    scenes: tuple[int, ...]
    captions: tuple[str, ...]
    tests: tuple[tuple[int, str, str, str], ...]

    def __len__(self) -> int:
        return self.singles + len(self.captions) + len(self.tests)


@dataclass
class World:
    """The benchmark; it needs no data.

    Attributes:
        seed: Which world.
        split: Whose scenes: "test", or "val" for choosing between models.
        classification: Scenes of one thing.
        retrieval: Scenes with a caption.
        composition: Tests in each of SugarCrepe's seven subsets.
        batch_size: Pictures in one pass.
    """

    seed: int = 0
    split: str = "test"
    classification: int = 512
    retrieval: int = 500
    composition: int = 250
    batch_size: int = 256
    name = NAME
    source = "drawn by trifocal itself (Apache-2.0)"
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return nothing: the world is always there."""
        return []

    def items(self, root: str | Path = ".") -> WorldQuestions:
        """Draw the questions."""
        return _questions(
            self.seed, self.split, self.classification, self.retrieval, self.composition
        )

    def score(
        self, model: Any, items: WorldQuestions, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return the rows of all three tests.

        Args:
            model: A Clip or a method.
            items: What `items` returned.
            progress: Told of pictures and texts.
        """
        size = encoder_of(model).image_size
        pictures = torch.cat([_singles(items, size), _scenes(items, size)])
        images = encode_images(model, pictures, batch_size=self.batch_size, progress=progress)
        alone, scenes = images[: items.singles], images[items.singles :]
        return [
            *self._classify(model, items, alone, progress),
            *self._retrieve(model, items, scenes, progress),
            *self._compose(model, items, scenes, progress),
        ]

    def _sheet(self, part: str, model: Any, protocol: str) -> Sheet:
        return Sheet(f"{NAME}/{part}", model_name(model), protocol, self.seed, self.version)

    def _classify(
        self, model: Any, items: WorldQuestions, images: Tensor, progress: Progress | None
    ) -> list[Result]:
        things = [make_scene(items.seed, i, items.split, 1).things[0] for i in range(items.singles)]
        rows: list[Result] = []
        for part, names, templates, truth in (
            ("kinds", KINDS, KIND_TEMPLATES, [thing.kind for thing in things]),
            ("colors", COLOR_NAMES, COLOR_TEMPLATES, [thing.color for thing in things]),
        ):
            protocol = f"scenes of one thing, {len(names)} classes, {len(templates)} prompts each"
            sheet = self._sheet(part, model, protocol)
            phrases = [article(name) for name in names]
            classifier = zero_shot_classifier(model, phrases, templates, progress=progress)
            labels = torch.tensor([names.index(name) for name in truth])
            add_accuracies(sheet, images @ classifier.T, labels)
            rows += sheet.done()
        return rows

    def _retrieve(
        self, model: Any, items: WorldQuestions, images: Tensor, progress: Progress | None
    ) -> list[Result]:
        count = len(items.captions)
        sheet = self._sheet("retrieval", model, retrieval_protocol(count, count))
        texts = encode_texts(model, items.captions, progress=progress)
        add_recalls(sheet, images[:count], texts, range(count))
        return sheet.done()

    def _compose(
        self, model: Any, items: WorldQuestions, images: Tensor, progress: Progress | None
    ) -> list[Result]:
        protocol = "image to text, 2 choices, ties are errors; groups micro, mean of groups"
        sheet = self._sheet("composition", model, protocol)
        texts = [test[2] for test in items.tests] + [test[3] for test in items.tests]
        true, false = encode_texts(model, texts, progress=progress).chunk(2)
        place = {scene: i for i, scene in enumerate(items.scenes)}
        pictures = images[[place[test[0]] for test in items.tests]]
        right = pair_correct((pictures * true).sum(1), (pictures * false).sum(1))
        add_rows(sheet, [test[1] for test in items.tests], right)
        return sheet.done()


@lru_cache(maxsize=8)
def _questions(seed: int, split: str, singles: int, scenes: int, tests: int) -> WorldQuestions:
    asked = tuple(
        (item.scene, subset, item.caption, item.negative_caption)
        for subset in SUBSETS
        for item in composition_items(subset, tests, seed, split)
    )
    # Retrieval takes the first scenes, which are mostly those of the composition tests too.
    indices = dict.fromkeys([*range(scenes), *(test[0] for test in asked)])
    texts = tuple(
        captions(make_scene(seed, i, split), generator(seed, split, i, _CAPTION_PURPOSE), 1)[0]
        for i in range(scenes)
    )
    return WorldQuestions(seed, split, singles, tuple(indices), texts, asked)


@lru_cache(maxsize=4)
def _singles(items: WorldQuestions, size: tuple[int, int]) -> Tensor:
    """Draw the scenes of one thing, (N, 3, H, W) uint8."""
    scenes = (make_scene(items.seed, i, items.split, 1) for i in range(items.singles))
    return torch.stack([to_tensor(draw(scene, size)) for scene in scenes])


@lru_cache(maxsize=4)
def _scenes(items: WorldQuestions, size: tuple[int, int]) -> Tensor:
    """Draw the scenes of retrieval and composition, (N, 3, H, W) uint8."""
    scenes = (make_scene(items.seed, i, items.split) for i in items.scenes)
    return torch.stack([to_tensor(draw(scene, size)) for scene in scenes])


def world_suite(
    model: Any, *, name: str | None = None, progress: Progress | None = None, **settings: Any
) -> list[Result]:
    """Score a model on the world in one call.

    Args:
        model: A Clip or a method.
        name: Name of the model in the rows, by default its own.
        progress: Told how far it is.
        **settings: Attributes of `World`.
    """
    world = World(**settings)
    rows = world.score(model, world.items(), progress=progress)
    return rows if name is None else [row.of(name) for row in rows]


def summarize_world(rows: Iterable[Result]) -> dict[str, float]:
    """Return the numbers that a comparison on the world is about, as fractions.

    `composition` is the mean of the three groups, `zero_shot` the mean accuracy over kinds and
    colors, `i2t` and `t2i` text and image retrieval recall@1, `retrieval` their mean.

    Args:
        rows: What `world_suite` returned for one model.
    """
    rows = list(rows)
    kinds, colors = (
        find(rows, f"{NAME}/{part}", ZERO_SHOT_TASK, "acc1").value for part in ("kinds", "colors")
    )
    text, image = (
        find(rows, f"{NAME}/retrieval", RETRIEVAL_TASK, f"{way}_retrieval_recall@1").value
        for way in ("text", "image")
    )
    return {
        "composition": find(rows, f"{NAME}/composition", "mean", "acc").value,
        "zero_shot": (kinds + colors) / 2,
        "i2t": text,
        "t2i": image,
        "retrieval": (text + image) / 2,
    }
