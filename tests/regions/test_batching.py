"""Batches of regions: which pictures and which texts each loss gets, and in which order."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.regions.support import CLUES, INFERENCES, noise, region_sample, tiny_clip
from trifocal.data.boxes import clip_box, iou
from trifocal.data.regions import Box, RegionSample
from trifocal.errors import UserError
from trifocal.regions.augment import OFF, Augmentation
from trifocal.regions.batching import Loss, RegionBatch, RegionBatching
from trifocal.regions.prompts import PromptConfig, train_prompt
from trifocal.regions.texts import clue_text, inference_text

LOSSES: tuple[Loss, ...] = get_args(Loss)
CLUE_TEXTS = [
    "clue a red ball.",
    "clue two small cats.",
    "clue a blue cup.",
    "clue an open door.",
]
INFERENCE_TEXTS = [
    "inference a game is on.",
    "inference someone left milk.",
    "inference it is tea time.",
    "inference a guest has come.",
]
PLAIN = PromptConfig(variant="r-ctx")


def batching(loss: Loss = "dual", prompt: PromptConfig = PLAIN, **options: Any) -> RegionBatching:
    clip = tiny_clip()
    options = {"augmentation": OFF, **options}
    return RegionBatching(clip.tokenizer, clip.preprocess, prompt, loss, **options)


def make(loss: Loss, count: int = 4, **options: Any) -> RegionBatch:
    maker = batching(loss, **options)
    drawn = [maker.draw(region_sample(i), np.random.default_rng(i)) for i in range(count)]
    return maker.collate(drawn)


# Texts


def test_texts_get_a_prefix_and_a_full_stop() -> None:
    config = PromptConfig()
    assert clue_text("fruit cut in half", config) == "clue fruit cut in half."
    assert inference_text("people are going to eat it.", config) == (
        "inference people are going to eat it."
    )
    assert inference_text(" a \n b\t", config) == "inference a b."
    assert clue_text("x", PromptConfig(period=False)) == "clue x"
    assert clue_text("x", PromptConfig(prefix=False)) == "x."
    assert inference_text("x", PromptConfig(prefix=False, period=False)) == "x"


# Rows


@pytest.mark.parametrize("loss", LOSSES)
def test_the_rows_of_each_loss(loss: Loss) -> None:
    batch = make(loss)
    assert batch.ids == ["r0", "r1", "r2", "r3"]
    assert batch.size == 4
    views = 2 if loss == "wrong_region" else 1
    assert batch.pixels.shape == (4 * views, 3, 64, 32)
    assert batch.pixels.dtype == torch.uint8
    expected = {
        "dual": [INFERENCE_TEXTS + CLUE_TEXTS],
        "triple": [INFERENCE_TEXTS + CLUE_TEXTS],
        "inference": [INFERENCE_TEXTS],
        "wrong_region": [INFERENCE_TEXTS],
        "clue": [CLUE_TEXTS],
    }
    if loss == "multitask":
        pairs = zip(batch.sentences, INFERENCE_TEXTS, CLUE_TEXTS, strict=True)
        assert all(text in (inference, clue) for text, inference, clue in pairs)
    else:
        assert [batch.sentences] == expected[loss]
    ids = tiny_clip().tokenize(batch.sentences)
    assert torch.equal(batch.text.ids, ids.ids[:, : int(ids.lengths.max())])
    assert torch.equal(batch.text.lengths, ids.lengths)


@pytest.mark.parametrize("loss", LOSSES)
def test_right_pictures_come_first(loss: Loss) -> None:
    batch = make(loss)
    for i in range(4):
        shown = train_prompt(region_sample(i), PLAIN, 32, np.random.default_rng(i))
        assert torch.equal(batch.pixels[i], shown)
    if loss == "wrong_region":
        for i in range(4):  # of the two proposals, the other is nearly the region itself
            wrong = region_sample(i, boxes=((60, 5, 30, 40),))
            shown = train_prompt(wrong, PLAIN, 32, np.random.default_rng(i))
            assert torch.equal(batch.pixels[4 + i], shown)


def test_the_coin_of_multitask_is_thrown_for_each_sample() -> None:
    maker = batching("multitask", PromptConfig(variant="plain"))
    kinds = []
    for number in range(400):
        (text,) = maker.draw(region_sample(number % 4), np.random.default_rng(number))[2]
        kinds.append(text.startswith("inference "))
    assert 160 < sum(kinds) < 240
    again = [
        maker.draw(region_sample(number % 4), np.random.default_rng(number))[2][0]
        for number in range(20)
    ]
    assert [text.startswith("inference ") for text in again] == kinds[:20]


def test_texts_follow_the_prompts_settings() -> None:
    batch = make("dual", prompt=PromptConfig(variant="r-ctx", prefix=False, period=False))
    assert batch.sentences == INFERENCES + CLUES


@pytest.mark.parametrize("layout", ["stacked", "side_by_side"])
def test_pictures_follow_the_prompts_settings(layout: Any) -> None:
    batch = make("inference", prompt=PromptConfig(variant="r-ctx", layout=layout, size=48))
    assert batch.pixels.shape[2:] == ((96, 48) if layout == "stacked" else (48, 96))
    plain = make("inference", prompt=PromptConfig(variant="plain"))
    preprocess = tiny_clip().preprocess
    assert torch.equal(plain.pixels[0], preprocess(region_sample(0).image))


def test_augmentation_and_the_mixture_are_drawn_for_each_sample() -> None:
    one, other = (
        make("inference", prompt=PromptConfig(), augmentation=Augmentation()) for _ in range(2)
    )
    assert torch.equal(one.pixels, other.pixels)
    maker = batching("inference", PromptConfig(), augmentation=Augmentation())
    seen = {
        maker.draw(region_sample(), np.random.default_rng(seed))[1][0].numpy().tobytes()
        for seed in range(12)
    }
    assert len(seen) > 6


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("clue", ["", "  \n"])
def test_a_missing_clue(loss: Loss, clue: str) -> None:
    sample, maker = region_sample(1, clue=clue), batching(loss)
    if loss in ("inference", "wrong_region"):
        assert maker.draw(sample, np.random.default_rng(0))[2] == INFERENCE_TEXTS[1:2]
    else:
        for seed in range(4):  # "multitask" must not depend on its coin
            with pytest.raises(UserError, match=rf"r1 has no clue, .* '{loss}'"):
                maker.draw(sample, np.random.default_rng(seed))


def test_a_batch_moves_as_a_whole() -> None:
    batch = make("dual")
    moved = batch.to("meta")
    assert {moved.pixels.device.type, moved.text.ids.device.type} == {"meta"}
    assert (moved.ids, moved.sentences, moved.size) == (batch.ids, batch.sentences, 4)


# Wrong regions

side = st.integers(-40, 130)
length = st.integers(2, 120)
any_box = st.tuples(side, side, length, length)


@settings(max_examples=60)
@given(st.lists(any_box, min_size=1, max_size=2), st.lists(any_box, max_size=3), st.integers(0, 99))
def test_what_is_drawn_as_wrong_overlaps_little(
    boxes: list[Box], proposals: list[Box], seed: int
) -> None:
    """Of the pixels that are cut out, whatever leaves the picture."""
    drawn: list[list[Box]] = []

    class Spy(RegionBatching):
        def _prompt(self, sample: Any, prompt: Any, boxes: Any, rng: Any) -> torch.Tensor:
            drawn.append(boxes)
            return super()._prompt(sample, prompt, boxes, rng)

    clip = tiny_clip()
    maker = Spy(clip.tokenizer, clip.preprocess, PLAIN, "wrong_region", OFF)
    sample = RegionSample("a", noise((90, 60)), tuple(boxes), "", "b", tuple(proposals))
    _, pictures, _ = maker.draw(sample, np.random.default_rng(seed))
    assert [picture.shape for picture in pictures] == 2 * [(3, 64, 32)]
    right, (wrong,) = drawn
    assert right == tuple(boxes)
    shown = [clip_box(box, (90, 60)) for box in boxes]
    assert all(iou(clip_box(wrong, (90, 60)), true) < 0.5 for true in shown)
    fitting = [
        box for box in proposals if all(iou(clip_box(box, (90, 60)), true) < 0.5 for true in shown)
    ]
    assert wrong in fitting if fitting else True


def test_wrong_regions_are_varied() -> None:
    maker = batching("wrong_region")
    sample = region_sample(proposals=())
    seen = {
        maker.draw(sample, np.random.default_rng(seed))[1][1].numpy().tobytes() for seed in range(8)
    }
    assert len(seen) == 8


def test_a_wrong_region_is_shown_in_the_view_of_the_right_one() -> None:
    """Else the view alone would tell them apart."""
    gray = Image.new("RGB", (64, 64), (128, 128, 128))
    sample = RegionSample("a", gray, ((4, 4, 20, 20),), "", "it", ((40, 40, 20, 20),))
    seen = set()
    for seed in range(20):
        made = batching("wrong_region", PromptConfig("mix", size=64))
        _, (right, wrong), _ = made.draw(sample, np.random.default_rng(seed))
        marked = [bool((each != 128).any()) for each in (right, wrong)]
        colors = [
            tuple(each.float().mean((1, 2)).round().int().tolist()) for each in (right, wrong)
        ]
        assert marked[0] == marked[1]
        assert colors[0] == colors[1]
        seen.add(colors[0])
    assert len(seen) == 3  # the mixture's three views
