"""Heads and sources of a few numbers, for tests of the few-shot protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trifocal.concepts.head import Head
from trifocal.concepts.support import Support, unit
from trifocal.concepts.tasks.task import FewShotTask, TestSet, ValMode
from trifocal.metrics.result import Result, task_version

CLASSES, WIDTH, ROWS = 4, 6, 40


@dataclass(eq=False)
class Text(Head):
    """Zero-shot."""

    def _fit(self, data: Support) -> None:
        self.text_ = data.class_text

    def _logits(self, features: Tensor) -> Tensor:
        return self.scale * unit(features) @ self.text_.T


@dataclass(eq=False)
class Mean(Head):
    """Class means, mixed with the texts; `weight` is selected where there is validation."""

    weight: float = 1.0
    searches: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        means = data.onehot.T @ data.features / data.counts[:, None]
        self.weight_ = self.weight
        self.text_, self.means_ = data.class_text, means
        if data.val is not None:
            features, labels = data.val
            tried = [0.0, 0.5, 1.0, 2.0]
            self.weight_ = max(
                tried, key=lambda w: float((self._mixed(features, w).argmax(1) == labels).sum())
            )

    def _mixed(self, features: Tensor, weight: float) -> Tensor:
        return self.scale * unit(features) @ (self.text_ + weight * self.means_).T

    def _logits(self, features: Tensor) -> Tensor:
        return self._mixed(features, self.weight_)

    @property
    def trainable_parameters(self) -> int:
        return self.means_.numel()


HEADS = {"zero-shot": Text, "mean": Mean}


@dataclass
class Source:
    """Clouds around one-hot centers; the same test for every seed."""

    name: str = "clouds"
    noise: float = 0.8
    given: bool = False  # the draw came with the features
    domains: tuple[str, ...] = ()
    base_to_new: bool = False
    backbone: str = "fake"
    templates: tuple[str, ...] = ("a photo of a {}.",)
    views: int = 0
    val_from: str = "val"
    made: int = 0

    def cloud(self, each: int, seed: int, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
        labels = torch.arange(classes).repeat_interleave(each)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(labels), WIDTH, generator=generator)
        return torch.eye(WIDTH)[labels] + self.noise * noise, labels

    def tests(self) -> Mapping[str, TestSet]:
        own = TestSet(*self.cloud(ROWS, 99))
        if self.base_to_new:
            text = torch.eye(WIDTH)[:2]
            return {"base": own, "new": TestSet(*self.cloud(ROWS, 98, 2), new_text=text)}
        shifted = {}
        for place, name in enumerate(self.domains):
            features, labels = self.cloud(ROWS, 90 - place)
            some = labels % 2 == 1  # classes 1 and 3 compete
            shifted[name] = TestSet(features[some], labels[some], candidates=torch.tensor([1, 3]))
        return {"test": own, **shifted}

    def task(
        self, shots: int, seed: int, val_mode: ValMode, *, before_projection: bool = False
    ) -> FewShotTask:
        self.made += 1
        seed = 1 if self.given else seed
        features, labels = self.cloud(shots, seed)
        val = None if val_mode == "none" else self.cloud(min(shots, 4), 50 + seed)
        return FewShotTask(
            dataset=self.name,
            shots=shots,
            seed=None if self.given else seed,
            support=features[:, None],
            labels=labels,
            class_text=torch.eye(WIDTH)[:CLASSES] + 0.3,
            concept_text=torch.eye(WIDTH),
            val=val,
            val_mode=val_mode,
            tests=self.tests(),
            backbone=self.backbone,
        )


def row(
    model: str,
    value: float,
    shots: int = 1,
    dataset: str = "clouds",
    *,
    seed: int | None = 1,
    test: str = "test",
    metric: str = "acc1",
    val: str = "few (min(shots, 4) a class)",
    more: str = "selection: on support alone",
    n: int = 100,
) -> Result:
    """A row as the runner writes it."""
    return Result(
        benchmark=f"few_shot/{dataset}",
        task=f"{shots}-shot" if test == "test" else f"{shots}-shot {test}",
        metric=metric,
        value=value,
        n=n,
        chance=0.25,
        seed=seed,
        protocol=f"val: {val}; views: as tested; backbone: fake; prompts: of a {dataset}; {more}",
        model=model,
        version=task_version(1),
    )
