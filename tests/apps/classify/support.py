"""What the tests of `trifocal classify` share: a simple head, drawn photos, the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from torch import Tensor

from trifocal.cli import main
from trifocal.concepts import ConceptMap
from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.registry import HEADS as REAL
from trifocal.concepts.support import Support, unit
from trifocal.world import draw, make_scene
from trifocal.world.vocabulary import PLACES

WORDS = ("red", "blue", "green", "a room", "a street", "grass", "sky", "a wall", "snow", "trees")
EACH, SIDE = 5, 96
TEMPLATE = "a thing in a {}"


@dataclass(eq=False)
class Concepts(Head):
    """A head of visual concepts that is as simple as can be."""

    alpha: float = 1.0
    wants_concepts: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        assert data.concepts is not None
        scores = data.concepts @ data.features.T
        best = scores.topk(min(2, len(data.labels)), dim=1)
        self.images_, self.text_ = best.indices, data.class_text
        self.grounding_ = (best.values.mean(1) - scores.mean(1)) / scores.std(1)
        self.found_ = unit(data.features[self.images_].mean(1))
        self.association_ = data.onehot[self.images_].mean(1) - 0.1

    def _logits(self, features: Tensor) -> Tensor:
        x = unit(features)
        return self.scale * x @ self.text_.T + self.alpha * (x @ self.found_.T) @ self.association_

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = unit(feature)[0]
        scores = self.found_ @ x
        values = self.alpha * scores * self.association_[:, label]
        rows = zip(
            values.tolist(), scores.tolist(), self.images_.tolist(), self.grounding_.tolist()
        )
        found = [
            Term("concept", value, i, score, tuple(images), grounding)
            for i, (value, score, images, grounding) in enumerate(rows)
        ]
        return [Term("text", float(self.scale * self.text_[label] @ x)), *found]


HEADS = {
    "concept-map": Concepts,
    "real": ConceptMap,
    **{k: v for k, v in REAL.items() if not k.startswith(("ccli", "concept-map"))},
}


def photos(folder: Path, each: int, start: int = 0) -> Path:
    """Write class folders with scenes of the world, a folder for each place."""
    count, index = dict.fromkeys(PLACES, 0), start
    while min(count.values()) < each:
        scene = make_scene(0, index, "test", things=1)
        if count[scene.place] < each:
            place = folder / scene.place / f"{scene.place}{count[scene.place]}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            draw(scene, SIDE).save(place)
            count[scene.place] += 1
        index += 1
    return folder


def command(*words: str | Path) -> int:
    return main(["classify", *map(str, words), "--device", "cpu"])


def fit(work: Path, *words: str | Path, source: str = "photos") -> int:
    quick = [] if "--method" in words else ["--method", "zero-shot"]
    return command("fit", work / source, "--out", work / "new", "--views", "0", *quick, *words)


def picture(base: Path, place: str = PLACES[0], number: int = 0) -> Path:
    return base / "photos" / place / f"{place}{number}.png"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error, which is one line."""
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1, error
    return error
