"""AdamW's settings and groups."""

from __future__ import annotations

import pytest

from trifocal.composition.baselines import Finetune
from trifocal.errors import UserError
from trifocal.train.optimizer import make_optimizer, set_learning_rate
from trifocal.train.recipe import OptimizerRecipe

from .support import tiny_clip


def test_the_papers_settings_and_no_decay_for_gains_and_biases():
    method = Finetune(tiny_clip())
    optimizer = make_optimizer(method, OptimizerRecipe(lr=3e-4))
    decayed, plain = optimizer.param_groups
    for group in (decayed, plain):
        assert (group["lr"], group["betas"], group["eps"]) == (3e-4, (0.9, 0.98), 1e-6)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim >= 2 for parameter in decayed["params"])
    assert any(parameter is method.clip.network.logit_scale for parameter in plain["params"])
    grouped = len(decayed["params"]) + len(plain["params"])
    assert grouped == len(list(method.parameters()))
    set_learning_rate(optimizer, 7.0)
    assert [group["lr"] for group in optimizer.param_groups] == [7.0, 7.0]


def test_nothing_to_train():
    method = Finetune(tiny_clip())
    method.requires_grad_(False)
    with pytest.raises(UserError, match="no parameter to train"):
        make_optimizer(method, OptimizerRecipe())
