"""The world's tests of regions: right for one who knows, chance for one who does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trifocal.evaluate.benchmarks.world_regions import WorldRegions, world_regions
from trifocal.world import MEANINGS, abduction_items, inference_wordings


class Scorer:
    """Knows the meaning of each wording, and of each region what it is told.

    Args:
        seen: Which of (actor, sign) a region tells.
        scenes: The scenes it knows.
    """

    name = "scorer"
    protocol = "by heart"

    def __init__(self, seen: tuple[bool, bool], scenes: int) -> None:
        self.actors, self.signs = ([pair[k] for pair in MEANINGS] for k in (0, 1))
        self.meaning = {text: m for m in MEANINGS for text in inference_wordings(*m)}
        self.names = sorted({*self.actors, *self.signs})
        self.seen = seen
        self.by_region = {}
        items = WorldRegions(scenes=scenes).items()
        for number, item in zip(items.annotated.region, abduction_items(scenes)):
            self.by_region[items.pool.regions[number]] = item.instance.meaning

    def _code(self, meaning, seen=(True, True)) -> np.ndarray:
        row = np.zeros(len(self.names))
        for name, told in zip(meaning, seen):
            row[self.names.index(name)] = float(told)
        return row

    def encode_regions(self, regions, **_):
        rows = [
            self._code(self.by_region[region], self.seen)
            if region in self.by_region
            else np.zeros(len(self.names))
            for region in regions
        ]
        return torch.tensor(np.stack(rows))

    def encode_inferences(self, texts, **_):
        return torch.tensor(np.stack([self._code(self.meaning[text]) for text in texts]))


def numbers(model, **settings) -> dict[str, float]:
    return {row.metric: row.value for row in world_regions(model, **settings)}


@pytest.mark.parametrize(
    ("seen", "rank", "first"),
    [((True, True), 1.0, 1.0), ((True, False), 2.5, 0.0), ((False, False), 24.5, 0.0)],
)
def test_what_can_be_known(seen, rank, first) -> None:
    found = numbers(Scorer(seen, 40), scenes=40)
    assert found["im2txt"] == pytest.approx(rank)
    assert found["txt2im"] == pytest.approx(rank)
    assert found["P@1"] == first  # a shared first place is a miss
    if all(seen):
        assert found["GT-Box"] == found["Human Acc"] == 1.0
        assert found["Auto-Box oracle"] == 1.0
    if not any(seen):
        assert found["GT-Box"] == pytest.approx(13 / 30, abs=0.2)
        assert abs(found["Human Acc"]) < 0.15


def test_rows_say_where_they_come_from() -> None:
    rows = world_regions(Scorer((True, True), 20), name="me", scenes=20, auto=False)
    assert {row.benchmark for row in rows} == {"world/regions"}
    assert {row.model for row in rows} == {"me"}
    assert all("by heart" in row.protocol for row in rows)
    assert {row.metric for row in rows} == {"im2txt", "txt2im", "P@1", "GT-Box", "Human Acc"}
    chance = {row.metric: row.chance for row in rows}
    assert chance["im2txt"] == 24.5
    assert chance["P@1"] == pytest.approx(1 / 48)
