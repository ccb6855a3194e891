"""RCA's adapters: known values, exactness, and what they keep."""

from __future__ import annotations

import copy
import itertools
import math
from types import SimpleNamespace
from typing import Any, Literal, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPAttention

from trifocal.clip import Clip, ClipShape, build_clip, towers, train_tokenizer
from trifocal.errors import UserError
from trifocal.tuning.adapters import (
    AdaptedLayer,
    AdapterConfig,
    BottleneckAdapter,
    MapAdapter,
    Module,
    MshaAdapter,
    Tower,
    attach_adapters,
    drop_path,
    joined_heads,
    mixed_heads,
)

MODULES: tuple[Module, ...] = get_args(Module)
SUBSETS = [
    chosen for size in range(1, 5) for chosen in itertools.combinations(MODULES, size)
]  # every way to combine them
TEXTS = ["a red ball", "a small blue cup left of a kite", "two cats"]


def tiny(seed: int = 0, **shape: Any) -> Clip:
    options: dict[str, Any] = {
        "image_size": 32, "patch_size": 16, "vision_width": 32, "vision_layers": 2,
        "vision_heads": 2, "text_width": 48, "text_layers": 2, "text_heads": 3, "embed_dim": 16,
        "context_length": 32,
    }  # fmt: skip
    tokenizer = train_tokenizer(TEXTS, 560, context_length=32)
    return build_clip(ClipShape(**{**options, **shape}), tokenizer, seed=seed)


def pictures(count: int = 3) -> Tensor:
    return torch.rand((count, 3, 32, 32), generator=torch.Generator().manual_seed(1))


def blocks(clip: Clip, tower: Tower = "vision") -> Any:
    return getattr(clip.network, f"{tower}_model").encoder.layers


def embed(clip: Clip) -> Tensor:
    with torch.no_grad():
        return torch.cat([clip.encode_image(pictures()).pooled, clip.encode_text(TEXTS).pooled])


def randomize(parameters: list[nn.Parameter], std: float = 0.2, seed: int = 3) -> None:
    """Give the adapters weights that are not zero anywhere."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(std * torch.randn(parameter.shape, generator=rng))


def attention_of(dim: int, heads: int, seed: int = 0) -> Any:
    """Return transformers' own attention, without a trained bias at zero."""
    config = CLIPVisionConfig(hidden_size=dim, num_attention_heads=heads)
    config._attn_implementation = "sdpa"
    attention = CLIPAttention(config)
    randomize(list(attention.parameters()), 0.4, seed)
    return attention


def explicit(attention: Any, adapter: MapAdapter, states: Tensor, causal: bool) -> Tensor:
    """The definition: softmax((Q K^T + q k^T) / sqrt(d_h) + M) V, with a bias for every head."""
    heads, width = attention.num_heads, attention.head_dim

    def split(rows: Tensor) -> Tensor:
        return torch.stack(rows.chunk(heads, dim=-1), dim=1)  # (B, H, L, .)

    queries, keys, values = (
        split(project(states)) for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    weight, bias = adapter.project.weight, adapter.project.bias
    half = len(weight) // 2
    more_queries = split(F.linear(states, weight[:half], bias[:half]))
    more_keys = split(F.linear(states, weight[half:], bias[half:]))
    logits = (queries @ keys.mT + more_queries @ more_keys.mT) / math.sqrt(width)
    if causal:
        later = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
        logits = logits.masked_fill(later, -math.inf)
    mixed = logits.softmax(dim=-1) @ values
    return attention.out_proj(torch.cat(mixed.unbind(1), dim=-1))


def mapped_attention(attention: Any, adapter: MapAdapter, states: Tensor, **mask: Any) -> Tensor:
    """The fused form, as a block puts it together."""
    return joined_heads(attention, mixed_heads(attention, states, *adapter(states), **mask))


# Known values


def case_4() -> tuple[Any, MapAdapter, Tensor]:
    def linear(weight: Tensor) -> nn.Linear:
        layer = nn.Linear(4, 4, bias=False)
        layer.weight.data.copy_(weight)
        return layer

    still, same = torch.zeros(4, 4), torch.eye(4)
    attention = SimpleNamespace(
        num_heads=2, head_dim=2, scale=1 / math.sqrt(2),
        q_proj=linear(still), k_proj=linear(still), v_proj=linear(same), out_proj=linear(same),
    )  # fmt: skip
    adapter = MapAdapter(4, 2, 0.5)
    adapter.project.weight.data.copy_(same[[0, 1, 1, 0]])  # queries e1, e2; keys e2, e1
    return attention, adapter, torch.tensor([[[1.0, 0, 1, 0], [0, 1, 0, 1]]])


@pytest.mark.parametrize("form", ["fused", "explicit"])
def test_a_map_adapter_by_hand(form: str) -> None:
    attention, adapter, states = case_4()
    queries, keys = adapter(states)
    logits = queries @ keys.mT * attention.scale
    bias = torch.tensor([[[0, 0.7071], [0, 0]], [[0, 0], [0.7071, 0]]])
    torch.testing.assert_close(logits[0], bias, rtol=0, atol=1e-4)
    if form == "fused":
        mixed = mapped_attention(attention, adapter, states)
    else:
        mixed = explicit(attention, adapter, states, causal=False)
    expected = torch.tensor([[0.3302, 0.6698, 0.5, 0.5], [0.5, 0.5, 0.6698, 0.3302]])
    torch.testing.assert_close(mixed[0], expected, rtol=0, atol=1e-4)


def test_the_two_forms_of_the_map_adapter_by_hand_agree() -> None:
    attention, adapter, states = case_4()
    fused = mapped_attention(attention, adapter, states)
    expected = explicit(attention, adapter, states, causal=False)
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-6)
    adapter.project.weight.data.zero_()
    assert torch.equal(mapped_attention(attention, adapter, states), torch.full((1, 2, 4), 0.5))


