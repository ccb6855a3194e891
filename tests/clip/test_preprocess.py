"""Preprocessing: the usual pipeline's sizes, crops and pixels, without torchvision."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessorPil

from trifocal.clip import Preprocess
from trifocal.clip.preprocess import draw_crop
from trifocal.errors import UserError

SIZES = [(640, 480), (480, 640), (333, 500), (224, 224), (50, 37), (1000, 30), (225, 226)]


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A smooth picture with some noise."""
    rng = np.random.default_rng(width * 7 + height)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / (9 + i) + y / (17 - i)) for i in range(3)]
    pixels = np.stack(waves, -1) + rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


@pytest.fixture(scope="module")
def photos(real_data: Path) -> list[Image.Image]:
    """Forty real photos."""
    files = sorted((real_data / "images" / "coco").glob("*.jpg"))[:40]
    if not files:
        pytest.skip("no real photos")
    return [Image.open(file) for file in files]


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([(32, 32), (32, 48), (40, 16)]))
def test_any_image_gets_the_asked_size(width: int, height: int, size: tuple[int, int]) -> None:
    image = Image.new("RGB", (width, height), (10, 200, 30))
    for resize in ("shortest", "squash"):
        pixels = Preprocess(size=size, resize=resize)(image)
        assert pixels.shape == (3, *size)
        assert pixels.dtype == torch.uint8
        # A plain picture stays plain: no border ever comes in.
        assert pixels.flatten(1).unique(dim=1).flatten().tolist() == [10, 200, 30]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I", "YCbCr", "HSV"])
def test_any_mode_becomes_rgb(mode: str) -> None:
    pixels = Preprocess(size=(16, 16))(photo(40, 30).convert(mode))
    assert pixels.shape == (3, 16, 16)


def test_a_palette_is_smooth() -> None:
    # Resizing palette indices would pick neighbors; colors are interpolated instead.
    image = photo(200, 200)
    smooth = Preprocess(size=(20, 20))(image).float()
    palette = Preprocess(size=(20, 20))(image.convert("P", palette=Image.Palette.ADAPTIVE)).float()
    assert (smooth - palette).abs().mean() < 6


def test_normalize_takes_bytes_and_floats() -> None:
    preprocess = Preprocess(size=(4, 4), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2))
    pixels = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    got = preprocess.normalize(pixels)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.25, 0.2])
    expected = (pixels.double() / 255 - mean[:, None, None]) / std[:, None, None]
    assert torch.allclose(got.double(), expected, atol=1e-6)
    assert torch.allclose(preprocess.normalize(pixels.float() / 255), got, atol=1e-6)
    assert got.dtype == torch.float32


def test_equals_transformers() -> None:
    theirs = CLIPImageProcessorPil(do_normalize=False, do_rescale=False)
    for size in SIZES:
        image = photo(*size)
        expected = theirs(image, return_tensors="pt")["pixel_values"][0]
        got = Preprocess()(image)
        assert (got.float() - expected.float()).abs().max() <= 1, size


