"""The optimizer over a method's parameter groups: AdamW, SGD, or Muon with AdamW beside it.

Which parameters are decayed is the method's to say (`trifocal.tuning.decay_groups` is the rule of
the CLIP family); here the groups become an optimizer, in its fused form where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from trifocal.errors import UserError
from trifocal.train.recipe import OptimizerRecipe
from trifocal.tuning.groups import hidden_matrices

Groups = list[dict[str, Any]]


class HasGroups(Protocol):
    """A method, as far as its optimizer is concerned."""

    def param_groups(self, weight_decay: float) -> Groups: ...

    def named_parameters(self) -> Any: ...


def make_optimizer(method: HasGroups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over `method.param_groups(recipe.weight_decay)`.

    Each group's `base_lr` is what the schedule is applied to: its own, or the recipe's.

    Raises:
        UserError: the method trains nothing, or Muon has no matrix to train.
    """
    groups = [group for group in method.param_groups(recipe.weight_decay) if group["params"]]
    if not groups:
        raise UserError("the method has no parameter to train; check its tuning option.")
    groups = [{"base_lr": recipe.lr, **group} for group in groups]
    if recipe.name == "adamw":
        return _adamw(groups, recipe)
    if recipe.name == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
    hidden = {id(matrix) for matrix in hidden_matrices(method.named_parameters())}
    matrices = _only(groups, lambda parameter: id(parameter) in hidden)
    if not matrices:
        raise UserError(
            "muon trains matrices of the towers, but none is; use AdamW (optimizer.name adamw)."
        )
    return MuonWithAdamW(
        torch.optim.Muon(matrices, lr=recipe.lr, adjust_lr_fn="match_rms_adamw"),
        _adamw(_only(groups, lambda parameter: id(parameter) not in hidden), recipe),
    )


def _adamw(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.AdamW:
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, fused=fused)


def _only(groups: Groups, wanted: Callable[[torch.nn.Parameter], bool]) -> Groups:
    """Return the groups with the wanted parameters alone, empty ones left out."""
    kept = [{**group, "params": list(filter(wanted, group["params"]))} for group in groups]
    return [group for group in kept if group["params"]]


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the towers' hidden matrices and AdamW for the rest, seen as one optimizer.

    Muon orthogonalizes the momentum of a matrix (Jordan et al. 2024); scaled to the size of
    AdamW's updates (Liu et al. 2025, arXiv 2502.16982, §2.2), both go by one learning rate.
    """

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        self._muon, self._adamw = muon, adamw
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a loaded state, for both parts."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Let both parts work on this object's groups and state, so that there is one of each."""
        first = len(self._muon.param_groups)
        self._muon.param_groups = self.param_groups[:first]
        self._adamw.param_groups = self.param_groups[first:]
        self._muon.state = self._adamw.state = self.state

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step of both; `closure` is not used."""
        self._muon.step()
        self._adamw.step()


def set_learning_rate(optimizer: torch.optim.Optimizer, schedule: Callable[[float], float]) -> None:
    """Give every group what `schedule` makes of its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = schedule(group["base_lr"])
