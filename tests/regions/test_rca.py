"""RCA as a method: its objectives, its learning rates, what it trains."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.regions.support import CLUES, INFERENCES, noise, tiny_clip, trained_counts
from trifocal.clip import ImageEmbedding, TextEmbedding
from trifocal.data.loader import BatchMaker, Order
from trifocal.data.regions import Region, RegionDataset, RegionItem
from trifocal.errors import UserError
from trifocal.regions import Rca, RcaConfig
from trifocal.regions.batching import Loss
from trifocal.regions.prompts import PromptConfig
from trifocal.train.optimizer import AdamWConfig, make_optimizer, set_learning_rate
from trifocal.train.recipe import Recipe, ScheduleRecipe
from trifocal.train.schedule import learning_rate
from trifocal.train.step import Stepper
from trifocal.tuning import AdapterConfig, Encoded

LOSSES: tuple[Loss, ...] = get_args(Loss)


def rca(**options: Any) -> Rca:
    torch.manual_seed(0)
    return Rca(tiny_clip(), RcaConfig(**options))


def make_batch(method: Rca, size: int = 4) -> Any:
    items = [
        RegionItem(
            f"r{i}", Region(noise((90, 60), i), ((5 + i, 8, 30, 20),)), CLUES[i % 4],
            INFERENCES[i % 4],
        )
        for i in range(size)
    ]  # fmt: skip
    maker = BatchMaker(RegionDataset(items), Order(size, size, 0), method.batching())
    return maker.make(0)


# Objectives


def cross_entropy(rows: Tensor, columns: Tensor, scale: float) -> Tensor:
    return F.cross_entropy(scale * rows @ columns.T, torch.arange(len(rows)))


def symmetric(a: Tensor, b: Tensor, scale: float = 9.0) -> Tensor:
    return (cross_entropy(a, b, scale) + cross_entropy(b, a, scale)) / 2


def unit(count: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn((count, 6), generator=rng, dtype=torch.float64), dim=1)


V, WRONG, C, H = (unit(5, seed) for seed in range(4))


def terms_of(method: Rca, images: Tensor, texts: Tensor) -> dict[str, float]:
    encoded = Encoded(ImageEmbedding(images), TextEmbedding(texts), torch.tensor(9.0).double())
    batch: Any = SimpleNamespace(size=5)
    return {name: term.item() for name, term in method.objective(encoded, batch).items()}


@pytest.mark.parametrize("loss", LOSSES)
def test_objectives_are_the_published_formulas(loss: Loss) -> None:
    images = torch.cat([V, WRONG]) if loss == "wrong_region" else V
    texts = torch.cat([H, C]) if loss in ("dual", "triple") else H
    among = cross_entropy(H, torch.cat([V, WRONG]), 9.0)
    expected = {
        "dual": {"inference": symmetric(V, H) / 2, "clue": symmetric(V, C) / 2},
        "triple": {"triple": (symmetric(V, C) + symmetric(V, H) + symmetric(C, H)) / 3},
        "wrong_region": {"wrong_region": (cross_entropy(V, H, 9.0) + among) / 2},
    }.get(loss, {loss: symmetric(V, H)})
    found = terms_of(rca(loss=loss), images, texts)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value.item(), rel=1e-9), name


def test_the_stacked_objective() -> None:
    both = torch.cat([H, C])
    found = terms_of(rca(loss="dual", stacked=True), V, both)
    inference = (cross_entropy(V, both, 9.0) + cross_entropy(H, V, 9.0)) / 4
    clue = (cross_entropy(V, torch.cat([C, H]), 9.0) + cross_entropy(C, V, 9.0)) / 4
    assert found == pytest.approx({"inference": inference.item(), "clue": clue.item()}, rel=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_goes_through_with_the_rows_where_the_objective_looks_for_them(loss: Loss) -> None:
    method = rca(loss=loss, prompt=PromptConfig(variant="r-cpt")).eval()
    batch = make_batch(method)
    with torch.no_grad():
        found = {name: term.item() for name, term in method.loss(batch).items()}
        scale = float(method.clip.logit_scale)
        pictures = method.encode_image(batch.pixels).pooled
        texts = method.encode_text(batch.sentences).pooled
    v, h, c = pictures[:4], texts[:4], texts[4:]
    assert all(s.startswith("clue ") for s in batch.sentences[4:])
    if loss in ("dual", "triple"):
        assert all(s.startswith("inference ") for s in batch.sentences[:4])
        terms = [symmetric(v, h, scale), symmetric(v, c, scale)]
        expected = sum(terms) / 2
        if loss == "triple":
            expected = (sum(terms) + symmetric(c, h, scale)) / 3
        else:
            assert found["clue"] == pytest.approx(terms[1].item() / 2, rel=1e-5)
    elif loss == "wrong_region":
        expected = (cross_entropy(v, h, scale) + cross_entropy(h, pictures, scale)) / 2
    else:
        expected = symmetric(v, h, scale)
    assert sum(found.values()) == pytest.approx(float(expected), rel=1e-5)


# Groups and learning rates


def test_groups_tell_adapters_from_pretrained_parameters() -> None:
    method = rca()
    adapters, adapter_biases, edges, plain = method.param_groups(0.3)
    named = {p: n for n, p in method.named_parameters()}
    assert [g["weight_decay"] for g in (adapters, adapter_biases, edges, plain)] == [0.3, 0, 0.3, 0]
    assert [g.get("base_lr") for g in (adapters, adapter_biases, edges, plain)] == 2 * [None] + (
        2 * [1e-5]
    )
    for group in (adapters, adapter_biases):
        assert all(".adapters." in named[p] for p in group["params"])
    assert all(named[p].endswith("bias") for p in adapter_biases["params"])
    names = {named[p] for group in (edges, plain) for p in group["params"]}
    assert not any(".layers." in name or "pre_layrnorm" in name for name in names)
    assert "clip.network.logit_scale" in names
    assert len(names) == 12
    assert trained_counts(method) == {
        "adapters": sum(p.numel() for g in (adapters, adapter_biases) for p in g["params"]),
        "pretrained": sum(p.numel() for g in (edges, plain) for p in g["params"]),
    }


def test_a_strictly_frozen_backbone_has_one_learning_rate() -> None:
    method = rca(trains="strict_frozen")
    optimizer = make_optimizer(method, AdamWConfig(lr=2e-4))
    assert {group["base_lr"] for group in optimizer.param_groups} == {2e-4}
    assert trained_counts(method)["pretrained"] == 1


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 2e-4), (250, 1.70711e-4), (500, 1e-4), (750, 2.92893e-5), (1000, 0.0)]
)
def test_both_learning_rates_follow_the_published_curve(step: int, rate: float) -> None:
    optimizer = make_optimizer(rca(), AdamWConfig(lr=2e-4))
    set_learning_rate(optimizer, lambda base: learning_rate(step, base=base, warmup=0, total=1000))
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([rate, rate, rate / 20, rate / 20], rel=1e-5, abs=1e-12)


class Plainly:
    """The part of accelerate that a step uses, in one process in single precision."""

    process_index, device, scaler = 0, torch.device("cpu"), None

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def unscale_gradients(self, optimizer: Any) -> None:
        pass

    def no_sync(self, model: Any) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()


def stepper(method: Rca, folder: Path, lr: float, total: int = 1000) -> Stepper:
    recipe = Recipe(
        name="t", output=str(folder), optimizer=AdamWConfig(lr=lr),
        schedule=ScheduleRecipe(warmup_steps=0, steps=total),
    )  # fmt: skip
    optimizer = make_optimizer(method, recipe.optimizer)
    plainly: Any = Plainly()
    return Stepper(method, method, optimizer, plainly, recipe, total=total)


def test_a_step_moves_adapters_and_edges_by_their_own_rates(tmp_path: Path) -> None:
    method = rca(augmentation=replace(RcaConfig().augmentation, flip=0.0))
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    one = stepper(method, tmp_path, 2e-4)
    values = one.gradient(250, [make_batch(method)])
    assert values["lr"] == pytest.approx(1.70711e-4, rel=1e-5)
    one.apply()
    ours: dict[str, float] = {}
    for name, parameter in method.named_parameters():
        moved = (parameter.detach() - before[name]).abs()
        if not parameter.requires_grad:
            assert not moved.any(), name
        else:
            ours[name] = float(moved.max())
    # The first step of AdamW is as large as the learning rate (and the decay, below 0.1 of it).
    for name, most in ours.items():
        rate = 1.70711e-4 if ".adapters." in name else 1.70711e-4 / 20
        assert most < 1.5 * rate, name
    assert max(most for n, most in ours.items() if ".adapters." in n) > 1.6e-4
    assert 8e-6 < max(most for n, most in ours.items() if ".adapters." not in n) < 1e-5


@pytest.mark.parametrize("trains", ["published", "strict_frozen"])
def test_the_logit_scale_stays_within_its_bounds(trains: Any, tmp_path: Path) -> None:
    """Rates of this size would throw it far to either side."""
    method = rca(trains=trains, edge_lr=5.0, loss="inference")
    scale: Tensor = method.clip.network.logit_scale
    for sign, bound in ((-1, math.log(100)), (1, 0.0)):
        one = stepper(method, tmp_path, 5.0)
        for _ in range(2):
            for parameter in method.parameters():
                parameter.grad = None
            scale.grad = torch.full_like(scale, float(sign))
            set_learning_rate(one.optimizer, lambda base: base)
            one.apply()
            assert 0 <= scale.item() <= 4.605171
        assert scale.item() == pytest.approx(bound, abs=1e-6)
    one = stepper(method, tmp_path, 5.0)
    for step in range(4):
        one.gradient(step, [make_batch(method)])
        one.apply()
        assert 0 <= scale.item() <= 4.605171


# What it learns


def test_it_learns_a_handful_of_regions(tmp_path: Path) -> None:
    method = rca(
        trains="strict_frozen", prompt=PromptConfig(variant="r-ctx"),
        augmentation=replace(RcaConfig().augmentation, flip=0.0, operations=0),
        adapters=AdapterConfig(drop_path=0.0),
    )  # fmt: skip
    one, batch = stepper(method, tmp_path, 1e-2, total=25), make_batch(method)
    losses = []
    for step in range(25):
        losses.append(one.gradient(step, [batch])["loss"])
        one.apply()
    assert losses[0] > 1.2  # four pairs at chance: ln 4
    assert losses[-1] < 0.1


@pytest.mark.parametrize("trains", ["published", "strict_frozen"])
def test_frozen_means_frozen(trains: Any) -> None:
    method = rca(trains=trains)
    frozen = {n for n, p in method.named_parameters() if not p.requires_grad}
    blocks = [n for n in frozen if ".layers." in n]
    own = [n for n, _ in method.named_parameters() if ".layers." in n and ".adapters." not in n]
    assert sorted(blocks) == sorted(own)
    torch.stack(list(method.loss(make_batch(method)).values())).sum().backward()
    assert all(p.grad is None for n, p in method.named_parameters() if n in frozen)


# Settings


def test_the_size_of_its_pictures() -> None:
    assert rca().input_size == (64, 32)
    wide = rca(prompt=PromptConfig(layout="side_by_side", size=64))
    assert wide.input_size == (64, 128)
    assert wide.clip.network.vision_model.embeddings.position_grid == (4, 8)
    assert make_batch(wide).pixels.shape[2:] == (64, 128)
    assert rca(prompt=PromptConfig(variant="plain")).input_size == (32, 32)


def test_positions_in_tiles() -> None:
    method = rca(positions="tile")
    embeddings: Any = method.clip.network.vision_model.embeddings
    assert embeddings.half_embedding.requires_grad
    assert any(p is embeddings.half_embedding for p in method.added)
    # One slot has no halves.
    plain = rca(positions="tile", prompt=PromptConfig(variant="plain", size=64))
    assert plain.clip.network.vision_model.embeddings.position_grid == (4, 4)
    assert make_batch(plain).pixels.shape[2:] == (64, 64)
    plain.loss(make_batch(plain))


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(UserError, match="'separate' is for models that are not trained"):
        rca(prompt=PromptConfig(layout="separate"))
    with pytest.raises(UserError, match=r"prompt\.size 40 is not a multiple .* 16"):
        rca(prompt=PromptConfig(size=40))