# --- random crops ---------------------------------------------------------------------------


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32))
def test_crops_lie_inside(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    top, left, rows, columns = draw_crop(height, width, rng, (0.3, 1.0), (3 / 4, 4 / 3))
    assert 0 <= top <= height - rows
    assert 0 <= left <= width - columns
    assert rows > 0
    assert columns > 0


def test_crops_have_the_asked_area_and_shape() -> None:
    rng = np.random.default_rng(0)
    crops = np.array([draw_crop(400, 500, rng, (0.2, 0.5), (3 / 4, 4 / 3)) for _ in range(2000)])
    share = crops[:, 2] * crops[:, 3] / (400 * 500)
    ratio = np.log(crops[:, 3] / crops[:, 2])
    assert share.min() > 0.19
    assert share.max() < 0.51
    assert abs(share.mean() - 0.35) < 0.01
    assert abs(ratio.mean()) < 0.02
    assert np.abs(ratio).max() < np.log(4 / 3) + 0.02


@pytest.mark.parametrize(
    ("size", "crop"), [((10, 1000), (0, 493, 10, 13)), ((900, 9), (444, 0, 12, 9))]
)
def test_an_extreme_image_is_cropped_in_the_middle(
    size: tuple[int, int], crop: tuple[int, int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    assert draw_crop(*size, rng, (0.9, 1.0), (3 / 4, 4 / 3)) == crop


def test_train_crop_depends_on_the_generator_alone() -> None:
    preprocess, image = Preprocess(size=(24, 32)), photo(120, 100)
    first = preprocess.train_crop(image, np.random.default_rng(3))
    assert first.shape == (3, 24, 32)
    assert first.equal(preprocess.train_crop(image, np.random.default_rng(3)))
    assert not first.equal(preprocess.train_crop(image, np.random.default_rng(4)))


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(),
        Preprocess(size=(48, 48), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        Preprocess(size=(32, 64), interpolation="bilinear"),
        Preprocess(size=(32, 64), resize="squash"),
        Preprocess(size=(32, 32), resize_size=(40, 40), rules="transformers"),
        Preprocess(size=(32, 64), resize_size=(32, 32), rules="transformers"),
        Preprocess(size=(32, 32), resize="squash", resize_size=(48, 36), interpolation="hamming"),
        Preprocess(size=(224, 224), resize="none", crop=False, interpolation="bicubic"),
        Preprocess(size=(32, 32), resize="none", rules="transformers"),
        Preprocess(size=(32, 32), crop=False, rules="transformers", interpolation="nearest"),
    ],
)
def test_save_and_read(preprocess: Preprocess, tmp_path: Path) -> None:
    preprocess.save(tmp_path)
    content = json.loads((tmp_path / "preprocessor_config.json").read_text())
    read = Preprocess.from_dict(content)
    assert read == preprocess
    assert read.rules == preprocess.rules
    assert repr(read) == repr(preprocess)


def test_keys_of_features_made_before_stay_valid() -> None:
    assert repr(Preprocess(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1))) == (
        "Preprocess(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1), interpolation='bicubic', "
        "resize='shortest')"
    )
    assert "resize_size=(9, 9)" in repr(Preprocess(size=(8, 8), resize_size=(9, 9)))
    assert repr(Preprocess(rules="transformers")) == repr(Preprocess())


def test_transformers_reads_what_we_save(tmp_path: Path) -> None:
    preprocess = Preprocess(size=(48, 48), mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    preprocess.save(tmp_path)
    theirs = CLIPImageProcessorPil.from_pretrained(tmp_path)
    image = photo(70, 90)
    expected = theirs(image, return_tensors="pt")["pixel_values"][0]
    assert torch.allclose(preprocess.normalize(preprocess(image)), expected, atol=1 / 255 / 0.2)


def test_old_files_with_plain_numbers() -> None:
    old = {"size": 224, "crop_size": 224, "resample": 3, "feature_extractor_type": "x"}
    assert Preprocess.from_dict(old) == Preprocess()


@pytest.mark.parametrize(
    "content",
    [{"size": {"longest_edge": 256}, "crop_size": 224}, {"size": 64, "resample": 6}],
)
def test_what_cannot_be_done_is_refused(content: dict) -> None:
    with pytest.raises(UserError, match=r"preprocessor_config\.json"):
        Preprocess.from_dict(content)


# --- parity with open_clip --------------------------------------------------------------------


@pytest.mark.parametrize("size", [(224, 224), (336, 336), (224, 320), (240, 112)])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_equals_open_clip(
    open_clip: ModuleType, photos: list[Image.Image], size: tuple[int, int], mode: str
) -> None:
    preprocess = Preprocess(size=size, resize=mode)  # type: ignore[arg-type]
    theirs = open_clip.image_transform(size, is_train=False, resize_mode=mode)
    std = torch.tensor(preprocess.std).view(3, 1, 1)
    images = [*photos, *(photo(*shape) for shape in SIZES), photo(90, 60, "L")]
    for image in images:
        got = preprocess.normalize(preprocess(image))
        assert ((got - theirs(image)) * std).abs().max() <= 1.001 / 255


def test_random_crops_equal_open_clip(open_clip: ModuleType, photos: list[Image.Image]) -> None:
    import torchvision.transforms.functional as reference

    preprocess = Preprocess()
    for seed, image in enumerate(photos[:10]):
        box = draw_crop(
            image.height, image.width, np.random.default_rng(seed), (0.4, 1.0), (3 / 4, 4 / 3)
        )
        got = preprocess.train_crop(image, np.random.default_rng(seed), scale=(0.4, 1.0))
        expected = reference.resized_crop(
            image.convert("RGB"), *box, [224, 224], reference.InterpolationMode.BICUBIC
        )
        assert got.equal(reference.pil_to_tensor(expected))
