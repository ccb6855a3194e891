"""AdamW over a method's parameter groups.

Which parameters are decayed is the method's to say (`trifocal.tuning.decay_groups` is the rule of
the CLIP family); here the groups become an optimizer, in its fused form where there is one.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch

from trifocal.errors import UserError
from trifocal.train.recipe import OptimizerRecipe


class HasGroups(Protocol):
    """A method, as far as its optimizer is concerned."""

    def param_groups(self, weight_decay: float) -> list[dict[str, Any]]: ...


def make_optimizer(method: HasGroups, recipe: OptimizerRecipe) -> torch.optim.AdamW:
    """Return AdamW over `method.param_groups(recipe.weight_decay)`.

    Raises:
        UserError: the method trains nothing.
    """
    groups = [group for group in method.param_groups(recipe.weight_decay) if group["params"]]
    parameters = [parameter for group in groups for parameter in group["params"]]
    if not parameters:
        raise UserError("the method has no parameter to train; check its tuning option.")
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Give every group the learning rate `value`."""
    for group in optimizer.param_groups:
        group["lr"] = value
