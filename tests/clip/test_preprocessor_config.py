"""Every field of a preprocessor file: as in plain transformers, or refused by its name."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import CLIPImageProcessorPil, CLIPModel

from trifocal.clip import Clip, load_clip, save_pretrained
from trifocal.errors import UserError

SIDE = 32


class Rounded(CLIPImageProcessorPil):
    """transformers' own, but for half pixels of a crop, which are rounded to even.

    So do OpenAI's code and open_clip, with which the published numbers were measured.
    """

    def center_crop(self, image: Any, size: Any, **kwargs: Any) -> Any:
        rows, columns = (
            spare % 4 == 3 if spare > 0 else 0
            for spare in (image.shape[-2] - size.height, image.shape[-1] - size.width)
        )
        return super().center_crop(image[..., int(rows) :, int(columns) :], size, **kwargs)


FIT = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
EXACT = {"size": {"height": SIDE, "width": SIDE}, "do_center_crop": False}


def pictures() -> dict[str, Image.Image]:
    """Pictures of the kinds that pipelines treat differently."""
    rng = np.random.default_rng(0)

    def photo(width: int, height: int) -> Image.Image:
        y, x = np.mgrid[:height, :width]
        waves = [127 + 100 * np.sin(x / (9 + i) + y / (17 - i)) for i in range(3)]
        noisy = np.stack(waves, -1) + rng.normal(0, 12, (height, width, 3))
        return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))

    clear = photo(60, 45).convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (45, 1))))
    palette = photo(50, 37).convert("P", palette=Image.Palette.ADAPTIVE)
    hole = palette.copy()
    hole.info["transparency"] = 3
    return {
        "landscape": photo(83, 61),
        "portrait": photo(61, 90),
        "long": photo(200, 21),
        "tiny": photo(7, 5),
        "exact": photo(SIDE, SIDE),
        "palette": palette,
        "hole": hole,
        "clear": clear,
        "gray": photo(64, 47).convert("L"),
        "gray and clear": clear.convert("LA"),
        "print": photo(47, 70).convert("CMYK"),
        "bits": photo(45, 45).convert("1"),
    }


PICTURES = pictures()
ACTING: dict[str, dict[str, Any]] = {
    "plain": FIT,
    "numbers": {"size": SIDE, "crop_size": SIDE},
    "lists": {"size": [SIDE, SIDE], "crop_size": [SIDE, SIDE]},
    "edge beyond the crop": {**FIT, "size": {"shortest_edge": 40}},
    "edge within the crop": {**FIT, "size": {"shortest_edge": 20}},
    "exact": EXACT,
    "exact by a number": {"size": SIDE, "default_to_square": True, "do_center_crop": False},
    "exact, then cropped": {**FIT, "size": {"height": 45, "width": 39}},
    "exact, then filled up": {**FIT, "size": {"height": 19, "width": 50}},
    "no resize": {"do_resize": False, "crop_size": SIDE},
    "resize is null": {"do_resize": None, "crop_size": SIDE},
    "no crop": {"size": SIDE, "do_center_crop": False},
    "neither": {"do_resize": False, "do_center_crop": False},
    "no normalize": {**FIT, "do_normalize": False},
    "no rescale": {**FIT, "do_rescale": False},
    "bytes": {**FIT, "do_rescale": False, "do_normalize": False},
    "factor": {**FIT, "rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]},
    "factor, no normalize": {**FIT, "rescale_factor": 0.01, "do_normalize": False},
    "factor with few digits": {**FIT, "rescale_factor": 0.00392157},
    "scalars": {**FIT, "image_mean": 0.5, "image_std": 0.25},
    "means": {**FIT, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]},
    **{f"resample {n}": {**FIT, "resample": n} for n in range(6)},
    "resample 0, exact": {**EXACT, "resample": 0},
    "pads to nothing": {**FIT, "do_pad": True},
    "pads to the crop": {**FIT, "do_pad": True, "pad_size": {"height": SIDE, "width": SIDE}},
    "pad_size without do_pad": {**FIT, "pad_size": {"height": 99, "width": 99}},
    "names": {
        **FIT,
        "image_processor_type": "CLIPImageProcessorFast",
        "processor_class": "CLIPProcessor",
        "_valid_processor_keys": ["images"],
        "data_format": "channels_first",
        "input_data_format": None,
        "device": None,
        "disable_grouping": None,
        "return_tensors": None,
    },
    "old": {"feature_extractor_type": "CLIPFeatureExtractor", "size": SIDE, "crop_size": SIDE},
}
NOT_RGB = {"palette", "hole", "clear", "gray", "gray and clear", "print", "bits"}


@pytest.fixture
def folder(tiny_clip: Clip, tmp_path: Path) -> Path:
    """A CLIP of 32 pixels; its weights are drawn wide, so that embeddings tell pixels apart."""
    tiny_clip = copy.deepcopy(tiny_clip)  # other tests have it too
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for value in tiny_clip.network.vision_model.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    save_pretrained(tiny_clip, tmp_path / "clip")
    return tmp_path / "clip"


def write(folder: Path, content: dict[str, Any], form: str = "preprocessor_config.json") -> None:
    (folder / "preprocessor_config.json").unlink()
    nested = {"image_processor": content} if form == "processor_config.json" else content
    (folder / form).write_text(json.dumps(nested))


def compare(folder: Path, names: set[str], *, sized: bool = False) -> None:
    """Compare pixels and embeddings with plain transformers, picture by picture."""
    clip, theirs = load_clip(folder), CLIPModel.from_pretrained(folder).eval()
    processor = Rounded.from_pretrained(folder)
    for name in names:
        expected = processor(PICTURES[name], return_tensors="pt")["pixel_values"]
        if sized and expected.shape[-2:] != (SIDE, SIDE):
            with pytest.raises(UserError, match="do_resize and do_center_crop"):
                clip.preprocess(PICTURES[name])
            continue
        pixels = clip.preprocess.normalize(clip.preprocess(PICTURES[name]))[None]
        expected = expected.float()
        assert pixels.shape == expected.shape, name
        scale = expected.abs().max().clamp(min=1)
        assert (pixels - expected).abs().max() <= 2e-6 * scale, name
        with torch.no_grad():
            ours = clip.encode_image(clip.preprocess(PICTURES[name])[None]).pooled
            other = theirs.get_image_features(expected).pooler_output
        assert F.cosine_similarity(ours, other).item() > 1 - 1e-5, name


@pytest.mark.parametrize("case", ACTING)
def test_acts_as_in_transformers(folder: Path, case: str) -> None:
    write(folder, ACTING[case])
    compare(folder, set(PICTURES), sized=case in ("no crop", "neither"))


@pytest.mark.parametrize("case", ["plain", "edge beyond the crop", "bytes"])
def test_the_nested_form_acts_too(folder: Path, case: str) -> None:
    write(folder, ACTING[case], "processor_config.json")
    compare(folder, set(PICTURES))


@pytest.mark.parametrize("case", ["edge within the crop", "bytes", "no resize", "resample 4"])
def test_what_we_save_acts_as_what_we_read(folder: Path, case: str) -> None:
    write(folder, ACTING[case])
    before = load_clip(folder)
    shutil.rmtree(folder)
    save_pretrained(before, folder)
    assert load_clip(folder).fingerprint() == before.fingerprint()
    assert load_clip(folder).preprocess.rules == "transformers"
    compare(folder, set(PICTURES))


def test_pictures_are_rgb_in_any_case(folder: Path) -> None:
    # Without the conversion transformers fails on anything but RGB.
    write(folder, {**FIT, "do_convert_rgb": False})
    compare(folder, set(PICTURES) - NOT_RGB)


def test_the_nested_form_counts_where_there_are_both(folder: Path) -> None:
    nested = {"image_processor": {**FIT, "image_mean": 0.1}}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    compare(folder, {"landscape"})
    assert load_clip(folder).preprocess.mean == (0.1, 0.1, 0.1)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "misspelled": ({**FIT, "do_normalise": False}, r"'do_normalise'.*Did you mean 'do_normalize'"),
    "of another processor": ({**FIT, "size_divisor": 32}, "'size_divisor'"),
    "flips": ({**FIT, "do_flip_channel_order": True}, "'do_flip_channel_order'"),
    "another processor": ({**FIT, "image_processor_type": "ViTImageProcessor"}, "CLIPImageProces"),
    "longest edge": ({**FIT, "size": {"longest_edge": SIDE}}, "size {'longest_edge'"),
    "two edges": ({**FIT, "size": {"shortest_edge": 32, "longest_edge": 40}}, "longest_edge"),
    "largest": ({**FIT, "size": {"max_height": 32, "max_width": 32}}, "max_height"),
    "size is text": ({**FIT, "size": "32"}, "size '32'"),
    "size is a fraction": ({**FIT, "size": 32.5}, r"size 32\.5"),
    "size is null": ({**FIT, "size": None}, "size None"),
    "size is huge": ({**FIT, "size": 2**31}, "size 2147483648"),
    "size is zero": ({**FIT, "size": {"shortest_edge": 0}}, "size 0"),
    "crop by an edge": (
        {**FIT, "crop_size": {"shortest_edge": SIDE}},
        "crop_size {'shortest_edge'",
    ),
    "unknown filter": ({**FIT, "resample": 6}, r"resample 6.*3 \(bicubic\)"),
    "named filter": ({**FIT, "resample": "bicubic"}, "resample 'bicubic'"),
    "no filter": ({**FIT, "resample": None}, "resample None"),
    "four means": ({**FIT, "image_mean": [0.5] * 4}, "image_mean"),
    "one mean in a list": ({**FIT, "image_mean": [0.5]}, "image_mean"),
    "no mean": ({**FIT, "image_mean": None}, "image_mean None"),
    "mean is NaN": ({**FIT, "image_mean": float("nan")}, "image_mean nan"),
    "std of zero": ({**FIT, "image_std": 0}, r"image_std \[0\.0, 0\.0, 0\.0\]"),
    "factor of zero": ({**FIT, "rescale_factor": 0}, "rescale_factor 0"),
    "no factor": ({**FIT, "rescale_factor": None}, "rescale_factor None"),
    "switch is text": ({**FIT, "do_resize": "false"}, "do_resize 'false'"),
    "pads": ({**FIT, "do_pad": True, "pad_size": 64}, "pad_size 64"),
    "square": ({**FIT, "use_square_size": True}, "use_square_size"),
    "another size": ({"size": 48, "crop_size": 48}, "48x48.*takes 32x32.*crop_size.*to 32"),
    "the default crop": ({"size": SIDE}, "224x224.*takes 32x32"),
    "the default size": ({"do_center_crop": False}, "224x224.*takes 32x32"),
    "oblong": ({"size": SIDE, "crop_size": {"height": 32, "width": 48}}, "48x32"),
    "stretched": ({**FIT, "interpolate_pos_encoding": "yes"}, "interpolate_pos_encoding 'yes'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_by_name(folder: Path, case: str) -> None:
    content, message = REFUSED[case]
    write(folder, content)
    with pytest.raises(UserError, match=message) as caught:
        load_clip(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "3", "{", "\ufeff[", "[" * 100_000])
def test_files_that_are_no_tables(folder: Path, content: str) -> None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        before = (folder / name).read_text() if (folder / name).is_file() else None
        (folder / name).write_text(content)
        with pytest.raises(UserError, match=name):
            load_clip(folder)
        (folder / name).unlink() if before is None else (folder / name).write_text(before)


def test_positions_are_stretched_where_the_file_says_so(folder: Path) -> None:
    write(folder, {"size": 48, "crop_size": 48, "interpolate_pos_encoding": True})
    clip = load_clip(folder)
    assert clip.image_size == (48, 48)
    shutil.rmtree(folder)
    save_pretrained(clip, folder)
    assert load_clip(folder).image_size == (48, 48)


def test_a_folder_without_the_file_says_what_is_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "preprocessor_config.json").unlink()
    assert load_clip(folder).image_size == (SIDE, SIDE)
    assert "OpenAI's preprocessing is used" in caplog.text
