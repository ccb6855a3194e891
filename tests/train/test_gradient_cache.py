"""Cached gradients equal direct ones: every kind of embedding, with and without dropout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.train.support import Pictures, batching, rca_config, tiny_clip
from trifocal.composition.fsc_clip import FscClip, FscClipConfig
from trifocal.data.loader import BatchMaker, Order
from trifocal.regions import Rca
from trifocal.train.gradient_cache import _RandomState, as_float, cached_step, direct_step
from trifocal.tuning import Encoded
from trifocal.world.abduction import WorldAbduction

KINDS = ("swap", "shuffle")


def fsc_clip(**options) -> FscClip:
    method = FscClip(tiny_clip(), FscClipConfig(negatives=KINDS, **options))
    return method.double()  # so that the two ways are seen to be one


def a_batch(size: int, method):
    order = Order(size, size, 0)
    return BatchMaker(Pictures(size), order, batching(method)).make(0)


def gradients(method, step) -> dict[str, torch.Tensor]:
    method.zero_grad(set_to_none=True)
    step()
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


def backward(loss: torch.Tensor) -> None:
    loss.backward()


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 6, 100])
@pytest.mark.parametrize("local_weight", [0.0, 0.2])
def test_cached_equals_direct(chunk, local_weight):
    method = fsc_clip(local_weight=local_weight)
    batch = a_batch(6, method)
    terms = {}

    def run(step, **options):
        terms[step] = step(method, method.objective, batch, backward, share=0.5, **options)

    direct = gradients(method, lambda: run(direct_step))
    cached = gradients(method, lambda: run(cached_step, chunk=chunk))
    assert direct.keys() == cached.keys()
    assert "clip.network.logit_scale" in direct
    for name, gradient in direct.items():
        assert torch.allclose(gradient, cached[name], rtol=1e-6, atol=1e-9), name
    for name, term in terms[direct_step].items():
        assert terms[cached_step][name].item() == pytest.approx(term.item(), rel=1e-6)
        assert not terms[cached_step][name].requires_grad


def regions(loss: str, size: int = 6, **options):
    """RCA with weights in its adapters, and a batch of the world's regions."""
    method = Rca(tiny_clip(), rca_config(loss, **options)).double()
    rng = torch.Generator().manual_seed(0)
    for parameter in method.added:
        parameter.data.copy_(0.1 * torch.randn(parameter.shape, generator=rng))
    source = WorldAbduction(size=size, picture_size=48)
    return method, BatchMaker(source, Order(size, size, 0), method.batching()).make(0)


@pytest.mark.parametrize("chunk", [1, 2, 5, 6, 7, 100])
@pytest.mark.parametrize("loss", ["dual", "triple", "wrong_region"])
def test_cached_equals_direct_on_regions(chunk, loss):
    """Twice as many pictures, or texts, as there are regions."""
    method, batch = regions(loss)
    assert (len(batch.pixels), len(batch.text)) == ((12, 6) if loss == "wrong_region" else (6, 12))
    terms = {}

    def run(step, **options):
        terms[step] = step(method, method.objective, batch, backward, share=0.5, **options)

    direct = gradients(method, lambda: run(direct_step))
    cached = gradients(method, lambda: run(cached_step, chunk=chunk))
    assert direct.keys() == cached.keys()
    assert any("map_adapter" in name and grad.any() for name, grad in direct.items())
    for name, gradient in direct.items():
        assert torch.allclose(gradient, cached[name], rtol=1e-6, atol=1e-9), name
    for name, term in terms[direct_step].items():
        assert terms[cached_step][name].item() == pytest.approx(term.item(), rel=1e-6)


class PieceByPiece(Rca):
    """Encodes as the cache does with pieces of two regions, but with gradient, in one graph."""

    def forward(self, pixels, text) -> Encoded:
        from trifocal.train.gradient_cache import _concatenated

        parts = [
            super(PieceByPiece, self).forward(
                pixels[start : start + 2], text.rows(slice(2 * start, 2 * start + 4))
            )
            for start in range(0, 6, 2)
        ]
        image = _concatenated([part.image for part in parts])
        return Encoded(image, _concatenated([part.text for part in parts]), parts[0].scale)