def test_a_bottleneck_by_hand() -> None:
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    expected = torch.tensor([[4.9090, -0.4545], [-1.0910, -0.4545]])
    for skip in (True, False):
        adapter = BottleneckAdapter(2, 0.5, skip=skip)
        with torch.no_grad():
            adapter.down.weight.copy_(torch.tensor([[1.0, 1.0]]))
            adapter.down.bias.zero_()
            adapter.up.weight.copy_(torch.tensor([[2.0], [-1.0]]))
            adapter.up.bias.copy_(torch.tensor([0.0, 0.5]))
        wanted = expected if skip else expected - x
        torch.testing.assert_close(adapter(x).detach(), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("axis", "constant", "varying"), [("sample", 1, 0), ("position", 0, 1)])
def test_what_drop_path_drops_at_once(axis: Any, constant: int, varying: int) -> None:
    torch.manual_seed(0)
    dropped = drop_path(torch.ones(8, 9, 3), 0.5, axis)
    assert dropped.unique().tolist() == [0, 2]
    first = dropped.select(constant, 0).unsqueeze(constant)
    assert torch.equal(dropped, first.expand_as(dropped))
    assert not torch.equal(dropped, dropped.select(varying, 0).unsqueeze(varying).expand(8, 9, 3))
    assert (dropped == dropped[..., :1]).all()


@pytest.mark.parametrize("axis", ["sample", "position"])
def test_drop_path_keeps_the_expectation(axis: Any) -> None:
    torch.manual_seed(0)
    shape = (20_000, 1, 2) if axis == "sample" else (1, 20_000, 2)
    dropped = drop_path(torch.full(shape, 3.0), 0.2, axis)
    assert dropped.mean().item() == pytest.approx(3.0, abs=0.05)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)


# Nothing at the start


@pytest.mark.parametrize("modules", SUBSETS, ids="+".join)
def test_nothing_changes_at_step_zero(modules: tuple[Module, ...]) -> None:
    clip = tiny()
    before = embed(clip)
    added = attach_adapters(clip.network, AdapterConfig(modules))
    assert (embed(clip.eval()) - before).abs().max() == 0.0
    randomize(added)  # each way to combine them is heard once it has weights
    assert (embed(clip) - before).abs().amax(dim=1).min() > 1e-4


def test_nothing_changes_at_step_zero_at_the_width_of_a_real_head() -> None:
    clip = tiny(vision_width=128, text_width=128, text_heads=2)  # heads of 64 units, and 16 more
    before = embed(clip)
    attach_adapters(clip.network, AdapterConfig((*MODULES,)))
    assert (embed(clip.eval()) - before).abs().max() == 0.0


def test_the_published_start_is_near_zero() -> None:
    clip = tiny()
    before = embed(clip)
    attach_adapters(clip.network, AdapterConfig(map_start="near_zero"))
    change = (embed(clip.eval()) - before).abs().amax(dim=1)
    assert change.min() > 0
    assert change.max() < 1e-4
    weight = MapAdapter(768, 12, start="near_zero").project.weight
    for half in weight.chunk(2):
        assert half.std().item() == pytest.approx(0.00125, rel=0.02)


