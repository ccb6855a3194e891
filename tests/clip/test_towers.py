"""The towers' own arithmetic: activation, positions, causality."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from trifocal.clip import Clip, towers


def test_quick_gelu_is_the_published_function() -> None:
    x = torch.linspace(-12, 12, 1001, dtype=torch.float64, requires_grad=True)
    expected = x * torch.sigmoid(1.702 * x)
    got = towers.QuickGelu()(x)
    assert torch.allclose(got, expected, atol=1e-14)
    slopes = [torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for y in (got, expected)]
    assert torch.allclose(*slopes, atol=1e-13)
    assert torch.autograd.gradcheck(towers.QuickGelu(), torch.randn(7, requires_grad=True).double())


def test_a_lean_mlp_is_the_same_and_keeps_less(tiny_clip: Clip) -> None:
    lean = tiny_clip.network.vision_model.encoder.layers[0].mlp
    assert isinstance(lean, towers.LeanMlp)
    runs = {"fc1": 0, "activation_fn": 0, "fc2": 0}
    for name in runs:
        module = getattr(lean, name)
        module.register_forward_pre_hook(
            lambda *_, name=name: runs.__setitem__(name, runs[name] + 1)
        )
    x = torch.randn(3, 5, lean.fc1.in_features, requires_grad=True)
    kept: list[torch.Size] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.shape) or tensor, lambda tensor: tensor
    )
    with hooks:
        got = lean(x)
    wide = lean.fc1.out_features
    assert sum(shape[-1] == wide and shape.numel() == 15 * wide for shape in kept) <= 1
    expected = lean.fc2(lean.activation_fn(lean.fc1(x)))
    assert torch.equal(got, expected)
    weights = [x, *lean.parameters()]
    slopes = [torch.autograd.grad(y.square().sum(), weights) for y in (got, expected)]
    for ours, theirs in zip(*slopes):
        torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        assert torch.equal(lean(x), expected)


def test_positions_are_themselves_at_their_own_size() -> None:
    table = torch.randn(1 + 16, 5)
    assert towers.resample_positions(table, 4, 4) is table


@pytest.mark.parametrize(("rows", "columns"), [(2, 4), (4, 2), (7, 3), (8, 8), (1, 1)])
def test_positions_are_stretched_bicubic_with_antialiasing(rows: int, columns: int) -> None:
    table = torch.randn(1 + 16, 5)
    got = towers.resample_positions(table, rows, columns)
    grid = table[1:].reshape(4, 4, 5).permute(2, 0, 1)[None]
    expected = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True)
    assert got.shape == (1 + rows * columns, 5)
    assert got[0].equal(table[0])
    assert got[1:].equal(expected[0].permute(1, 2, 0).reshape(rows * columns, 5))


def test_stretching_keeps_a_flat_table_and_the_order() -> None:
    flat = torch.ones(1 + 9, 2)
    assert torch.allclose(towers.resample_positions(flat, 2, 5), torch.ones(11, 2), atol=1e-6)
    ramp = torch.arange(4.0).repeat_interleave(4)[:, None]  # the row's number at each place
    stretched = towers.resample_positions(torch.cat([torch.zeros(1, 1), ramp]), 8, 2)[1:]
    by_row = stretched.view(8, 2)
    assert torch.allclose(by_row[:, 0], by_row[:, 1], atol=1e-6)
    assert (by_row[1:, 0] > by_row[:-1, 0]).all()


def test_stretching_passes_gradients() -> None:
    table = torch.randn(1 + 9, 2, dtype=torch.float64, requires_grad=True)
    towers.resample_positions(table, 5, 2).pow(2).sum().backward()
    assert table.grad is not None
    assert (table.grad.abs().sum(1) > 0).all()


def test_stretching_keeps_half_precision() -> None:
    assert towers.resample_positions(torch.randn(10, 4).half(), 2, 2).dtype == torch.float16


def test_no_mask_is_built_and_attention_is_fused(
    tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fused = F.scaled_dot_product_attention

    def spy(*args, **kwargs):
        calls.append((kwargs.get("attn_mask"), kwargs.get("is_causal")))
        return fused(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    tiny_clip.encode_text(["a red dog", "a red cat"])
    assert calls == [(None, True)] * 2
    calls.clear()
    tiny_clip.encode_image(torch.zeros(1, 3, 32, 32))
    assert calls == [(None, False)] * 2


def test_text_is_causal_with_any_attention_kernel(tiny_clip: Clip) -> None:
    ids = tiny_clip.tokenize(["a red dog runs over the bridge"]).ids
    fused = towers.text_states(tiny_clip.network, ids)
    for config in (tiny_clip.network.config, tiny_clip.network.text_model.config):
        config._attn_implementation = "eager"
    eager = towers.text_states(tiny_clip.network, ids)
    assert torch.allclose(fused, eager, atol=1e-5)
    changed = ids.clone()
    changed[:, 5:] = 7
    other = towers.text_states(tiny_clip.network, changed)
    assert torch.allclose(other[:, :5], eager[:, :5], atol=1e-6)
    assert not torch.allclose(other[:, 5:], eager[:, 5:], atol=1e-3)


def test_a_table_of_numbered_rows_stretched_to_two_slots() -> None:
    rows = torch.arange(14.0).repeat_interleave(14)[:, None]
    columns = torch.arange(14.0).repeat(14)[:, None]
    table = torch.cat([torch.full((1, 2), 99.0), torch.cat([rows, columns], dim=1)])
    stretched = towers.resample_positions(table, 28, 14)
    assert stretched.shape == (393, 2)
    assert stretched[0].tolist() == [99, 99]
    by_row, by_column = stretched[1:].view(28, 14, 2).unbind(-1)
    assert (by_row - by_row[:, :1]).abs().max() < 1e-5
    assert (by_column - torch.arange(14.0)).abs().max() < 1e-5
    known = {0: -0.088, 1: 0.168, 2: 0.710, 3: 1.25, 4: 1.75, 13: 6.25, 14: 6.75, 25: 12.29}
    for row, value in {**known, 26: 12.832, 27: 13.088}.items():
        assert by_row[row, 0].item() == pytest.approx(value, abs=1e-3), row


@pytest.mark.parametrize(("rows", "columns"), [(8, 4), (4, 8), (8, 8), (3, 5)])
def test_a_stretched_table_of_its_own_changes_nothing_for_its_pictures(
    tiny_clip: Clip, rows: int, columns: int
) -> None:
    pixels = torch.rand(2, 3, 8 * rows, 8 * columns)
    before = tiny_clip.encode_image(pixels, patches=True)
    towers.stretch_positions(tiny_clip.network, rows, columns)
    table = tiny_clip.network.vision_model.embeddings.position_embedding.weight
    assert table.shape == (1 + rows * columns, 32)
    after = tiny_clip.encode_image(pixels, patches=True)
    assert torch.equal(after.pooled, before.pooled)
    assert before.patches is not None
    assert after.patches is not None
    assert torch.equal(after.patches, before.patches)
    after.pooled.sum().backward()
    assert table.grad is not None
    assert (table.grad.abs().sum(1) > 0).all()


def test_a_stretched_table_still_serves_other_pictures(tiny_clip: Clip) -> None:
    towers.stretch_positions(tiny_clip.network, 8, 4)
    embeddings = tiny_clip.network.vision_model.embeddings
    own = embeddings.position_embedding.weight
    assert towers.position_table(embeddings, 8, 4) is own
    expected = towers.resample_positions(own, 4, 4, (8, 4))
    assert torch.equal(towers.position_table(embeddings, 4, 4), expected)
    tiny_clip.encode_image(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize(("rows", "columns"), [(8, 4), (4, 8)])
def test_tiles_give_each_half_a_whole_picture_and_a_learned_embedding(
    tiny_clip: Clip, rows: int, columns: int
) -> None:
    embeddings: Any = tiny_clip.network.vision_model.embeddings
    native = embeddings.position_embedding.weight.detach().clone()

    def halves() -> tuple[torch.Tensor, torch.Tensor]:
        table = towers.position_table(embeddings, rows, columns)
        assert table.shape == (1 + rows * columns, 32)
        assert torch.equal(table[0], native[0])
        first, second = table[1:].view(rows, columns, 32).chunk(2, dim=0 if rows > columns else 1)
        return first.flatten(0, 1), second.flatten(0, 1)

    towers.stretch_positions(tiny_clip.network, rows, columns, tile=True)
    assert all(torch.equal(half, native[1:]) for half in halves())
    assert embeddings.half_embedding.shape == (2, 32)
    assert not embeddings.half_embedding.any()
    pixels = torch.rand(2, 3, 8 * rows, 8 * columns)
    before = tiny_clip.encode_image(pixels).pooled
    before[:, 0].sum().backward()
    assert (embeddings.half_embedding.grad.abs().sum(1) > 0).all()
    learned = torch.randn(2, 32)
    embeddings.half_embedding.data.copy_(learned)
    for half, shift in zip(halves(), learned):
        assert torch.equal(half, native[1:] + shift)
    with torch.no_grad():
        assert not torch.allclose(tiny_clip.encode_image(pixels).pooled, before, atol=1e-4)


def test_tiles_alone_do_not_tell_the_halves_apart(tiny_clip: Clip) -> None:
    """What the embedding of the halves is for."""
    towers.stretch_positions(tiny_clip.network, 8, 4, tile=True)
    pixels = torch.rand(1, 3, 64, 32)
    swapped = torch.cat(pixels.chunk(2, dim=2)[::-1], dim=2)

    def gap() -> float:
        with torch.no_grad():
            one, other = (tiny_clip.encode_image(each).pooled for each in (pixels, swapped))
        return float((one - other).abs().max())

    assert gap() < 1e-5
    embeddings: Any = tiny_clip.network.vision_model.embeddings
    torch.nn.init.normal_(embeddings.half_embedding)
    assert gap() > 1e-3


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (6, 4), (2, 5), (12, 4)])
def test_tiles_need_two_squares(tiny_clip: Clip, rows: int, columns: int) -> None:
    with pytest.raises(ValueError, match="two square halves"):
        towers.stretch_positions(tiny_clip.network, rows, columns, tile=True)
