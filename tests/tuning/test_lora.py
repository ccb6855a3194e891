"""LoRA through peft: exact at step 0, the specification's numbers, merging."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import torch
from torch import nn
from transformers import CLIPModel

from trifocal.clip import SHAPES, Clip, ClipShape, build_clip, train_tokenizer
from trifocal.errors import UserError
from trifocal.tuning import LoraConfig, apply_lora, merge_lora
from trifocal.tuning.lora import ConvFactors


def wave(shape: tuple[int, ...], a: float, b: float) -> torch.Tensor:
    """Return sin(a n + b) over the row-major index n."""
    count = int(torch.tensor(shape).prod())
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + b).reshape(shape).float()


class OneLayer(nn.Module):
    """A network whose only layer has the name that LoRA looks for."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 2)
        with torch.no_grad():
            self.fc1.weight.copy_(wave((2, 3), 0.5, 0.0))
            self.fc1.bias.copy_(torch.tensor([0.1, -0.2]))


@pytest.fixture
def tuned() -> OneLayer:
    network = OneLayer()
    apply_lora(network, LoraConfig(rank=2, alpha=1.0))
    layer = network.fc1
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(wave((2, 3), 0.8, 0.3))
        layer.lora_B["default"].weight.copy_(wave((2, 2), 1.3, 0.6))
    return network


INPUT = torch.tensor([1.0, 2.0, -1.0])


def test_known_values_attached_and_merged(tuned: OneLayer) -> None:
    """Base, adapted and truly interpolated outputs of the known case."""
    base = OneLayer().fc1(INPUT)
    torch.testing.assert_close(base, torch.tensor([0.217380, 2.017618]), atol=1e-5, rtol=0)
    attached = tuned.fc1(INPUT)
    torch.testing.assert_close(attached, torch.tensor([0.840617, 1.670812]), atol=1e-5, rtol=0)
    merged = merge_lora(tuned).fc1
    assert type(merged) is nn.Linear
    torch.testing.assert_close(merged(INPUT), attached, atol=1e-6, rtol=0)


def test_halfway_scales_the_update_and_not_both_factors(tuned: OneLayer) -> None:
    base, merged = OneLayer().fc1, merge_lora(tuned).fc1
    weight = torch.lerp(base.weight, merged.weight, 0.5)
    halfway = nn.functional.linear(INPUT, weight, base.bias)
    torch.testing.assert_close(halfway, torch.tensor([0.528999, 1.844215]), atol=1e-5, rtol=0)
    squared = torch.tensor([0.373189, 1.930916])  # what scaling both factors would give
    assert (halfway - squared).abs().max() > 0.05


@pytest.mark.parametrize("patches", [False, True])
def test_a_clip_is_unchanged_at_step_zero_and_only_factors_train(patches: bool) -> None:
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=32, vision_layers=2, vision_heads=2,
        text_width=32, text_layers=2, text_heads=2, embed_dim=16, context_length=32,
    )  # fmt: skip
    clip = build_clip(shape, train_tokenizer(["a red ball"], 520, context_length=32))
    plain = copy.deepcopy(clip)
    apply_lora(clip.network, LoraConfig(rank=4, patch_embedding=patches))
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before, after = plain.encode_image(pixels).pooled, clip.encode_image(pixels).pooled
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    trained = {name for name, p in clip.network.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    layers = {name.split(".lora_")[0].rpartition(".")[2] for name in trained}
    wanted = {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}
    assert layers == (wanted | {"patch_embedding"} if patches else wanted)
    merge_lora(clip.network)
    assert clip.network.state_dict().keys() == plain.network.state_dict().keys()


def test_the_rank_stabilized_scaling() -> None:
    """CLIP-LoRA's rank 2 and alpha 1 act as 1/sqrt(2), not as 1/2."""
    updates = []
    for stabilized in (False, True):
        network = OneLayer()
        apply_lora(network, LoraConfig(rank=2, rank_stabilized=stabilized))
        layer = network.fc1
        with torch.no_grad():
            layer.lora_A["default"].weight.copy_(wave((2, 3), 0.8, 0.3))
            layer.lora_B["default"].weight.copy_(wave((2, 2), 1.3, 0.6))
        updates.append(merge_lora(network).fc1.weight - OneLayer().fc1.weight)
    product = wave((2, 2), 1.3, 0.6) @ wave((2, 3), 0.8, 0.3)
    torch.testing.assert_close(updates[0], product / 2)
    torch.testing.assert_close(updates[1], product * 0.70710678)


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_one_tower_alone(tower: Literal["vision", "text"]) -> None:
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=32, vision_layers=2, vision_heads=2,
        text_width=32, text_layers=3, text_heads=2, embed_dim=16, context_length=32,
    )  # fmt: skip
    clip = build_clip(shape, train_tokenizer(["a red ball"], 520, context_length=32))
    apply_lora(clip.network, LoraConfig(targets=("q_proj", "v_proj"), towers=(tower,)))
    trained = [name for name, p in clip.network.named_parameters() if p.requires_grad]
    assert all(name.startswith(f"{tower}_model.") for name in trained)
    assert len(trained) == 2 * 2 * {"vision": 2, "text": 3}[tower]


