"""Settings and groups of AdamW, and of Muon with AdamW beside it."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.train.support import tiny_clip
from trifocal.composition.baselines import Finetune
from trifocal.errors import UserError
from trifocal.train.optimizer import (
    AdamWConfig,
    MuonConfig,
    MuonWithAdamW,
    SgdConfig,
    make_optimizer,
    set_learning_rate,
)


def test_the_papers_settings_and_no_decay_for_gains_and_biases():
    method = Finetune(tiny_clip())
    optimizer = make_optimizer(method, AdamWConfig(lr=3e-4))
    decayed, plain = optimizer.param_groups
    for group in (decayed, plain):
        assert (group["lr"], group["betas"], group["eps"]) == (3e-4, (0.9, 0.98), 1e-6)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim >= 2 for parameter in decayed["params"])
    assert any(parameter is method.clip.network.logit_scale for parameter in plain["params"])
    grouped = len(decayed["params"]) + len(plain["params"])
    assert grouped == len(list(method.parameters()))
    set_learning_rate(optimizer, lambda base: 7.0)
    assert [group["lr"] for group in optimizer.param_groups] == [7.0, 7.0]


def test_nothing_to_train():
    method = Finetune(tiny_clip())
    method.requires_grad_(False)
    with pytest.raises(UserError, match="no parameter to train"):
        make_optimizer(method, AdamWConfig())


def test_sgd_with_momentum():
    method = Finetune(tiny_clip())
    optimizer = make_optimizer(method, SgdConfig(lr=2e-3, weight_decay=5e-4))
    assert isinstance(optimizer, torch.optim.SGD)
    decayed, plain = optimizer.param_groups
    assert (decayed["momentum"], decayed["weight_decay"]) == (0.9, 5e-4)
    assert plain["weight_decay"] == 0


def _muon(seed: int = 0) -> tuple[Finetune, torch.optim.Optimizer]:
    method = Finetune(tiny_clip(seed))
    return method, make_optimizer(method, MuonConfig(lr=1e-2))


def _give_gradients(method: torch.nn.Module, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    for parameter in method.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draws)


def test_muon_takes_the_towers_matrices_and_adamw_the_rest():
    method, optimizer = _muon()
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    hidden = {names[id(p)] for p in optimizer.param_groups[0]["params"]}
    assert all(".layers." in name and name.endswith(".weight") for name in hidden)
    blocks = 4  # two a tower, each with four matrices of attention and two of the MLP
    assert len(hidden) == 6 * blocks
    rest = [names[id(p)] for group in optimizer.param_groups[1:] for p in group["params"]]
    assert sorted([*hidden, *rest]) == sorted(names.values())


def test_both_parts_are_stepped_by_the_size_of_the_learning_rate():
    method, optimizer = _muon()
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    set_learning_rate(optimizer, lambda base: 1e-3)
    _give_gradients(method, 0)
    optimizer.step()
    for name, parameter in method.named_parameters():
        moved = (parameter - before[name]).detach().square().mean().sqrt()
        # 0.2 is the usual size of AdamW's updates (its first is 1), which Muon's are scaled to.
        assert 1e-4 < moved < 1.1e-3, name


def test_a_loaded_state_goes_on_as_if_never_saved():
    method, optimizer = _muon()
    other, resumed = _muon(seed=1)
    for seed in range(2):
        _give_gradients(method, seed)
        optimizer.step()
    other.load_state_dict(method.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for trained, by in ((method, optimizer), (other, resumed)):
        _give_gradients(trained, 7)
        by.step()
    for first, second in zip(method.parameters(), other.parameters()):
        assert torch.equal(first, second)


def test_muon_without_a_matrix_to_train():
    method = Finetune(tiny_clip())
    for name, parameter in method.named_parameters():
        parameter.requires_grad_(".layers." not in name)
    with pytest.raises(UserError, match="use AdamW"):
        make_optimizer(method, MuonConfig())


def test_muon_learns():
    method, optimizer = _muon()
    assert isinstance(optimizer, MuonWithAdamW)
    pixels = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    goal = torch.eye(8)

    def miss() -> torch.Tensor:
        return (method.clip.encode_image(pixels).pooled - goal).square().mean()

    first = float(miss().detach())
    for _ in range(20):
        optimizer.zero_grad()
        miss().backward()
        optimizer.step()
    assert float(miss().detach()) < 0.3 * first
