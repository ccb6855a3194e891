"""The optimizer over a method's parameter groups: AdamW, Muon with AdamW beside it, or SGD.

Which parameters are decayed is the method's to say (`trifocal.tuning.decay_groups` is the rule of
the CLIP family); here the groups become an optimizer, in its fused form where there is one. The
defaults are those of FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from trifocal import config
from trifocal.errors import UserError
from trifocal.tuning.groups import hidden_matrices
from trifocal.tuning.method import Method

Groups = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _Rates:
    """What every optimizer has."""

    name: str  # which optimizer
    lr: float = 5e-6  # the learning rate after warm-up
    # Decoupled (but for SGD); of matrices only, not of biases, gains and the logit scale.
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        config.at_least(self, {"lr": 0, "weight_decay": 0}, "optimizer")


@dataclass(frozen=True, kw_only=True)
class _Means(_Rates):
    """What AdamW has beside that, alone or as a part.

    Attributes:
        betas, eps: Its running means.
    """

    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"eps": 0}, "optimizer")

    def adamw(self, groups: Groups) -> torch.optim.AdamW:
        every = [parameter for group in groups for parameter in group["params"]]
        fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in every)
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=fused)


@dataclass(frozen=True, kw_only=True)
class AdamWConfig(_Means):
    """AdamW (Loshchilov and Hutter, ICLR 2019)."""

    name: Literal["adamw"] = "adamw"

    def over(self, groups: Groups, method: Method) -> torch.optim.Optimizer:
        """Return the optimizer over a method's groups."""
        return self.adamw(groups)


@dataclass(frozen=True, kw_only=True)
class MuonConfig(_Means):
    """Muon for the towers' hidden matrices and AdamW for the rest.

    It learns from far fewer samples where training starts from random weights.
    """

    name: Literal["muon"] = "muon"

    def over(self, groups: Groups, method: Method) -> MuonWithAdamW:
        """Return the optimizer over a method's groups.

        Raises:
            UserError: there is no matrix to train.
        """
        hidden = {id(matrix) for matrix in hidden_matrices(method.named_parameters())}
        matrices = _only(groups, lambda parameter: id(parameter) in hidden)
        if not matrices:
            raise UserError(
                "muon trains matrices of the towers, but none is; use AdamW (optimizer.name adamw)."
            )
        return MuonWithAdamW(
            torch.optim.Muon(matrices, lr=self.lr, adjust_lr_fn="match_rms_adamw"),
            self.adamw(_only(groups, lambda parameter: id(parameter) not in hidden)),
        )


@dataclass(frozen=True, kw_only=True)
class SgdConfig(_Rates):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    momentum: float = 0.9  # the share of the last step that goes into the next

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"momentum": 0}, "optimizer")

    def over(self, groups: Groups, method: Method) -> torch.optim.SGD:
        """Return the optimizer over a method's groups."""
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum)


Optimizer = AdamWConfig | MuonConfig | SgdConfig  # the first where a recipe names none


def make_optimizer(method: Method, settings: Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer over `method.param_groups(settings.weight_decay)`.

    Each group's `base_lr` is what the schedule is applied to: its own, or the settings'.

    Raises:
        UserError: the method trains nothing, or Muon has no matrix to train.
    """
    groups = [group for group in method.param_groups(settings.weight_decay) if group["params"]]
    if not groups:
        raise UserError("the method has no parameter to train; check its tuning option.")
    return settings.over([{"base_lr": settings.lr, **group} for group in groups], method)


def _only(groups: Groups, wanted: Callable[[torch.nn.Parameter], bool]) -> Groups:
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
