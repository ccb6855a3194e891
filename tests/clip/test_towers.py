"""The towers' own arithmetic: activation, positions, causality."""

from __future__ import annotations

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
