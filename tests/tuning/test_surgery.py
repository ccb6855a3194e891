"""Surgery: exactly what is meant to be trained is, and the published counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.regions.support import trained_counts
from trifocal.clip import SHAPES, Clip, ClipShape, build_clip, towers, train_tokenizer
from trifocal.clip.preprocess import Preprocess
from trifocal.errors import UserError
from trifocal.regions import (
    Rca,
    RcaConfig,
    RegionEdges,
    RegionFinetune,
    RegionLora,
    RegionLoraConfig,
)
from trifocal.regions.prompts import PromptConfig
from trifocal.tuning import (
    AdapterConfig,
    ContextConfig,
    DeepPromptConfig,
    LoraConfig,
    PositionConfig,
    Surgery,
    TunedClip,
    operate,
)
from trifocal.tuning.adapters import AdaptedLayer, Module, Tower
from trifocal.tuning.deep_prompts import PromptedLayer, attach_deep_prompts
from trifocal.tuning.surgery import merge

TEXTS = ["a red ball", "two small cats"]
SHAPE = ClipShape(
    image_size=32, patch_size=8, vision_width=32, vision_layers=2, vision_heads=2,
    text_width=24, text_layers=3, text_heads=2, embed_dim=16, context_length=32,
)  # fmt: skip
# RCA's pass group: everything in front of the blocks and behind them, but the first norm.
EDGES = {
    "vision_model.embeddings.class_embedding",
    "vision_model.embeddings.patch_embedding.weight",
    "vision_model.embeddings.position_embedding.weight",
    "vision_model.post_layernorm.weight",
    "vision_model.post_layernorm.bias",
    "visual_projection.weight",
    "text_model.embeddings.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight",
    "text_model.final_layer_norm.weight",
    "text_model.final_layer_norm.bias",
    "text_projection.weight",
    "logit_scale",
}
ATTACHMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "lora": ({"lora": LoraConfig(rank=2)}, ".lora_"),
    "adapters": ({"adapters": AdapterConfig(("mlp", "attention", "map", "msha"))}, ".adapters."),
    "prompts": ({"prompts": DeepPromptConfig(3, ("vision", "text"))}, ".prompts"),
    "context": ({"context": ContextConfig(3)}, ".context."),
}


def tiny() -> Clip:
    return build_clip(SHAPE, train_tokenizer(TEXTS, 540, context_length=32))


def expected_of(trained: str, names: set[str]) -> set[str]:
    text = {name for name in names if name.startswith(("text_model", "text_projection"))}
    choices = {
        "all": names, "text": text | {"logit_scale"}, "edges": EDGES, "scale": {"logit_scale"},
        "none": set(),
    }  # fmt: skip
    return choices[trained]


# What is trained


@pytest.mark.parametrize("trained", ["all", "text", "edges", "scale", "none"])
@pytest.mark.parametrize("attachment", ATTACHMENTS)
@pytest.mark.parametrize("stretched", [False, True])
def test_exactly_what_is_meant_is_trained(trained: Any, attachment: str, stretched: bool) -> None:
    network = tiny().network
    pretrained = {name for name, _ in network.named_parameters()}
    attached, mark = ATTACHMENTS[attachment]
    positions = PositionConfig(8, 4) if stretched else None
    added = operate(network, Surgery(trained, positions=positions, **attached))
    named = dict(network.named_parameters())
    new = {name for name in named if mark and mark in name}
    # Low-rank updates keep a layer's own weights one level down.
    old = {name: name.replace(".base_layer.", ".") for name in named if name not in new}
    assert set(old.values()) == pretrained
    assert bool(new) == (attachment != "nothing")
    requiring = {name for name, parameter in named.items() if parameter.requires_grad}
    assert requiring & new == new
    assert {old[name] for name in requiring - new} == expected_of(trained, pretrained)
    assert len(added) == len(new)
    assert set(added) == {named[name] for name in new}


@pytest.mark.parametrize("trained", ["all", "edges", "scale", "none"])
def test_the_embedding_of_the_halves_is_new_and_trained(trained: Any) -> None:
    network = tiny().network
    added = operate(network, Surgery(trained, positions=PositionConfig(8, 4, "tile")))
    (half,) = added
    assert half is network.vision_model.embeddings.half_embedding
    assert half.requires_grad
    table = network.vision_model.embeddings.position_embedding.weight
    assert table.requires_grad == (trained in ("all", "edges"))


def test_strictly_frozen_rca_trains_adapters_and_the_scale() -> None:
    method = Rca(tiny(), RcaConfig(trains="strict_frozen"))
    names = {name for name, p in method.clip.network.named_parameters() if p.requires_grad}
    assert "logit_scale" in names
    assert all(".adapters." in name for name in names - {"logit_scale"})
    assert not hasattr(method.clip.network.vision_model.embeddings, "position_grid")


def test_a_wrong_word_and_two_attachments_at_once() -> None:
    with pytest.raises(UserError, match="trained is 'image'; it must be one of all, text, edges"):
        Surgery("image")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="choose one"):
        Surgery(adapters=AdapterConfig(), prompts=DeepPromptConfig())
    with pytest.raises(UserError, match=r"prompts\.tokens"):
        DeepPromptConfig(0)
    with pytest.raises(UserError, match=r"lora\.targets"):
        LoraConfig(targets=("q_project",))


def test_plain_is_what_needs_no_base_beside_it() -> None:
    assert Surgery("edges").is_plain
    options: dict[str, Any]
    for options in (
        {"positions": PositionConfig(8, 4)},
        *(a for a, _ in ATTACHMENTS.values() if a),
    ):
        assert not Surgery(**options).is_plain


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("attachment", ["adapters", "prompts", "context"])
def test_what_is_attached_is_in_the_mode_of_its_tower(training: bool, attachment: str) -> None:
    network = tiny().network.train(training)
    operate(network, Surgery("none", **ATTACHMENTS[attachment][0]))
    assert {part.training for part in network.modules()} == {training}


def test_only_low_rank_updates_are_folded_in() -> None:
    clip = tiny()
    keys = set(clip.network.state_dict())
    surgery = Surgery("none", lora=LoraConfig(rank=2))
    operate(clip.network, surgery)
    merge(clip.network, surgery)
    assert set(clip.network.state_dict()) == keys
    surgery = Surgery("none", adapters=AdapterConfig())
    operate(clip.network, surgery)
    merge(clip.network, surgery)
    assert isinstance(clip.network.vision_model.encoder.layers[0], AdaptedLayer)


# The published counts


@pytest.fixture
def no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights without values have none."""
    monkeypatch.setattr(Clip, "fingerprint", lambda self: "")


