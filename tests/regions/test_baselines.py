"""What RCA is compared with: what each trains, and that it learns on the same prompts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.regions.support import tiny_clip
from trifocal.regions import RegionEdges, RegionFinetune, RegionLora, RegionPrompts
from trifocal.regions.baselines import RegionFinetuneConfig, RegionLoraConfig, RegionPromptsConfig
from trifocal.regions.encoder import CONVENTION
from trifocal.regions.prompts import PromptConfig
from trifocal.regions.registry import METHODS
from trifocal.train.optimizer import AdamWConfig, make_optimizer
from trifocal.tuning import DeepPromptConfig, LoraConfig
from trifocal.tuning.groups import edge_parameters


def make(name: str, **options: Any) -> Any:
    config, method = METHODS[name]
    return method(tiny_clip(), config(**options))


def trained(method: nn.Module) -> set[Tensor]:
    return {parameter for parameter in method.parameters() if parameter.requires_grad}


PIXELS = torch.randint(
    0, 256, (2, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def test_full_fine_tuning_trains_everything_on_a_table_of_its_own() -> None:
    method = make("region_finetune")
    assert isinstance(method, RegionFinetune)
    assert trained(method) == set(method.parameters())
    table = method.clip.network.vision_model.embeddings.position_embedding.weight
    assert len(table) == 1 + 4 * 2
    assert method.added == []


def test_training_the_edges_trains_what_rca_trains_beside_its_adapters() -> None:
    method, rca = make("region_edges"), make("rca")
    assert isinstance(method, RegionEdges)
    assert trained(method) == set(edge_parameters(method.clip.network))
    names = {n for n, p in method.named_parameters() if p.requires_grad}
    theirs = {n for n, p in rca.named_parameters() if p.requires_grad and ".adapters." not in n}
    assert names == theirs
    optimizer = make_optimizer(method, AdamWConfig(lr=3e-4))
    assert {group["base_lr"] for group in optimizer.param_groups} == {3e-4}  # the recipe's alone


@pytest.mark.parametrize("pretrained", ["edges", "scale"])
def test_low_rank_updates_and_prompts_choose_what_is_trained_beside_them(pretrained: Any) -> None:
    for name, count in (
        ("region_lora", 2 * (2 + 2) * 3 * 8 * 32),  # both factors of q, k and v in four blocks
        ("region_prompts", 2 * 10 * 32),  # ten tokens in two blocks of the image tower
    ):
        method = make(name, pretrained=pretrained)
        new = set(method.added)
        assert sum(p.numel() for p in new) == count
        network = method.clip.network
        edges = set(edge_parameters(network)) if pretrained == "edges" else {network.logit_scale}
        assert trained(method) == new | edges
        stretched = hasattr(network.vision_model.embeddings, "position_grid")
        assert stretched == (pretrained == "edges")


def test_prompts_and_updates_go_where_they_are_told() -> None:
    lora = make("region_lora", lora=LoraConfig(rank=2, targets=("fc1",)))
    assert isinstance(lora, RegionLora)
    names = {n for n, p in lora.named_parameters() if p in set(lora.added)}
    assert names
    assert all(".fc1." in name for name in names)
    prompts = make("region_prompts", prompts=DeepPromptConfig(3, ("text",)))
    assert isinstance(prompts, RegionPrompts)
    names = {n for n, p in prompts.named_parameters() if p in set(prompts.added)}
    assert names == {f"clip.network.text_model.encoder.layers.{i}.prompts" for i in (0, 1)}


def test_the_papers_settings() -> None:
    assert RegionLoraConfig().lora.targets == ("q_proj", "k_proj", "v_proj")
    assert RegionPromptsConfig().prompts.towers == ("vision",)
    assert RegionFinetuneConfig().loss == "dual"
    assert {config().prompt for config, _ in METHODS.values()} == {PromptConfig()}


@pytest.mark.parametrize("name", METHODS)
def test_all_read_regions_and_say_how(name: str) -> None:
    method = make(name, prompt=PromptConfig(variant="cpt", boxes="largest"))
    assert method.samples == "regions"
    assert method.clip.conventions[CONVENTION]["variant"] == "cpt"
    assert method.clip.conventions[CONVENTION]["boxes"] == "largest"
    assert method.input_size == (64, 32)
    assert method.batching().prompt == method.config.prompt


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in METHODS if name != "region_prompts"),
        ("region_lora", {"pretrained": "scale"}),
        ("rca", {"trains": "strict_frozen"}),
    ],
)
def test_before_training_a_stacked_picture_is_seen_as_by_the_base(
    name: str, options: dict[str, Any]
) -> None:
    """The stretched table is what the tower makes of its own for such a picture."""
    method = make(name, **options).eval()
    with torch.no_grad():
        ours, base = method.encode_image(PIXELS).pooled, tiny_clip().encode_image(PIXELS).pooled
    assert torch.equal(ours, base)