def tiny(layout: Literal["separate", "published"]) -> Clip:
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=32, vision_layers=2, vision_heads=2,
        text_width=32, text_layers=2, text_heads=2, embed_dim=16, context_length=32,
    )  # fmt: skip
    clip = build_clip(shape, train_tokenizer(["a red ball"], 520, context_length=32))
    apply_lora(clip.network, LoraConfig(layout=layout))
    return clip


def test_the_published_convolution() -> None:
    """loralib's form, written out: the update is scaling (B A), read as the kernel."""
    base = nn.Conv2d(2, 3, 2, stride=2)
    layer = ConvFactors(base, rank=2, scaling=0.5)
    assert layer.lora_A.shape == (4, 4)
    assert layer.lora_B.shape == (6, 4)
    pixels = wave((1, 2, 4, 4), 0.7, 0.2)
    torch.testing.assert_close(layer(pixels), base(pixels), rtol=0, atol=0)
    with torch.no_grad():
        layer.lora_A.copy_(wave((4, 4), 0.9, 0.1))
        layer.lora_B.copy_(wave((6, 4), 1.1, 0.4))
    kernel = base.weight.clone()
    update = layer.lora_B @ layer.lora_A
    for out in range(3):
        for into in range(2):
            for row in range(2):
                for column in range(2):
                    flat = ((out * 2 + into) * 2 + row) * 2 + column
                    kernel[out, into, row, column] += 0.5 * update.reshape(-1)[flat]
    wanted = nn.functional.conv2d(pixels, kernel, base.bias, stride=2)
    torch.testing.assert_close(layer(pixels), wanted)


def test_the_published_layout_trains_as_many_numbers_as_theirs() -> None:
    with torch.device("meta"):
        network = CLIPModel(SHAPES["ViT-B-32"].config())
    apply_lora(network, LoraConfig(layout="published"))
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert trained == 4_141_056


def test_the_separate_layout_is_smaller() -> None:
    with torch.device("meta"):
        network = CLIPModel(SHAPES["ViT-B-32"].config())
    apply_lora(network, LoraConfig())
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 1_105_920


def test_the_published_layout_starts_at_zero_and_merges() -> None:
    clip = tiny("published")
    plain = copy.deepcopy(clip)
    merge_lora(plain.network)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            clip.encode_image(pixels).pooled, plain.encode_image(pixels).pooled, rtol=0, atol=0
        )
        for name, parameter in clip.network.named_parameters():
            if parameter.requires_grad:
                parameter.add_(wave(tuple(parameter.shape), 0.3, len(name)), alpha=0.1)
        attached = clip.encode_image(pixels).pooled, clip.encode_text(["a red ball"]).pooled
        merge_lora(clip.network)
        merged = clip.encode_image(pixels).pooled, clip.encode_text(["a red ball"]).pooled
        moved = (merged[0] - plain.encode_image(pixels).pooled).abs().max()
    torch.testing.assert_close(merged, attached)
    assert moved > 1e-3
    assert clip.network.state_dict().keys() == plain.network.state_dict().keys()


def test_the_published_layout_has_no_other_targets() -> None:
    with pytest.raises(UserError, match=r"leave lora\.targets"):
        LoraConfig(layout="published", targets=("fc1",))


def test_slips() -> None:
    with pytest.raises(UserError, match=r"lora\.towers is \['sound'\]; name vision, text"):
        LoraConfig(towers=("sound",))  # pyright: ignore[reportArgumentType]