def meta_clip(name: str) -> Clip:
    """Return a CLIP of full size whose weights take no memory."""
    shape = SHAPES[name]
    tokenizer = train_tokenizer(TEXTS, 540)
    with torch.device("meta"):
        size = (shape.image_size, shape.image_size)
        return Clip.from_config(shape.config(), tokenizer, Preprocess(size=size))


def trained_total(method: TunedClip) -> int:
    return sum(p.numel() for p in method.parameters() if p.requires_grad)


def adapter_config(
    modules: tuple[Module, ...] = ("mlp", "attention", "map"),
    ratio: float = 0.25,
    towers: tuple[Tower, ...] = ("vision", "text"),
) -> AdapterConfig:
    return AdapterConfig(modules, ratio, towers)


PASS_B16, PASS_L14 = 26_886_657, 41_168_129
COUNTS: list[tuple[int, AdapterConfig, int]] = [
    (42_268_161, adapter_config(), 15_381_504),
    (32_017_665, adapter_config(("mlp",)), 5_131_008),
    (32_017_665, adapter_config(("attention",)), 5_131_008),
    (32_006_145, adapter_config(("map",)), 5_119_488),
    (37_137_153, adapter_config(("mlp", "map")), 10_250_496),
    (37_137_153, adapter_config(("attention", "map")), 10_250_496),
    (37_148_673, adapter_config(("mlp", "attention")), 10_262_016),
    (47_399_169, adapter_config(("mlp", "attention", "msha")), 20_512_512),
    (42_268_161, adapter_config(("mlp", "msha")), 15_381_504),
    (88_320_513, adapter_config(ratio=1), 61_433_856),
    (57_618_945, adapter_config(ratio=1 / 2), 30_732_288),
    (34_592_769, adapter_config(ratio=1 / 8), 7_706_112),
    (30_755_073, adapter_config(ratio=1 / 16), 3_868_416),
    (28_836_225, adapter_config(ratio=1 / 32), 1_949_568),
    (37_531_137, adapter_config(towers=("vision",)), 10_644_480),
    (31_623_681, adapter_config(towers=("text",)), 4_737_024),
]


@pytest.mark.usefixtures("no_fingerprint")
@pytest.mark.parametrize(("total", "adapters", "new"), COUNTS)
def test_published_counts_of_vit_b_16(total: int, adapters: AdapterConfig, new: int) -> None:
    method = Rca(meta_clip("ViT-B-16"), RcaConfig(adapters=adapters))
    assert trained_counts(method) == {"adapters": new, "pretrained": PASS_B16}
    assert trained_total(method) == total == new + PASS_B16


@pytest.mark.usefixtures("no_fingerprint")
def test_published_counts_of_other_inputs_and_models() -> None:
    small = RcaConfig(prompt=PromptConfig(size=112))
    assert trained_total(Rca(meta_clip("ViT-B-16"), small)) == 42_042_369
    frozen = Rca(meta_clip("ViT-B-16"), RcaConfig(trains="strict_frozen"))
    assert trained_counts(frozen) == {"adapters": 15_381_504, "pretrained": 1}
    assert trained_total(frozen) == 15_381_505
    large = Rca(meta_clip("ViT-L-14-336"), RcaConfig())
    assert trained_counts(large) == {"adapters": 48_466_944, "pretrained": PASS_L14}
    assert trained_total(large) == 89_635_073
    for tower, count in (("vision", 37_822_464), ("text", 10_644_480)):
        named = large.clip.network.named_parameters()
        assert (
            sum(p.numel() for n, p in named if f"{tower}_model" in n and "adapters" in n) == count
        )