def test_gradients_reach_what_starts_at_zero() -> None:
    clip = tiny()
    added = attach_adapters(clip.network, AdapterConfig((*MODULES,)))
    clip.eval()
    image, text = clip.encode_image(pictures()).pooled, clip.encode_text(TEXTS).pooled
    (image @ text.T).square().sum().backward()
    still = {n for n, p in clip.network.named_parameters() if p in set(added) and not p.any()}
    assert any("map_adapter" not in name for name in still)
    for tower in get_args(Tower):
        for layer in blocks(clip, tower):
            adapters = layer.adapters
            queries = adapters["map_adapter"].project.weight.grad.chunk(2)[0]
            assert not adapters["map_adapter"].project.weight.chunk(2)[0].any()
            assert queries.abs().max() > 0
            for name in ("mlp_adapter", "attention_adapter", "msha_adapter"):
                assert adapters[name].up.weight.grad.abs().max() > 0


# The branch beside the MLP


def adapted_layer(**options: Any) -> tuple[AdaptedLayer, Tensor, Tensor, Tensor]:
    """Return a block with an MLP adapter, an input, its output in evaluation, and the branch."""
    layer = AdaptedLayer(blocks(tiny())[0], AdapterConfig(("mlp",), **options))
    bare = copy.deepcopy(layer)
    randomize(list(layer.adapters.parameters()))
    x = torch.randn((6, 7, 32), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = layer.eval()(x)
        return layer, x, whole, whole - bare.eval()(x)


@pytest.mark.parametrize(("options", "axis"), [({}, 0), ({"drop_path_axis": "position"}, 1)])
def test_a_block_drops_its_branch_in_training_alone(options: dict[str, Any], axis: int) -> None:
    layer, x, whole, branch = adapted_layer(drop_path=0.5, **options)
    assert torch.equal(layer(x), whole)
    torch.manual_seed(1)
    with torch.no_grad():
        share = (layer.train()(x) - (whole - branch)) / branch  # 0 where dropped, 2 where kept
    share = share.movedim(axis, 0)
    found = share.median(dim=2).values.round()
    assert (found == found[:, :1]).all()
    assert found[:, 0].unique().tolist() == [0, 2]
    torch.testing.assert_close(share, found[..., None].expand_as(share), rtol=0, atol=1e-2)


def test_without_drop_path_training_is_evaluation() -> None:
    layer, x, whole, _ = adapted_layer(drop_path=0.0)
    assert torch.equal(layer.train()(x), whole)


def test_a_block_is_what_the_paper_writes() -> None:
    layer = AdaptedLayer(blocks(tiny())[0], AdapterConfig())
    randomize(list(layer.adapters.parameters()))
    x = torch.randn(2, 5, 32)
    adapters: Any = layer.adapters
    norm = layer.layer_norm1(x)
    attended = explicit(layer.self_attn, adapters["map_adapter"], norm, causal=False)
    middle = x + adapters["attention_adapter"](attended)
    norm = layer.layer_norm2(middle)
    expected = middle + layer.mlp(norm) + adapters["mlp_adapter"](norm)
    torch.testing.assert_close(layer.eval()(x), expected, rtol=1e-5, atol=1e-5)
    assert adapters["attention_adapter"].skip
    assert not adapters["mlp_adapter"].skip


# Causality


@pytest.mark.parametrize("modules", [(*MODULES,), ("map",), ("msha",)], ids="+".join)
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_text_stays_causal(modules: tuple[Module, ...], kernel: str) -> None:
    clip = tiny()
    randomize(attach_adapters(clip.network, AdapterConfig(modules)), 0.5)
    clip.eval()
    for config in (clip.network.config, clip.network.text_model.config):
        config._attn_implementation = kernel
    batch = clip.tokenize(TEXTS[:1])
    end = int(batch.lengths[0])
    padded = F.pad(batch.ids[:, :end], (0, 9), value=5)
    changed = F.pad(batch.ids[:, :end], (0, 9), value=77)
    earlier = padded.clone()
    earlier[:, 1] = 77

    def states(ids: Tensor) -> Tensor:
        with torch.no_grad():
            return towers.text_states(clip.network, ids)

    def embedding(ids: Tensor) -> Tensor:
        with torch.no_grad():
            return F.normalize(towers.project_text(clip.network, states(ids)[:, end - 1]), dim=-1)

    for other in (changed, padded[:, :end]):
        assert (embedding(padded) - embedding(other)).abs().max() <= 1e-6
    clip.double()
    for other in (changed, padded[:, :end]):
        assert (states(padded)[:, :end] - states(other)[:, :end]).abs().max() <= 1e-12
    assert (states(padded)[:, end:] - states(changed)[:, end:]).abs().max() > 1e-3
    assert (embedding(padded) - embedding(earlier)).abs().max() > 1e-3


# The fused form


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("dtype", "forward", "backward"), [(torch.float32, 1e-6, 1e-5), (torch.float64, 1e-14, 1e-13)]
)
def test_the_fused_form_is_the_explicit_one(
    causal: bool, dtype: torch.dtype, forward: float, backward: float
) -> None:
    attention, adapter = attention_of(24, 3), MapAdapter(24, 3, 0.5)
    randomize(list(attention.parameters()), 0.2)
    randomize(list(adapter.parameters()), 0.4)
    attention, adapter = attention.to(dtype), adapter.to(dtype)
    rng = torch.Generator().manual_seed(0)
    states = torch.randn((4, 7, 24), generator=rng, dtype=dtype, requires_grad=True)
    goal = torch.randn((4, 7, 24), generator=rng, dtype=dtype)
    inputs = [states, *attention.parameters(), *adapter.parameters()]
    fused = mapped_attention(attention, adapter, states, attn_mask=None, is_causal=causal)
    expected = explicit(attention, adapter, states, causal)
    torch.testing.assert_close(fused, expected, rtol=0, atol=forward)
    slopes = [torch.autograd.grad((y * goal).mean(), inputs) for y in (fused, expected)]
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=backward)
    without = mapped_attention(attention, MapAdapter(24, 3, 0.5).to(dtype), states)
    assert (without - fused).abs().max() > 1e-2


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 4),
    width=st.sampled_from([2, 4, 8]),
    halvings=st.integers(0, 3),
    length=st.integers(1, 9),
    causal=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape_and_ratio(
    batch: int, heads: int, width: int, halvings: int, length: int, causal: bool, seed: int
) -> None:
    dim, ratio = heads * width, 0.5**halvings
    if int(ratio * dim) % heads or not int(ratio * dim):
        for make in (MapAdapter, MshaAdapter):
            with pytest.raises(UserError, match="heads cannot share"):
                make(dim, heads, ratio)
        return
    attention, adapter = attention_of(dim, heads, seed).double(), MapAdapter(dim, heads, ratio)
    randomize(list(adapter.parameters()), 0.5, seed)
    adapter, rng = adapter.double(), torch.Generator().manual_seed(seed)
    states = torch.randn((batch, length, dim), generator=rng, dtype=torch.float64)
    assert [tuple(part.shape) for part in adapter(states)] == 2 * [
        (batch, heads, length, int(ratio * width))
    ]
    fused = mapped_attention(attention, adapter, states, attn_mask=None, is_causal=causal)
    torch.testing.assert_close(
        fused, explicit(attention, adapter, states, causal), rtol=1e-11, atol=1e-11
    )
    # Samples do not meet each other, and the attention without an adapter is transformers' own.
    alone = mapped_attention(attention, adapter, states[-1:], attn_mask=None, is_causal=causal)
    torch.testing.assert_close(fused[-1:], alone, rtol=1e-11, atol=1e-11)
    adapter.project.weight.data.zero_()
    adapter.project.bias.data.zero_()
    plain = mapped_attention(attention, adapter, states, attn_mask=None, is_causal=causal)
    own = attention(states, None, is_causal=causal)[0]
    torch.testing.assert_close(plain, own, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("scale", "width"), [("tower", 4), ("own", 2)])
