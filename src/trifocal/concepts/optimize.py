"""One loop for everything here that learns by gradient steps on cached features.

Steps are small (a batch of 256 rows, a few matrices), so the loop does little beside them: rows are
drawn by a generator of its own, so that other random numbers do not matter; several views of a
picture take turns, one drawn for each sample and step, as if it had been augmented anew; a loss
that is not finite ends the run.

Schedules: half a cosine over all steps down to 0 (Tip-Adapter's recipe, arXiv 2207.09519), and
Dassl's, which is constant for an epoch and then half a cosine over epochs (CoOp, arXiv 2109.01134).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from trifocal.errors import UserError

WARMUP = 1e-5  # learning rate of the first epoch in Dassl's schedule


@dataclass(frozen=True)
class Recipe:
    """How parameters are trained. The defaults are Tip-Adapter-F's."""

    epochs: int = 20  # passes over the samples
    batch: int | None = 256  # samples of a step; None takes all
    lr: float = 1e-3  # learning rate that the schedule starts from
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"  # "adamw", "adam" or "sgd"
    weight_decay: float = 0.01  # decoupled for AdamW, an L2 term for the others
    eps: float = 1e-4  # of Adam and AdamW
    momentum: float = 0.9  # of SGD
    schedule: Literal["cosine", "dassl", "constant"] = "cosine"  # "cosine", "dassl" or "constant"
    # Leave out the last, smaller batch of an epoch that has a full one, as Dassl does.
    drop_last: bool = False

    def steps(self, count: int) -> int:
        """Return the steps of an epoch over `count` samples; the last may be a smaller one."""
        if self.batch is None:
            return 1
        full = count // self.batch
        return full if self.drop_last and full else math.ceil(count / self.batch)

    def learning_rate(self, step: int, steps: int, lr: float | None = None) -> float:
        """Return the learning rate of a step (from 0 on, over all epochs) of `steps` an epoch.

        `lr` is what the schedule starts from, where that is another than the recipe's.
        """
        lr = self.lr if lr is None else lr
        if self.schedule == "cosine":
            return lr * _cosine(step / (self.epochs * steps))
        if self.schedule == "dassl":
            epoch = step // steps
            return lr * _cosine((epoch - 1) / self.epochs) if epoch else WARMUP
        return lr


def linear_start(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Return (rows, columns) weights as `torch.nn.Linear` draws them (Kaiming, a = sqrt(5))."""
    bound = 1 / math.sqrt(rows)
    values = torch.rand(rows, columns, generator=generator)
    return ((2 * values - 1) * bound).to(like)


def _cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


Parameters = Sequence[Tensor] | Sequence[dict[str, Any]]


def descend(
    parameters: Parameters,
    loss: Callable[[Tensor, Tensor], Tensor],
    views: Tensor,
    recipe: Recipe,
    *,
    seed: int = 0,
    after_step: Callable[[], None] | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train parameters in place.

    Args:
        parameters: Leaf tensors; they are made to require gradients, and no longer do afterwards.
            Or groups as optimizers take them: {"params": [...], "lr": ..., "weight_decay": ...}.
        loss: Called with features (b, d) and the numbers (b,) of their samples.
        views: (N, V, d) features of N samples. With V > 1 each step draws one view a sample.
        recipe: How.
        seed: Of the order of the samples and of the views; other random numbers do not matter.
        after_step: Called after each step, without gradients: to put parameters back in bounds.
        after_epoch: Called with the number of an epoch, from 0 on, after it, without gradients.

    Raises:
        UserError: a loss or a parameter is no longer finite.
    """
    optimizer = _optimizer(parameters, recipe)
    groups = optimizer.param_groups
    rates = [group["lr"] for group in groups]
    tensors = [tensor for group in groups for tensor in group["params"]]
    count, several = views.shape[0], views.shape[1]
    batch, steps = min(recipe.batch or count, count), recipe.steps(count)
    whole = batch == count
    generator = torch.Generator().manual_seed(seed)
    everything, single = torch.arange(count, device=views.device), views[:, 0]
    step = 0
    for epoch in range(recipe.epochs):
        total = views.new_zeros(())
        # A full batch has no order.
        order = everything if whole else _drawn(torch.randperm, count, generator, views)
        for rows in order.split(batch)[:steps]:
            if several > 1:
                turn = _drawn(_turns(several), len(rows), generator, views)
                features = views[rows, turn]
            else:
                features = single if whole else single[rows]
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = recipe.learning_rate(step, steps, rate)
            optimizer.zero_grad()
            with torch.enable_grad():
                value = loss(features, rows)
            value.backward()
            optimizer.step()
            total += value.detach()
            step += 1
            if after_step is not None:
                with torch.no_grad():
                    after_step()
        _require_finite([total], f"the loss in epoch {epoch + 1}", recipe)
        if after_epoch is not None:
            with torch.no_grad():
                after_epoch(epoch)
    for tensor in tensors:
        tensor.requires_grad_(False)
        tensor.grad = None
    _require_finite(tensors, "a parameter after training", recipe)


def _optimizer(parameters: Parameters, recipe: Recipe) -> torch.optim.Optimizer:
    given: Any = list(parameters)
    for one in given:
        for tensor in one["params"] if isinstance(one, dict) else [one]:
            tensor.requires_grad_(True)
    # Fused: one pass over a parameter instead of ten, on CPU as well.
    common: dict[str, Any] = {
        "lr": recipe.lr,
        "weight_decay": recipe.weight_decay,
        "fused": True,
    }
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(given, momentum=recipe.momentum, **common)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(given, eps=recipe.eps, **common)


def _drawn(
    draw: Callable[..., Tensor], count: int, generator: torch.Generator, like: Tensor
) -> Tensor:
    return draw(count, generator=generator).to(like.device)


def _turns(several: int) -> Callable[..., Tensor]:
    return lambda count, generator: torch.randint(several, (count,), generator=generator)


def _require_finite(tensors: Sequence[Tensor], what: str, recipe: Recipe) -> None:
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise UserError(
            f"{what} is not finite; train with a lower learning rate than {recipe.lr:g}."
        )
