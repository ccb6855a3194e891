"""One optimizer step: the gradient of its batches, the learning rate, the logit scale's bounds."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn

from trifocal.data.batching import Batch
from trifocal.train.gradient_cache import cached_step, direct_step
from trifocal.train.launch import seed_draws
from trifocal.train.optimizer import set_learning_rate
from trifocal.train.recipe import Recipe
from trifocal.train.schedule import epoch_learning_rate, learning_rate
from trifocal.train.sharding import Sharding
from trifocal.tuning.groups import text_tower
from trifocal.tuning.method import Method


class Stepper:
    """Computes gradients and applies them, as a recipe says.

    Args:
        method: The method itself.
        model: What accelerate made of it; forward passes go through it.
        optimizer: accelerate's optimizer.
        accelerator: Devices, processes, precision.
        recipe: All settings.
        total: Steps of the whole run.
        sharding: The method's parameters over all processes, if they are spread.
        per_epoch: Steps of an epoch, for schedules that count epochs.
    """

    def __init__(
        self,
        method: Method,
        model: nn.Module,
        optimizer: AcceleratedOptimizer,
        accelerator: Accelerator,
        recipe: Recipe,
        total: int,
        sharding: Sharding | None = None,
        per_epoch: int = 1,
    ) -> None:
        self.method, self.model, self.optimizer = method, model, optimizer
        self.accelerator, self.recipe = accelerator, recipe
        self.total, self.per_epoch = total, per_epoch
        self.sharding = sharding
        self._text = text_tower(method.named_parameters())

    def gradient(self, step: int, group: list[Batch]) -> dict[str, float]:
        """Compute the gradient of a step (from 0): the mean over a group of batches.

        Returns:
            The loss, its terms, the gradient's norm, the logit scale, the learning rate.
        """
        recipe, accelerator = self.recipe, self.accelerator
        seed_draws(recipe.seed, step, accelerator.process_index)
        set_learning_rate(self.optimizer, lambda base: self._learning_rate(step, base))
        sums: dict[str, torch.Tensor] = {}
        share = 1 / len(group)
        for index, batch in enumerate(group):
            batch = batch.to(accelerator.device, non_blocking=True)
            terms = self._backward(batch, share, final=index == len(group) - 1)
            for name, term in terms.items():
                term = term.float() * share
                sums[name] = sums[name] + term if name in sums else term
        if self.sharding is not None:
            self.sharding.average()
        if step < recipe.schedule.text_from:
            for parameter in self._text:
                parameter.grad = None  # optimizers pass over it
        norm = self._gradient_norm()
        scale = whole_number(self.method.clip.network.logit_scale)
        # One transfer from the device for all numbers of the step.
        *values, norm, scale = torch.stack([*sums.values(), norm, scale]).tolist()
        return {
            "loss": sum(values),
            **dict(zip(sums, values)),
            "gradient_norm": norm,
            "logit_scale": math.exp(scale),
            "lr": self.optimizer.param_groups[0]["lr"],
        }

    def apply(self) -> None:
        """Take the step, and keep the logit scale within its bounds."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        scale = self.method.clip.network.logit_scale
        if scale.requires_grad:
            with torch.no_grad():
                scale.clamp_(0, self.recipe.max_logit_scale)

    def _learning_rate(self, step: int, base: float) -> float:
        """Return what the recipe's schedule makes of a base rate in `step` (from 0)."""
        schedule = self.recipe.schedule
        ends = {"constant": schedule.warmup_lr, "floor": schedule.final_lr}
        if schedule.by_epoch:
            epochs, warmup = self.total / self.per_epoch, schedule.warmup_epochs or 0
            return epoch_learning_rate(
                step // self.per_epoch, base=base, warmup=warmup, epochs=epochs, **ends
            )
        warmup = schedule.warmup_steps
        if schedule.warmup_epochs is not None:
            warmup = schedule.warmup_epochs * self.per_epoch
        return learning_rate(step, base=base, warmup=warmup, total=self.total, **ends)

    def _backward(self, batch: Batch, share: float, *, final: bool) -> dict[str, torch.Tensor]:
        """Add a batch's gradient to the parameters; processes average it if it is `final`."""
        backward, objective = self.accelerator.backward, self.method.terms
        if self.sharding is not None:
            no_sync = self.sharding.no_sync
        else:
            no_sync = functools.partial(self.accelerator.no_sync, self.model)
        if self.recipe.gradient_cache:
            return cached_step(
                self.model,
                objective,
                batch,
                backward,
                chunk=self.recipe.gradient_cache,
                share=share,
                no_sync=no_sync,
                final=final,
            )
        with contextlib.nullcontext() if final else no_sync():
            return direct_step(self.model, objective, batch, backward, share=share)

    def _gradient_norm(self) -> torch.Tensor:
        """Return the norm of the whole gradient, after scaling it down if the recipe says so."""
        self.accelerator.unscale_gradients(self.optimizer)
        parameters = [
            parameter for group in self.optimizer.param_groups for parameter in group["params"]
        ]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.recipe.clip_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.recipe.clip_grad_norm, norm)
        return whole_number(norm)


def whole_number(tensor: Any) -> torch.Tensor:
    """Return a 0-dim tensor as float32, gathered if it is sharded over processes."""
    full = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.detach().float().reshape(())
