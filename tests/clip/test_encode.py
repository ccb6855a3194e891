"""Many texts and images at once: sorted batches, the same order, the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.clip.conftest import CAPTIONS
from trifocal.clip import (
    SHAPES,
    Clip,
    Tokenizer,
    build_clip,
    encode_images,
    encode_texts,
    image_features,
    text_features,
)
from trifocal.errors import UserError

TEXTS = ["a", "", *CAPTIONS, "a dog", "a red cat sits", "two dogs run"] * 3


@pytest.mark.parametrize("batch_size", [1, 4, 7, 1000])
def test_texts_keep_their_order(tiny_clip: Clip, batch_size: int) -> None:
    got = encode_texts(tiny_clip, TEXTS, batch_size=batch_size)
    one_by_one = torch.cat([tiny_clip.encode_text([text]).pooled for text in TEXTS])
    assert torch.allclose(got, one_by_one, atol=1e-6)
    assert not got.requires_grad
    assert encode_texts(tiny_clip, tiny_clip.tokenize(TEXTS)).allclose(got, atol=1e-6)


def test_each_batch_is_as_wide_as_its_longest(
    tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = []
    encode = tiny_clip.encode_text
    monkeypatch.setattr(
        tiny_clip, "encode_text", lambda b: (widths.append(b.ids.shape[1]), encode(b))[1]
    )
    encode_texts(tiny_clip, TEXTS, batch_size=3)
    lengths = sorted(tiny_clip.tokenize(TEXTS).lengths.tolist(), reverse=True)
    assert widths == lengths[::3]


@pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning")
def test_nothing_that_transformers_gives_up_is_used(tiny_clip: Clip) -> None:
    encode_texts(tiny_clip, TEXTS)
    encode_images(tiny_clip, [Image.new("RGB", (40, 30))])


def test_images_of_any_kind(tiny_clip: Clip) -> None:
    photos = [Image.new("RGB", (40 + 5 * i, 50), (i * 20, 90, 200 - i)) for i in range(7)]
    pixels = [tiny_clip.preprocess(photo) for photo in photos]
    expected = tiny_clip.encode_image(torch.stack(pixels)).pooled
    mixed = [photo if i % 2 else pixels[i] for i, photo in enumerate(photos)]
    got = encode_images(tiny_clip, iter(mixed), batch_size=3)
    assert torch.allclose(got, expected, atol=1e-6)
    assert not got.requires_grad


def test_training_mode_comes_back(tiny_clip: Clip) -> None:
    tiny_clip.train()
    frozen = tiny_clip.network.vision_model.eval()
    encode_texts(tiny_clip, ["a"])
    assert tiny_clip.training
    assert not frozen.training
    assert tiny_clip.network.text_model.training


def test_nothing_to_encode(tiny_clip: Clip) -> None:
    with pytest.raises(ValueError, match="no texts"):
        encode_texts(tiny_clip, [])
    with pytest.raises(ValueError, match="no images"):
        encode_images(tiny_clip, [])


@pytest.mark.slow
def test_real_captions_equal_the_padded_way(
    clip_tokenizer: Tokenizer, coco_captions: list[str]
) -> None:
    shape = replace(SHAPES["ViT-B-32"], vision_layers=1)
    clip, texts = build_clip(shape, clip_tokenizer), coco_captions[:24]
    padded = clip.tokenizer(texts, length=77)
    with torch.no_grad():
        full = clip.network.get_text_features(padded.ids).pooler_output
    got = encode_texts(clip, texts, batch_size=16)
    assert (got - F.normalize(full, dim=-1)).abs().max() <= 1e-6


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_features_normalized_are_the_embeddings(tiny_clip: Clip, batch_size: int) -> None:
    photos = [Image.new("RGB", (40 + 5 * i, 50), (i * 20, 90, 200 - i)) for i in range(5)]
    image = image_features(tiny_clip, photos, batch_size=batch_size)
    text = text_features(tiny_clip, TEXTS, batch_size=batch_size)
    assert torch.allclose(F.normalize(image, dim=-1), encode_images(tiny_clip, photos), atol=1e-6)
    assert torch.allclose(F.normalize(text, dim=-1), encode_texts(tiny_clip, TEXTS), atol=1e-6)
    before = image_features(tiny_clip, photos, projected=False, batch_size=batch_size)
    assert torch.allclose(before @ tiny_clip.image_projection, image, atol=1e-6)


class UnitOnly:
    """A model that gives unit vectors and nothing else."""

    def __init__(self, clip: Clip) -> None:
        self.preprocess, self.tokenize = clip.preprocess, clip.tokenize
        self.encode_text, self.encode_image = clip.encode_text, clip.encode_image


def test_a_model_with_unit_vectors_only(tiny_clip: Clip) -> None:
    model, photos = UnitOnly(tiny_clip), [Image.new("RGB", (40, 50), (20, 90, 200))]
    assert torch.equal(image_features(model, photos), encode_images(tiny_clip, photos))
    assert torch.equal(text_features(model, TEXTS), encode_texts(tiny_clip, TEXTS))
    with pytest.raises(UserError, match="pooled features only"):
        image_features(model, photos, projected=False)