def test_a_narrow_attention_is_the_textbook_one(scale: Literal["tower", "own"], width: int) -> None:
    """Logits are divided by the root of the width of the tower's heads (4), as published."""
    adapter = MshaAdapter(12, 3, 0.5, scale)
    randomize(list(adapter.parameters()))
    x = torch.randn(2, 5, 12)
    queries, keys, values = (
        torch.stack(part.chunk(3, dim=-1), dim=1) for part in adapter.project(x).chunk(3, dim=-1)
    )
    for causal in (False, True):
        logits = queries @ keys.mT / math.sqrt(width)
        if causal:
            logits = logits.masked_fill(torch.ones(5, 5).bool().triu(1), -math.inf)
        mixed = torch.cat((logits.softmax(-1) @ values).unbind(1), dim=-1)
        torch.testing.assert_close(adapter(x, None, causal), x + adapter.up(mixed))


def test_a_narrow_attention_starts_as_published() -> None:
    torch.manual_seed(0)
    adapter = MshaAdapter(768, 12)
    assert adapter.project.weight.std().item() == pytest.approx(0.00125, rel=0.02)
    assert not adapter.project.bias.any()
    assert not adapter.up.weight.any()


class LargestResult(TorchDispatchMode):
    """Record the element count of the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(each, Tensor):
                self.largest = max(self.largest, each.numel())
        return result


@pytest.mark.parametrize("causal", [False, True])
def test_no_map_of_attention_is_ever_built(causal: bool) -> None:
    length = 503
    bare = blocks(tiny(vision_width=8))[0]
    layer: Any = AdaptedLayer(bare, AdapterConfig((*MODULES,), ratio=0.5))
    x = torch.randn(1, length, 8, requires_grad=True)
    kept: list[int] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    )
    with LargestResult() as seen, hooks:
        layer(x, None, is_causal=causal).square().sum().backward()
    wide = length * 4 * 8  # the MLP
    assert max(kept) <= wide
    assert seen.largest <= wide < length**2
    norm = layer.layer_norm1(x)
    with LargestResult() as seen:
        explicit(layer.self_attn, layer.adapters["map_adapter"], norm, causal)
    assert seen.largest >= 2 * length**2


# Memory for time


def test_checkpointed_blocks_give_the_same_gradients() -> None:
    found, runs = [], []
    for enabled in (False, True):
        clip = tiny().train()
        added = attach_adapters(clip.network, AdapterConfig((*MODULES,), drop_path=0.5))
        randomize(added)
        clip.gradient_checkpointing(enabled)
        count = [0]
        blocks(clip, "text")[0].self_attn.q_proj.register_forward_pre_hook(
            lambda *_, count=count: count.__setitem__(0, count[0] + 1)
        )
        clip.text_in_one_pass = True
        torch.manual_seed(4)
        image, text = clip.encode_image(pictures()).pooled, clip.encode_text(TEXTS).pooled
        (image @ text.T).square().sum().backward()
        found.append([parameter.grad for parameter in added])
        runs.append(count[0])
    assert runs == [1, 2]
    for direct, again in zip(*found, strict=True):
        torch.testing.assert_close(again, direct)


# Settings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modules": ("mpl",)}, "adapters.modules"),
        ({"modules": ()}, "adapters.modules"),
        ({"towers": ("audio",)}, "adapters.towers"),
        ({"ratio": 0.0}, "adapters.ratio"),
        ({"ratio": 1.5}, "adapters.ratio"),
        ({"drop_path": 1.0}, "adapters.drop_path"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        AdapterConfig(**options)


@pytest.mark.parametrize("modules", [(module,) for module in MODULES], ids="+".join)
def test_a_ratio_that_leaves_nothing(modules: tuple[Module, ...]) -> None:
    with pytest.raises(UserError, match=r"adapters\.ratio"):
        attach_adapters(tiny().network, AdapterConfig(modules, ratio=1 / 64))


@pytest.mark.parametrize("ratio", [1 / 3, 3 / 32])
def test_a_ratio_that_heads_cannot_share(ratio: float) -> None:
    for module in ("map", "msha"):
        with pytest.raises(UserError, match="choose 1, 1/2, 1/4"):
            attach_adapters(tiny().network, AdapterConfig((module,), ratio=ratio))
    clip = tiny()
    attach_adapters(clip.network, AdapterConfig(("mlp",), ratio=ratio))  # which has no heads
    width = blocks(clip)[0].adapters["mlp_adapter"].down.out_features
    assert width == int(ratio * 32)


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_one_tower_alone(tower: Any) -> None:
    clip = tiny()
    before = embed(clip)
    randomize(attach_adapters(clip.network, AdapterConfig(towers=(tower,))))
    changed = (embed(clip.eval()) - before).abs().amax(dim=1) > 0
    assert changed.tolist() == 3 * [tower == "vision"] + 3 * [tower == "text"]


def test_adapters_are_of_the_kind_of_their_tower() -> None:
    clip = tiny().to(torch.bfloat16)
    added = attach_adapters(clip.network, AdapterConfig())
    assert {parameter.dtype for parameter in added} == {torch.bfloat16}
    assert len(added) == len(set(added)) == 4 * (4 + 4 + 2)
