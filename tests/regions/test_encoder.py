"""Embedding regions: averages of views, and what a trained model remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tests.regions.support import noise, tiny_clip
from trifocal.clip import Clip, ImageEmbedding, Preprocess, load_clip
from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.regions import RegionEncoder, region_encoder
from trifocal.regions.encoder import CONVENTION, ZERO_SHOT
from trifocal.regions.prompts import PromptConfig, prompts
from trifocal.regions.registry import METHODS
from trifocal.tuning import load_model

VIEWS = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
TEXT = torch.tensor([0.0, 1.0])
REGIONS = [
    Region(noise((120, 80)), ((10, 20, 40, 30),)),
    Region(noise((90, 90), 1), ((5, 5, 20, 60), (50, 40, 30, 30))),
    Region(noise((60, 100), 2), ((0, 0, 60, 100),)),
]


class Counting:
    """Embeds the n-th picture it is given as the n-th of some unit rows."""

    name, image_size, preprocess = "counting", (32, 32), Preprocess(size=(32, 32))

    def __init__(self, rows: Tensor) -> None:
        self.rows, self.passes = rows, []

    def tokenize(self, texts: Any) -> Any:
        raise NotImplementedError

    def encode_image(self, pixels: Tensor) -> ImageEmbedding:
        first = sum(self.passes)
        self.passes.append(len(pixels))
        return ImageEmbedding(self.rows[first : first + len(pixels)])


class Shown:
    """Keeps the pictures it is given; each is embedded by its mean color."""

    name, image_size, preprocess = "shown", (16, 16), Preprocess(size=(16, 16))

    def __init__(self) -> None:
        self.pixels: list[Tensor] = []

    def encode_image(self, pixels: Tensor) -> ImageEmbedding:
        self.pixels += list(pixels)
        return ImageEmbedding(F.normalize(pixels.double().mean((2, 3)).float() - 100, dim=-1))


def encode(clip: Any, regions: list[Region], prompt: PromptConfig, **options: Any) -> Tensor:
    return RegionEncoder(clip, prompt).encode_regions(regions, **options)


# Averages


@pytest.mark.parametrize(("renormalize", "score"), [(True, 0.66436), (False, 0.53333)])
def test_views_are_averaged(renormalize: bool, score: float) -> None:
    (embedding,) = encode(Counting(VIEWS), REGIONS[:1], PromptConfig(renormalize=renormalize))
    assert (embedding @ TEXT).item() == pytest.approx(score, abs=1e-5)
    if renormalize:
        assert embedding.norm().item() == pytest.approx(1)
    else:
        assert embedding.tolist() == pytest.approx([0.6, 0.53333], abs=1e-5)
        assert embedding.norm().item() == pytest.approx(0.80277, abs=1e-5)


@pytest.mark.parametrize("renormalize", [True, False])
def test_boxes_are_averaged_as_views_are(renormalize: bool) -> None:
    prompt = PromptConfig(variant="r-ctx", renormalize=renormalize)
    rows = VIEWS[[0, 1, 2]]  # one region of one box, and one of two
    first, second = encode(Counting(rows), REGIONS[:2], prompt)
    assert first.tolist() == [1, 0]
    mean = (VIEWS[1] + VIEWS[2]) / 2
    torch.testing.assert_close(second, F.normalize(mean, dim=0) if renormalize else mean)


def test_slots_apart_are_averaged_inside_a_view_first() -> None:
    angles = torch.tensor([0.0, 0.3, 2.0, 0.5, 1.4, 1.6])
    rows = torch.stack([angles.cos(), angles.sin()], dim=1)
    for renormalize in (True, False):
        prompt = PromptConfig(layout="separate", renormalize=renormalize)
        (embedding,) = encode(Counting(rows), REGIONS[:1], prompt)
        pairs = F.normalize(rows.view(3, 2, 2).mean(1), dim=1)
        mean = pairs.mean(0)
        torch.testing.assert_close(embedding, F.normalize(mean, dim=0) if renormalize else mean)


# Rows, batches


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
@pytest.mark.parametrize("layout", ["stacked", "side_by_side", "separate"])
def test_the_tower_is_shown_all_prompts_in_order(batch_size: int, layout: Any) -> None:
    prompt, shown = PromptConfig(layout=layout), Shown()
    found = encode(shown, REGIONS, prompt, batch_size=batch_size)
    expected = [prompts(*region.open(), prompt, 16) for region in REGIONS]
    assert [len(each) for each in expected] == [3, 6, 3]  # two boxes, each in three views
    flat = [picture for each in expected for picture in each.flatten(0, 1)]
    assert len(shown.pixels) == len(flat)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(shown.pixels, flat))
    alone = [encode(Shown(), [region], prompt)[0] for region in REGIONS]
    torch.testing.assert_close(found, torch.stack(alone))
    assert found.dtype == torch.float32


def test_passes_are_bounded() -> None:
    counting = Counting(torch.eye(12))
    encode(counting, REGIONS, PromptConfig(), batch_size=4)
    assert sum(counting.passes) == 12
    assert max(counting.passes) <= 4


def test_the_same_region_twice() -> None:
    clip = tiny_clip()
    found = encode(clip, [REGIONS[1], REGIONS[0], REGIONS[1]], PromptConfig(), batch_size=2)
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=1e-6)
    assert (found[0] - found[1]).abs().max() > 1e-4
    again = encode(clip, [REGIONS[1], REGIONS[0], REGIONS[1]], PromptConfig(), batch_size=2)
    assert torch.equal(found, again)


def test_a_region_in_another_frame_is_the_same_region() -> None:
    image, boxes = REGIONS[0].image, REGIONS[0].boxes
    doubled = tuple(tuple(2 * side for side in box) for box in boxes)
    other = Region(image, doubled, frame=(240, 160))  # type: ignore[arg-type]
    first, second = encode(tiny_clip(), [REGIONS[0], other], PromptConfig())
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)


def test_gray_pictures_and_paths(tmp_path: Path) -> None:
    gray = noise((50, 40)).convert("L")
    gray.save(tmp_path / "gray.png")
    boxes = ((3.0, 4.0, 20.0, 20.0),)
    regions = [Region(gray, boxes), Region(tmp_path / "gray.png", boxes)]
    first, second = encode(tiny_clip(), regions, PromptConfig())
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)


def test_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for name in ("broken.jpg", "missing.jpg"):
        region = Region(tmp_path / name, ((0, 0, 5, 5),))
        with pytest.raises(UserError, match=f"{name}.*restore the file"):
            encode(tiny_clip(), [*REGIONS, region], PromptConfig())
    with pytest.raises(ValueError, match="no region"):
        encode(tiny_clip(), [], PromptConfig())


def test_a_method_in_training_is_asked_in_evaluation_and_trains_on() -> None:
    config, kind = METHODS["rca"]
    method = kind(tiny_clip(), config()).train()
    for parameter in method.added:
        torch.nn.init.normal_(parameter, std=0.3)
    found = [region_encoder(method).encode_regions(REGIONS) for _ in range(2)]
    assert torch.equal(*found)
    assert all(part.training for part in method.clip.network.modules())


# Texts


def test_inferences_are_written_as_in_training() -> None:
    clip = tiny_clip()
    texts = ["a guest has come", "it is tea time.", "a guest has come"]
    written = ["inference a guest has come.", "inference it is tea time."]
    with torch.no_grad():
        expected = clip.encode_text(written).pooled[[0, 1, 0]]
        bare = clip.encode_text(texts).pooled
        prefixed = clip.encode_text(["inference a guest has come"]).pooled
    found = RegionEncoder(clip, PromptConfig()).encode_inferences(texts)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    zero_shot = region_encoder(clip).encode_inferences(texts)
    torch.testing.assert_close(zero_shot, bare, rtol=0, atol=1e-6)
    assert (zero_shot - found).abs().max() > 1e-3
    published = RegionEncoder(clip, PromptConfig(period=False)).encode_inferences(texts[:1])
    torch.testing.assert_close(published, prefixed, rtol=0, atol=1e-6)


# How a model is shown regions


def test_a_model_that_never_saw_regions_sees_them_apart() -> None:
    assert region_encoder(tiny_clip()).prompt == ZERO_SHOT
    assert (ZERO_SHOT.layout, ZERO_SHOT.prefix, ZERO_SHOT.period) == ("separate", False, False)
    other = PromptConfig(variant="r-cir")
    assert region_encoder(tiny_clip(), other).prompt == other


def test_what_embeds_regions_itself_is_left_to_it() -> None:
    encoder = RegionEncoder(tiny_clip(), PromptConfig())
    assert region_encoder(encoder) is encoder


def test_an_encoder_says_how_regions_are_shown() -> None:
    encoder = RegionEncoder(tiny_clip(), PromptConfig(renormalize=False))
    assert encoder.name == tiny_clip().name
    assert encoder.protocol == (
        "prompt mix, stacked, 32 px, average of several boxes, averages not renormalized, "
        "texts with prefix"
    )
    plain = RegionEncoder(tiny_clip(), PromptConfig(variant="plain", prefix=False, size=48))
    assert plain.protocol == "prompt plain, stacked, 48 px"


TRAINED = PromptConfig(variant="r-cpt", order="context_first", boxes="largest", period=False)


def move(method: Any) -> None:
    """Give what is trained other values."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=rng)
                parameter.add_(0.05 * noise)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("positions", ["interpolate", "tile"])