@pytest.mark.usefixtures("no_fingerprint")
def test_counts_of_a_block() -> None:
    method = Rca(meta_clip("ViT-B-16"), RcaConfig())
    layers = (method.clip.network.vision_model.encoder, method.clip.network.text_model.encoder)
    for encoder, bottleneck, mapped in zip(layers, (295_872, 131_712), (295_296, 131_328)):
        adapters: Any = encoder.layers[5].adapters
        sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in adapters.items()}
        assert sizes == {
            "mlp_adapter": bottleneck, "attention_adapter": bottleneck, "map_adapter": mapped,
        }  # fmt: skip


@pytest.mark.usefixtures("no_fingerprint")
def test_published_counts_of_the_baselines() -> None:
    assert trained_total(RegionFinetune(meta_clip("ViT-B-16"))) == 149_771_265
    assert trained_total(TunedClip(meta_clip("ViT-B-16"))) == 149_620_737
    assert trained_total(RegionFinetune(meta_clip("ViT-L-14-336"))) == 428_534_017
    assert trained_total(RegionEdges(meta_clip("ViT-B-16"))) == PASS_B16
    for rank, count in ((4, 368_640), (8, 737_280)):
        lora = LoraConfig(rank=rank, targets=("q_proj", "k_proj", "v_proj"))
        method = RegionLora(meta_clip("ViT-B-16"), RegionLoraConfig(lora=lora))
        assert sum(p.numel() for p in method.added) == count
        assert trained_total(method) == count + PASS_B16
    assert RegionLoraConfig().lora == lora


@pytest.mark.usefixtures("no_fingerprint")
def test_biases_of_adapters_are_not_decayed() -> None:
    method = Rca(meta_clip("ViT-B-16"), RcaConfig())
    new = set(method.added)
    decayed, plain = (
        [group for group in method.param_groups(0.1) if group["weight_decay"] == decay]
        for decay in (0.1, 0.0)
    )
    for groups, count in ((decayed, 15_335_424), (plain, 46_080)):
        found = [group for group in groups if set(group["params"]) <= new]
        assert len(found) == 1
        assert sum(p.numel() for p in found[0]["params"]) == count


# Deep prompts


def test_deep_prompts_are_k_times_d_a_block() -> None:
    clip = tiny()
    before = [clip.encode_image(torch.zeros(2, 3, 32, 32), patches=True).patches]
    config = DeepPromptConfig(5, ("vision", "text"))
    added = attach_deep_prompts(clip.network, config)
    assert [tuple(p.shape) for p in added] == 2 * [(5, 32)] + 3 * [(5, 24)]
    after = clip.encode_image(torch.zeros(2, 3, 32, 32), patches=True)
    assert before[0] is not None
    assert after.patches is not None
    assert after.patches.shape == before[0].shape
    assert clip.encode_text(TEXTS).pooled.shape == (2, 16)
    assert sum(p.numel() for p in added) == 5 * (32 * 2 + 24 * 3)


def test_a_prompted_block_is_the_block_on_more_tokens() -> None:
    layer = tiny().network.vision_model.encoder.layers[0]
    prompted = PromptedLayer(layer, 3)
    x = torch.randn(2, 7, 32)
    longer = torch.cat([x[:, :1], prompted.prompts.expand(2, -1, -1), x[:, 1:]], dim=1)
    expected: Any = layer(longer, None)
    torch.testing.assert_close(prompted(x), torch.cat([expected[:, :1], expected[:, 4:]], dim=1))
    assert (prompted(x) - layer(x, None)).abs().max() > 1e-4


def test_text_with_deep_prompts_stays_causal_and_sees_them() -> None:
    clip = tiny().double()
    (first, *_) = attach_deep_prompts(clip.network, DeepPromptConfig(4, ("text",)))
    ids = clip.tokenize(TEXTS[1:]).ids
    end = ids.shape[1]
    padded = nn.functional.pad(ids, (0, 6), value=3)

    def states(ids: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return towers.text_states(clip.network, ids)

    plain = states(ids)
    assert (states(padded)[:, :end] - plain).abs().max() <= 1e-12
    later = ids.clone()
    later[:, 3:] = 9
    assert (states(later)[:, :3] - plain[:, :3]).abs().max() <= 1e-12
    assert (states(later)[:, 3:] - plain[:, 3:]).abs().max() > 1e-3
    nn.init.normal_(first)
    moved = (states(ids) - plain).abs().amax(dim=-1)[0]
    assert moved[0] <= 1e-12  # the start of text stands before them
    assert (moved[1:] > 1e-4).all()


def test_deep_prompts_want_a_fused_attention() -> None:
    clip = tiny()
    attach_deep_prompts(clip.network, DeepPromptConfig(4, ("text",)))
    for config in (clip.network.config, clip.network.text_model.config):
        config._attn_implementation = "eager"
    with pytest.raises(UserError, match="sdpa"):
        clip.encode_text(TEXTS)
