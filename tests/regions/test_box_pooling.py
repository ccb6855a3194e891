"""Patches averaged under boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.regions.support import noise, tiny_clip
from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.regions.box_pooling import BoxPooledEncoder, coverage
from trifocal.regions.encoder import region_encoder


def test_patches_count_by_what_boxes_cover_of_them():
    # Two rows of three patches on 30 x 20 pixels: all of the first, half of the second.
    weights = coverage([(0, 0, 15, 10)], (30, 20), (2, 3))
    assert weights.reshape(2, 3) == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 0, 0]]))
    both = coverage([(0, 0, 15, 10), (20, 10, 10, 10)], (30, 20), (2, 3))
    assert both.reshape(2, 3) == pytest.approx(np.array([[0.4, 0.2, 0], [0, 0, 0.4]]))
    assert coverage([(-9, -9, 3, 3)], (30, 20), (2, 3)).sum() == pytest.approx(1)


def test_a_region_is_the_mean_of_its_patches():
    clip = tiny_clip()
    picture, other = noise((64, 64)), noise((48, 96), 1)
    regions = [
        Region(picture, ((0, 0, 32, 32),)),
        Region(picture, ((0, 0, 64, 64),)),
        Region(other, ((0, 0, 48, 96),)),
    ]
    made = BoxPooledEncoder(clip).encode_regions(regions, batch_size=2, threads=2)
    small = np.asarray(picture.resize((32, 32), 3)).copy()
    with torch.no_grad():
        pixels = torch.from_numpy(small).permute(2, 0, 1)[None]
        patches = clip.encode_image(pixels, patches=True).patches
    assert patches is not None
    patches = patches[0]
    assert torch.allclose(made[0], F.normalize(patches[0], dim=0), atol=1e-5)
    assert torch.allclose(made[1], F.normalize(patches.mean(0), dim=0), atol=1e-5)
    alone = BoxPooledEncoder(clip).encode_regions(regions[2:])
    assert torch.allclose(made[2], alone[0], atol=1e-5)


def test_patches_are_a_variant_of_models_that_have_them(tmp_path):
    clip = tiny_clip()
    encoder = region_encoder(clip, variant="patches")
    assert isinstance(encoder, BoxPooledEncoder)
    texts = encoder.encode_inferences(["a red ball"])
    assert torch.allclose(texts, clip.encode_text(["a red ball"]).pooled, atol=1e-5)
    with pytest.raises(UserError, match=r"no\.png"):
        encoder.encode_regions([Region(tmp_path / "no.png", ((0, 0, 1, 1),))])