def test_a_saved_model_is_shown_regions_as_it_was_trained(
    name: str, positions: Any, tmp_path: Path
) -> None:
    base = tiny_clip()
    base.save_pretrained(tmp_path / "base")
    base.name = str(tmp_path / "base")
    config, kind = METHODS[name]
    method = kind(base, config(prompt=TRAINED, positions=positions))
    move(method)
    method.eval().save(tmp_path / "model")
    assert (tmp_path / "model" / "adapter.json").exists()
    loaded = load_model(tmp_path / "model")
    assert loaded.conventions == method.clip.conventions
    before, after = region_encoder(method), region_encoder(loaded)
    assert before.prompt == after.prompt == TRAINED
    expected = before.encode_regions(REGIONS)
    torch.testing.assert_close(after.encode_regions(REGIONS), expected, rtol=0, atol=1e-5)
    texts = ["it is tea time", "a game is on"]
    torch.testing.assert_close(
        after.encode_inferences(texts), before.encode_inferences(texts), rtol=0, atol=1e-5
    )
    untrained = region_encoder(load_clip(tmp_path / "base"), TRAINED).encode_regions(REGIONS)
    assert (untrained - expected).abs().max() > 1e-3


def test_a_plain_folder_keeps_it_too(tmp_path: Path) -> None:
    """A prompt of one slot needs no table of its own, so the result is an ordinary folder."""
    prompt = PromptConfig(variant="plain", prefix=False)
    config, kind = METHODS["region_finetune"]
    method = kind(tiny_clip(), config(prompt=prompt))
    move(method)
    method.eval().save(tmp_path / "model")
    assert not (tmp_path / "model" / "adapter.json").exists()
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, Clip)
    assert region_encoder(loaded).prompt == prompt
    expected = region_encoder(method).encode_regions(REGIONS)
    found = region_encoder(loaded).encode_regions(REGIONS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    loaded.save_pretrained(tmp_path / "again")
    assert load_clip(tmp_path / "again").conventions == method.clip.conventions
    assert CONVENTION in loaded.conventions
    base = tiny_clip()
    base.save_pretrained(tmp_path / "base")
    assert load_clip(tmp_path / "base").conventions == {}


def test_a_plain_prompt_does_not_see_the_region() -> None:
    image: Image.Image = noise((100, 60))
    regions = [Region(image, ((0, 0, 20, 20),)), Region(image, ((50, 10, 20, 20),))]
    first, second = encode(tiny_clip(), regions, PromptConfig(variant="plain"))
    assert torch.equal(first, second)
    first, second = encode(tiny_clip(), regions, PromptConfig(variant="r-ctx"))
    assert (first - second).abs().max() > 1e-4