def test_the_cache_draws_dropped_branches_once():
    """Both passes over a piece leave out the adapters of the same samples."""
    method, batch = regions("dual", drop_path=0.5)
    other = PieceByPiece(tiny_clip(), rca_config("dual", drop_path=0.5)).double()
    other.load_state_dict(method.state_dict())
    made = []
    for each, step, options in (
        (method.train(), cached_step, {"chunk": 2}),
        (other.train(), direct_step, {}),
    ):

        def seeded(each=each, step=step, options=options):
            torch.manual_seed(5)
            step(each, each.objective, batch, backward, **options)

        made.append(gradients(each, seeded))
    for name, gradient in made[0].items():
        assert torch.allclose(gradient, made[1][name], rtol=1e-6, atol=1e-9), name
    still = gradients(method.eval(), lambda: direct_step(method, method.objective, batch, backward))
    assert any(not torch.allclose(still[name], made[0][name]) for name in still)


class Dropped(FscClip):
    """Dropout on pictures and on every embedding."""

    def forward(self, pixels, text) -> Encoded:
        pixels = nn.functional.dropout(self.clip.preprocess.normalize(pixels).double(), 0.3)
        encoded = super().forward(pixels, text)
        encoded.text.pooled = nn.functional.dropout(encoded.text.pooled, 0.3)
        encoded.text.tokens = nn.functional.dropout(encoded.text.tokens, 0.3)
        return encoded


class Replayed(Dropped):
    """Encodes piece by piece with gradient, in one graph: the direct form of cached dropout."""

    chunk = 2

    def forward(self, pixels, text) -> Encoded:
        from trifocal.train.gradient_cache import _concatenated

        parts = []
        for start in range(0, 6, self.chunk):
            rows = len(text) * start // 6, len(text) * (start + self.chunk) // 6
            piece = pixels[start : start + self.chunk], text.rows(slice(*rows))
            parts.append(super().forward(*piece))
        image = _concatenated([part.image for part in parts])
        return Encoded(image, _concatenated([part.text for part in parts]), parts[0].scale)


def test_cached_equals_direct_with_dropout():
    config = FscClipConfig(negatives=KINDS)
    pair = [cls(tiny_clip(), config).double().train() for cls in (Dropped, Replayed)]
    batch = a_batch(6, pair[0])
    made = []
    for method, step, options in zip(pair, (cached_step, direct_step), ({"chunk": 2}, {})):

        def seeded(method=method, step=step, options=options):
            torch.manual_seed(5)
            step(method, method.objective, batch, backward, **options)

        made.append(gradients(method, seeded))
    for name, gradient in made[0].items():
        assert torch.allclose(gradient, made[1][name], rtol=1e-6, atol=1e-9), name
    torch.manual_seed(6)
    other = gradients(
        pair[0], lambda: cached_step(pair[0], pair[0].objective, batch, backward, chunk=2)
    )
    assert any(not torch.allclose(other[name], made[0][name]) for name in other)


def test_only_the_last_piece_is_averaged_over_processes():
    method = fsc_clip()
    batch = a_batch(6, method)
    for final, expected in ((True, 2), (False, 3)):
        entered = []

        class Block:
            def __enter__(self, entered=entered):
                entered.append(1)

            def __exit__(self, *_):
                pass

        cached_step(method, method.objective, batch, backward, chunk=2, no_sync=Block, final=final)
        assert len(entered) == expected


def test_a_frozen_tower_is_left_alone():
    method = fsc_clip()
    method.clip.network.vision_model.requires_grad_(False)
    method.clip.network.visual_projection.requires_grad_(False)
    batch = a_batch(4, method)
    direct = gradients(method, lambda: direct_step(method, method.objective, batch, backward))
    cached = gradients(
        method, lambda: cached_step(method, method.objective, batch, backward, chunk=2)
    )
    assert direct.keys() == cached.keys()
    assert not any("vision" in name for name in cached)
    for name, gradient in direct.items():
        assert torch.allclose(gradient, cached[name], rtol=1e-6, atol=1e-9), name


def test_random_state_is_replayed_and_put_back():
    torch.manual_seed(1)
    state = _RandomState()
    first = torch.rand(3)
    later = torch.get_rng_state()
    with state.replayed():
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), later)


def test_half_precision_is_left_behind_before_the_loss():
    method = FscClip(tiny_clip(), FscClipConfig(negatives=KINDS))
    batch = a_batch(3, method)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = method(batch.pixels, batch.text)
    assert encoded.image.patches.dtype == torch.bfloat16
    made = as_float(encoded)
    assert {made.image.patches.dtype, made.text.tokens.dtype, made.scale.dtype} == {torch.float32}
    assert made.text.mask.dtype == torch.bool
    assert np.isfinite(made.scale.item())
