"""The world's few-shot classes as a source for training."""

from __future__ import annotations

import numpy as np
from PIL import Image

from trifocal.world.few_shot import FEW_SHOT_CLASSES
from trifocal.world.few_shot_source import WorldFewShot


def test_pictures_of_all_classes() -> None:
    source = WorldFewShot(2, (24, 24), seed=1)
    assert len(source) == 2 * len(FEW_SHOT_CLASSES)
    sample = source.sample(5, np.random.default_rng(0))
    assert sample.label == 2
    assert sample.classnames[sample.label] == "dax"
    assert isinstance(sample.image, Image.Image)
    assert sample.image.size == (48, 48)
    again = source.sample(5, np.random.default_rng(9))
    assert np.array_equal(np.asarray(sample.image), np.asarray(again.image))


def test_more_shots_go_on_where_fewer_end() -> None:
    few, more = WorldFewShot(1, (24, 24)), WorldFewShot(3, (24, 24))
    rng = np.random.default_rng(0)
    assert few.sample(4, rng).id == more.sample(12, rng).id
    assert few.sample(4, rng).id != WorldFewShot(1, (24, 24), split="val").sample(4, rng).id
