"""Patches and boxes of a picture in the joint space."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from trifocal.clip import ClipShape, build_clip, train_tokenizer
from trifocal.clip.dense import dense_features
from trifocal.features.dense import box_features, patch_features, stretched

SHAPE = ClipShape(
    image_size=32, patch_size=8, vision_width=32, vision_layers=2, vision_heads=2,
    text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=16,
)  # fmt: skip


def tiny():
    return build_clip(SHAPE, train_tokenizer(["a ball"], 520, context_length=16)).eval()


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_a_picture_of_any_shape_fills_the_grid():
    clip = tiny()
    assert stretched(clip, noise((50, 20))).shape == (3, 32, 32)
    assert stretched(clip, noise((50, 20)), zoom=1.6).shape == (3, 48, 48)
    pictures = [noise((50, 20)), noise((32, 32), 1), noise((9, 70), 2)]
    found = patch_features(clip, pictures, zoom=2, batch_size=2)
    assert found.shape == (3, 8, 8, 16)
    pixels = torch.from_numpy(np.asarray(pictures[1].resize((64, 64), 3)).copy())
    expected = dense_features(clip, pixels.permute(2, 0, 1)[None])
    torch.testing.assert_close(found[1], expected[0], rtol=1e-4, atol=1e-5)


def test_a_box_is_the_mean_of_its_patches_by_area():
    patches = F.normalize(torch.randn(2, 3, 5), dim=-1)
    found = box_features(patches, [(0, 0, 15, 10), (0, 0, 30, 20), (20, 10, 10, 10)], (30, 20))
    assert found.shape == (3, 5)
    first = 2 / 3 * patches[0, 0] + 1 / 3 * patches[0, 1]
    torch.testing.assert_close(found[0], F.normalize(first, dim=0))
    torch.testing.assert_close(found[1], F.normalize(patches.mean((0, 1)), dim=0))
    torch.testing.assert_close(found[2], patches[1, 2])
