"""Words left out, features moved, attention that passes over words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.data.letters import content, maker, negatives
from tests.train.support import tiny_clip
from trifocal.composition import Finetune, FinetuneConfig
from trifocal.composition.noise import drop_words, moved
from trifocal.composition.options import ClassPrompts, Noise
from trifocal.errors import UserError


@given(st.text(max_size=30), st.floats(0, 0.99), st.integers(0, 99))
def test_dropping_words_keeps_order_and_never_empties_a_text(text, share, seed):
    kept = drop_words(text, share, np.random.default_rng(seed)).split()
    words = iter(text.split())
    assert all(word in words for word in kept)
    assert bool(kept) == bool(text.split())


def test_the_share_of_words_is_the_one_asked_for():
    rng, text = np.random.default_rng(0), " ".join("abcdefghij")
    lost = np.mean([10 - len(drop_words(text, 0.3, rng).split()) for _ in range(2000)])
    assert abs(lost / 10 - 0.3) < 0.01
    assert drop_words("a  b", 0.0, rng) == "a b"


def test_words_are_dropped_from_captions_and_negatives_but_known_in_full():
    options = {"negatives": negatives, "kinds": ("swap", "shuffle"), "size": 8}
    plain, noisy = maker(**options).make(0), maker(**options, drop=0.5).make(0)
    before, after = content(plain), content(noisy)
    assert before.pop("text") != after.pop("text")
    assert before == after
    assert (noisy.text.lengths <= plain.text.lengths).all()
    assert (noisy.text.lengths[8:] < plain.text.lengths[8:]).any()


def test_moved_features_have_unit_length_and_the_distance_asked_for():
    features = F.normalize(torch.randn(500, 64), dim=-1)
    step = moved(features, 0.25)
    torch.testing.assert_close(step.norm(dim=-1), torch.ones(500))
    angle = torch.arccos((features * step).sum(-1)).mean()
    assert abs(torch.tan(angle) - 0.25) < 0.01


def test_noise_acts_in_training_alone():
    clip = tiny_clip()
    config = FinetuneConfig(tuning="text", noise=Noise(features=0.3, attention=0.5))
    method = Finetune(clip, config)
    pixels, text = torch.rand(4, 3, 16, 16), clip.tokenize(["a red cat dog", "a big sun"] * 2)
    method.train()
    first, second = method(pixels, text), method(pixels, text)
    assert not torch.equal(first.image.pooled, second.image.pooled)
    assert not torch.equal(first.text.pooled, second.text.pooled)
    method.eval()
    calm = method(pixels, text)
    assert torch.equal(calm.image.pooled, clip.encode_image(pixels).pooled)
    assert torch.equal(calm.text.pooled, method(pixels, text).text.pooled)


@pytest.mark.parametrize("options", [{"words": 1.0}, {"attention": -0.1}, {"features": -1.0}])
def test_what_is_no_noise_is_refused(options):
    with pytest.raises(UserError, match=r"method\.noise"):
        Noise(**options)


@pytest.mark.parametrize("options", [{"share": 2.0}, {"template": "a photo"}])
def test_what_are_no_prompts_is_refused(options):
    with pytest.raises(UserError, match=r"method\.prompts"):
        ClassPrompts("table", **options)


def test_half_of_the_pictures_are_mirrored():
    plain, mirrored = maker(size=20).make(0).pixels, maker(size=20, flip=True).make(0).pixels
    same = (plain == mirrored).flatten(1).all(1)
    turned = (plain.flip(-1) == mirrored).flatten(1).all(1)
    assert (same | turned).all()
    assert 3 < int(turned.sum()) < 17
