"""Regional prompts: shapes and slots, boxes of every kind, wrong regions."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from trifocal.clip.preprocess import Preprocess
from trifocal.data.boxes import clip_box
from trifocal.data.regions import Box, RegionSample, scaled
from trifocal.errors import UserError
from trifocal.regions.augment import Augmentation
from trifocal.regions.marking import MARKS, highlight
from trifocal.regions.prompts import (
    VARIANTS,
    PromptConfig,
    picture_size,
    prompts,
    slots,
    train_prompt,
    views,
)

N = 32
SINGLE = [name for name in VARIANTS if name not in ("mix", "plain")]
BICUBIC = Image.Resampling.BICUBIC


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(256, size=(size[1], size[0], 3), dtype=np.uint8))


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())


def sample(boxes: tuple[Box, ...] = ((10, 20, 40, 30),)) -> RegionSample:
    return RegionSample("a", noise((120, 80)), boxes, "a clue", "an inference")


PICTURE = noise((120, 80))
BOXES = ((10, 20, 40, 30), (70, 5, 30, 60))


# Variants and slots


def test_the_variants_have_their_published_numbers() -> None:
    codes = {name: variant.code for name, variant in VARIANTS.items()}
    assert codes == {
        **{"r-ctx": 101, "r-cpt": 102, "r-cir": 103, "r-box": 104, "mix": 1001},
        **{"ctx": 0, "reg": 1, "cpt": 2, "cir": 3, "box": 4, "plain": None},
    }
    assert views(PromptConfig()) == ("r-ctx", "r-cpt", "r-cir")
    assert views(PromptConfig(variant="reg")) == ("reg",)


@pytest.mark.parametrize(
    ("view", "mark"),
    [("r-ctx", None), ("r-cpt", "highlight"), ("r-cir", "ellipse"), ("r-box", "box")],
)
@pytest.mark.parametrize("box", [0, 1])
def test_the_region_is_cropped_unmarked_and_the_context_marked_before_it_is_resized(
    view: str, mark: str | None, box: int
) -> None:
    region, context = slots(PICTURE, BOXES, view, N, box=box)
    left, top, width, height = BOXES[box]
    crop = PICTURE.crop((left, top, left + width, top + height))
    assert region == crop.resize((N, N), BICUBIC)
    marked = MARKS[mark](PICTURE, BOXES) if mark else PICTURE
    assert context == marked.resize((N, N), BICUBIC)


@pytest.mark.parametrize(
    ("view", "mark"), [("ctx", None), ("cpt", "highlight"), ("cir", "ellipse"), ("box", "box")]
)
@pytest.mark.parametrize("size", [(120, 80), (80, 120), (80, 80)])
def test_context_variants_show_the_two_squares_of_the_marked_picture(
    view: str, mark: str | None, size: tuple[int, int]
) -> None:
    picture = noise(size)
    second, first = slots(picture, BOXES, view, N)
    marked = MARKS[mark](picture, BOXES) if mark else picture
    side = min(size)
    assert first == marked.crop((0, 0, side, side)).resize((N, N), BICUBIC)
    flush = marked.crop((size[0] - side, size[1] - side, *size))
    assert second == flush.resize((N, N), BICUBIC)


def test_region_only_shows_the_chosen_and_the_first_box() -> None:
    region, context = slots(PICTURE, BOXES, "reg", N, box=1)
    assert context == slots(PICTURE, BOXES, "r-ctx", N, box=0)[0]
    assert region == slots(PICTURE, BOXES, "r-ctx", N, box=1)[0]


@pytest.mark.parametrize("view", SINGLE)
@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "PA", "CMYK", "I;16"])
def test_every_mode_is_made_rgb_first(mode: str, view: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((80, 120), 30000, np.uint16))
    elif mode == "PA":
        picture = PICTURE.convert("P").convert("PA")
    else:
        picture = PICTURE.convert(mode)
    assert picture.mode == mode
    for slot in slots(picture, BOXES, view, N):
        assert (slot.mode, slot.size) == ("RGB", (N, N))
    if mode in ("L", "P"):  # smooth after conversion, where a palette would be resized as nearest
        expected = slots(picture.convert("RGB"), BOXES, view, N)
        assert slots(picture, BOXES, view, N) == expected


# Pixels at test


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("layout", "s", "shape"),
    [("stacked", 1, (2 * N, N)), ("side_by_side", 1, (N, 2 * N)), ("separate", 2, (N, N))],
)
def test_shapes(variant: str, layout: str, s: int, shape: tuple[int, int]) -> None:
    config = PromptConfig(variant=variant, layout=layout)  # pyright: ignore[reportArgumentType]
    made = prompts(PICTURE, BOXES, config, N)
    k = 6 if variant == "mix" else 2 if VARIANTS[variant].region == "crop" else 1
    if variant == "plain":
        k, s, shape = 1, 1, (N, N)
    assert made.dtype == torch.uint8
    assert made.shape == (k, s, 3, *shape)
    assert made.is_contiguous()
    assert picture_size(config, N) == shape
    trained = train_prompt(sample(BOXES), config, N, np.random.default_rng(0))
    assert trained.shape == ((2, 3, N, N) if s == 2 else (3, *shape))


def test_published_shape_and_exact_halves() -> None:
    batch = torch.stack(
        [prompts(noise((640, 480), i), BOXES, PromptConfig("r-cpt"), 224)[0, 0] for i in (0, 1)]
    )
    assert batch.shape == (2, 3, 448, 224)
    for i in (0, 1):
        region, context = slots(noise((640, 480), i), BOXES, "r-cpt", 224)
        assert torch.equal(batch[i, :, :224], pixels(region))
        assert torch.equal(batch[i, :, 224:], pixels(context))


@pytest.mark.parametrize("view", SINGLE)
def test_layouts_and_orders_arrange_the_same_slots(view: str) -> None:
    region, context = map(pixels, slots(PICTURE, BOXES[:1], view, N))

    def made(**fields: str) -> Tensor:
        return prompts(PICTURE, BOXES[:1], PromptConfig(view, **fields), N)[0]  # pyright: ignore

    assert torch.equal(made()[0], torch.cat([region, context], 1))
    assert torch.equal(made(order="context_first")[0], torch.cat([context, region], 1))
    assert torch.equal(made(layout="side_by_side")[0], torch.cat([region, context], 2))
    separate = made(layout="separate", order="context_first")
    assert torch.equal(separate, torch.stack([context, region]))


def test_views_come_in_order_and_their_boxes_within() -> None:
    made = prompts(PICTURE, BOXES, PromptConfig(layout="separate"), N)
    expected = [
        slots(PICTURE, BOXES, view, N, box=box)
        for view in ("r-ctx", "r-cpt", "r-cir")
        for box in (0, 1)
    ]
    for one, pair in zip(made, expected, strict=True):
        assert torch.equal(one, torch.stack([pixels(slot) for slot in pair]))


def test_the_config_size_wins() -> None:
    assert prompts(PICTURE, BOXES, PromptConfig("r-ctx", size=20), N).shape[-2:] == (40, 20)


def test_plain_is_the_towers_own_preprocessing() -> None:
    preprocess = Preprocess((N, N), interpolation="bilinear")
    plain = PromptConfig("plain")
    assert torch.equal(
        prompts(PICTURE, (), plain, N, preprocess=preprocess)[0, 0], preprocess(PICTURE)
    )
    assert torch.equal(prompts(PICTURE, BOXES, plain, N)[0, 0], Preprocess((N, N))(PICTURE))
    rng = np.random.default_rng(0)
    trained = train_prompt(sample(), plain, N, rng, preprocess=preprocess)
    assert torch.equal(trained, preprocess(PICTURE))
    flipped = train_prompt(sample(), plain, N, rng, Augmentation(flip=1, operations=0))
    assert torch.equal(flipped, Preprocess((N, N))(PICTURE).flip(2))


def test_tests_are_deterministic_unless_boxes_are_random() -> None:
    for choice in ("average", "largest"):
        config = PromptConfig(boxes=choice)
        first = prompts(PICTURE, BOXES, config, N)
        assert torch.equal(first, prompts(PICTURE, BOXES, config, N))
    config = PromptConfig("r-ctx", boxes="random")
    with pytest.raises(ValueError, match="generator"):
        prompts(PICTURE, BOXES, config, N)
    rng = np.random.default_rng(0)
    both = [slots(PICTURE, BOXES, "r-ctx", N, box=box)[0] for box in (0, 1)]
    seen = []
    for _ in range(60):
        made = prompts(PICTURE, BOXES, config, N, rng=rng)
        assert made.shape == (1, 1, 3, 2 * N, N)
        seen.append([torch.equal(made[0, 0, :, :N], pixels(one)) for one in both].index(True))
    assert 15 < sum(seen) < 45


def test_the_largest_box_is_the_largest_inside_the_picture() -> None:
    boxes = ((100, 60, 500, 500), (10, 10, 30, 30), (5, 5, 2, 2))  # the first shows 20 x 20
    made = prompts(PICTURE, boxes, PromptConfig("r-ctx", boxes="largest"), N)
    assert made.shape[0] == 1
    assert torch.equal(made[0, 0, :, :N], pixels(slots(PICTURE, boxes, "r-ctx", N, box=1)[0]))


# Boxes of every kind


def test_padding_shows_black_where_there_is_no_picture() -> None:
    white = Image.new("RGB", (100, 50), (255, 255, 255))
    box = ((80, 0, 40, 50),)
    padded = np.asarray(slots(white, box, "r-ctx", N, outside="pad")[0])
    assert (padded[:, : N // 2 - 2] == 255).all()
    assert (padded[:, N // 2 + 2 :] == 0).all()
    assert (np.asarray(slots(white, box, "r-ctx", N)[0]) == 255).all()
    crop = PICTURE.crop((-20, -10, 60, 100)).resize((N, N), BICUBIC)
    assert slots(PICTURE, [(-20, -10, 80, 110)], "r-ctx", N, outside="pad")[0] == crop


number = st.integers(-200, 200) | st.floats(-1e4, 1e4)
any_box = st.tuples(number, number, number, number)


@pytest.mark.parametrize("outside", ["clip", "pad"])
@settings(max_examples=40)
@given(
    boxes=st.lists(any_box, min_size=1, max_size=3),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    variant=st.sampled_from(sorted(VARIANTS)),
)
def test_any_box_of_any_picture_is_survived(
    outside: str, boxes: list[Box], size: tuple[int, int], variant: str
) -> None:
    picture = Image.new("RGB", size, (200, 100, 50))
    config = PromptConfig(variant=variant, outside=outside)  # pyright: ignore[reportArgumentType]
    made = prompts(picture, boxes, config, 16)
    assert made.shape[1:] == (1, 3, *picture_size(config, 16))
    given_sample = RegionSample("a", picture, tuple(boxes), "", "")
    trained = train_prompt(given_sample, config, 16, np.random.default_rng(0), Augmentation())
    assert trained.shape == made.shape[2:]
    if variant == "r-ctx" and outside == "clip":  # no pixel from outside the picture
        assert torch.equal(made.amax((0, 1, 3, 4)), torch.tensor([200, 100, 50], dtype=torch.uint8))
        assert torch.equal(made.amin((0, 1, 3, 4)), torch.tensor([200, 100, 50], dtype=torch.uint8))


def test_many_boxes() -> None:
    boxes = [(5 * i, 3 * i, 20, 20) for i in range(11)]
    assert prompts(PICTURE, boxes, PromptConfig(), N).shape[0] == 33


@pytest.mark.parametrize("view", ["r-ctx", "r-cpt", "reg"])
def test_a_region_without_a_box_is_refused_where_one_is_shown(view: str) -> None:
    with pytest.raises(UserError, match="no box"):
        prompts(PICTURE, (), PromptConfig(view), N)
    assert prompts(PICTURE, (), PromptConfig("ctx"), N).shape[0] == 1


def sherlock(real_data: Path) -> list[dict]:
    name = "sherlock/sherlock_val_with_split_idxs_v1_1.json.zip"
    with (
        zipfile.ZipFile(real_data / "annotations.zip") as outer,
        zipfile.ZipFile(io.BytesIO(outer.read(name))) as inner,
    ):
        return json.loads(inner.read(inner.namelist()[0]))


def test_the_tiny_and_the_outlying_boxes_of_sherlock_are_survived(real_data: Path) -> None:
    tiny, outlying = [], []
    for row in sherlock(real_data):
        inputs = row["inputs"]
        size = (inputs["image"]["width"], inputs["image"]["height"])
        boxes = [(b["left"], b["top"], b["width"], b["height"]) for b in inputs["bboxes"]]
        if any(min(box[2:]) < 5 for box in boxes):
            tiny.append((size, boxes))
        if any(
            box[0] < 0 or box[1] < 0 or box[0] + box[2] > size[0] or box[1] + box[3] > size[1]
            for box in boxes
        ):
            outlying.append((size, boxes))
    assert (len(tiny), len(outlying)) == (122, 561)
    drawn: dict[tuple[int, int], Image.Image] = {}

    def shape(size: tuple[int, int], boxes: list[Box], **fields: str) -> tuple[int, ...]:
        if size not in drawn:
            drawn[size] = Image.new("RGB", size, (90, 120, 150))
        return tuple(prompts(drawn[size], boxes, PromptConfig(**fields), 16).shape)  # pyright: ignore

    for size, boxes in tiny:
        assert shape(size, boxes, variant="reg") == (len(boxes), 1, 3, 32, 16)
        assert highlight(drawn[size], boxes) != drawn[size]
    for size, boxes in tiny[:4] + outlying[:4]:
        for variant in VARIANTS:
            for outside in ("clip", "pad"):
                assert shape(size, boxes, variant=variant, outside=outside)[1:3] == (1, 3)
    for size, boxes in outlying:
        for box in boxes:
            left, top, width, height = clip_box(box, size)
            assert 0 <= left < left + 2 <= left + width <= size[0]
            assert 0 <= top < top + 2 <= top + height <= size[1]


def test_a_real_photo_through_all_variants(real_data: Path, tmp_path: Path) -> None:
    path = next((real_data / "images" / "coco").glob("*.jpg"))
    photo = Image.open(path).convert("RGB")
    width, height = photo.size
    boxes = [
        (0.1 * width, 0.2 * height, 0.3 * width, 0.5 * height),
        (0.6 * width, 0.5 * height, 0.6 * width, 0.3 * height),
    ]
    sheet = Image.new("RGB", (96 * len(SINGLE), 192))
    for i, view in enumerate(SINGLE):
        stacked = prompts(photo, boxes, PromptConfig(view), 96)[-1, 0]
        sheet.paste(Image.fromarray(stacked.permute(1, 2, 0).numpy()), (96 * i, 0))
    sheet.save(tmp_path / "variants.png")
    first = [sheet.crop((96 * i, 0, 96 * (i + 1), 192)).tobytes() for i in range(len(SINGLE))]
    assert len(set(first)) == len(SINGLE)


def test_boxes_of_a_scaled_photo_show_the_same_part() -> None:
    smooth = Image.radial_gradient("L").resize((400, 300)).convert("RGB")
    half = smooth.resize((200, 150), BICUBIC)
    box: Box = (101, 51, 121, 81)
    (halved,) = scaled([box], (400, 300), half.size)
    a, b = slots(smooth, [box], "r-ctx", N)[0], slots(half, [halved], "r-ctx", N)[0]
    assert np.abs(np.asarray(a).astype(int) - np.asarray(b)).max() < 8


# Training


def test_a_mixture_draws_its_views_evenly() -> None:
    rng = np.random.default_rng(0)
    known = {
        pixels(slots(PICTURE, BOXES[:1], view, N)[1]).numpy().tobytes(): view
        for view in views(PromptConfig())
    }
    count = dict.fromkeys(known.values(), 0)
    for _ in range(600):
        made = train_prompt(sample(), PromptConfig(), N, rng)
        count[known[made[:, N:].numpy().tobytes()]] += 1
    assert all(160 < times < 240 for times in count.values()), count


def test_training_draws_the_box_that_is_cropped_evenly() -> None:
    rng = np.random.default_rng(0)
    both = [pixels(slots(PICTURE, BOXES, "r-ctx", N, box=box)[0]) for box in (0, 1)]
    config = PromptConfig("r-ctx", boxes="largest")  # a matter of tests alone
    seen = [train_prompt(sample(BOXES), config, N, rng)[:, :N] for _ in range(200)]
    first = sum(torch.equal(one, both[0]) for one in seen)
    assert first + sum(torch.equal(one, both[1]) for one in seen) == 200
    assert 75 < first < 125


def test_without_augmentation_training_sees_what_tests_see() -> None:
    rng = np.random.default_rng(0)
    for view in SINGLE:
        made = train_prompt(sample(), PromptConfig(view), N, rng)
        assert torch.equal(made, prompts(PICTURE, BOXES[:1], PromptConfig(view), N)[0, 0])


def test_a_shared_flip_mirrors_both_halves() -> None:
    rng = np.random.default_rng(0)
    config = PromptConfig("r-cpt")
    upright = prompts(PICTURE, BOXES[:1], config, N)[0, 0]
    augmentation = Augmentation(operations=0)
    seen = [train_prompt(sample(), config, N, rng, augmentation) for _ in range(50)]
    mirrored = sum(torch.equal(one, upright.flip(2)) for one in seen)
    assert mirrored + sum(torch.equal(one, upright) for one in seen) == 50
    assert 10 < mirrored < 40


def test_training_is_reproducible_from_its_generator() -> None:
    made = [
        train_prompt(sample(BOXES), PromptConfig(), N, np.random.default_rng(5), Augmentation())
        for _ in range(2)
    ]
    assert torch.equal(*made)


def test_another_region_of_the_same_picture() -> None:
    wrong: Box = (60, 40, 30, 30)
    rng = np.random.default_rng(0)
    made = train_prompt(sample(), PromptConfig("r-cpt"), N, rng, boxes=(wrong,))
    assert torch.equal(made, prompts(PICTURE, (wrong,), PromptConfig("r-cpt"), N)[0, 0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "rcpt"}, "Did you mean 'r-cpt'"),
        ({"size": 1}, "at least 2"),
        ({"layout": "stack"}, "Did you mean 'stacked'"),
        ({"order": "context"}, "choose from region_first, context_first"),
        ({"boxes": "first"}, "choose from average, largest, random"),
        ({"outside": "crop"}, "choose from clip, pad"),
    ],
)
def test_wrong_settings_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PromptConfig(**fields)


@pytest.mark.parametrize("view", ["mix", "plain", "r-xyz"])
def test_slots_need_a_view_of_two(view: str) -> None:
    with pytest.raises(UserError, match="choose"):
        slots(PICTURE, BOXES, view, N)
