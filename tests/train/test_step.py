"""One step: averages over batches, bounds, and the scaler of fp16."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer

from tests.train.support import Pictures, recipe, shuffled, tiny_clip, weights
from trifocal.composition.batching import CaptionBatching
from trifocal.composition.fsc_clip import FscClip, FscClipConfig
from trifocal.data.loader import BatchMaker, Order
from trifocal.train.optimizer import make_optimizer
from trifocal.train.step import Stepper


class Scaled:
    """The part of accelerate that a step uses, with a gradient scaler that works on a CPU."""

    process_index, device = 0, torch.device("cpu")

    def __init__(self, start: float):
        self.scaler = torch.amp.GradScaler("cpu", init_scale=start)
        self.optimizer = None

    def backward(self, loss):
        self.scaler.scale(loss).backward()

    def unscale_gradients(self, optimizer):
        self.scaler.unscale_(optimizer.optimizer)

    def no_sync(self, model):
        return contextlib.nullcontext()


def stepper(tmp_path, scale: float, **changes) -> Stepper:
    made = recipe(tmp_path, **changes)
    method = FscClip(tiny_clip(), FscClipConfig(negatives=("swap", "shuffle")))
    accelerator = Scaled(scale)
    # accelerate adds fields to this state as soon as an Accelerator exists.
    from accelerate import Accelerator

    Accelerator(cpu=True)
    optimizer = AcceleratedOptimizer(
        make_optimizer(method, made.optimizer), device_placement=False, scaler=accelerator.scaler
    )
    return Stepper(method, method, optimizer, accelerator, made, total=10)  # type: ignore[arg-type]


def batch(number: int = 0):
    batching = CaptionBatching(tiny_clip().tokenizer, negatives=shuffled, kinds=("swap", "shuffle"))
    return BatchMaker(Pictures(), Order(64, 8, 0), batching).make(number)


@pytest.mark.parametrize("changes", [{}, {"gradient_cache": 3}, {"clip_grad_norm": 1.0}])
def test_a_scaled_loss_makes_the_same_step(tmp_path, changes):
    made = []
    for scale in (1.0, 2.0**12):
        one = stepper(tmp_path, scale, **changes)
        values = one.gradient(3, [batch(), batch(1)])
        one.apply()
        made.append((values, weights(one.method)))
    for key, value in made[0][0].items():
        assert made[1][0][key] == pytest.approx(value, rel=1e-5), key
    for name, value in made[0][1].items():
        assert torch.allclose(value, made[1][1][name], atol=2e-6), name


def test_an_overflow_skips_the_step_and_lowers_the_scale(tmp_path):
    one = stepper(tmp_path, 2.0**127)
    before = weights(one.method)
    values = one.gradient(3, [batch()])
    assert not torch.isfinite(torch.tensor(values["gradient_norm"]))
    assert torch.isfinite(torch.tensor(values["loss"]))
    one.apply()
    assert all(torch.equal(before[name], value) for name, value in weights(one.method).items())
    assert one.accelerator.scaler.get_scale() == 2.0**126


def test_a_step_averages_its_batches(tmp_path):
    one = stepper(tmp_path, 1.0)
    first, second = batch(0), batch(1)
    gradients, losses = [], []
    for group in ([first], [second], [first, second]):
        losses.append(one.gradient(3, group)["loss"])
        gradients.append({n: p.grad.clone() for n, p in one.method.named_parameters()})
        one.optimizer.zero_grad()
        one.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-6)
    for name, mean in gradients[2].items():
        expected = (gradients[0][name] + gradients[1][name]) / 2
        assert torch.allclose(mean, expected, atol=1e-4 * float(expected.abs().max() + 1e-6)), name


def test_clipping(tmp_path):
    one = stepper(tmp_path, 1.0, clip_grad_norm=0.5)
    values = one.gradient(3, [batch()])
    assert values["gradient_norm"] > 0.5
    total = torch.nn.utils.get_total_norm([p.grad for p in one.method.parameters()])
    assert float(total) == pytest.approx(0.5, rel=1e-3)


def test_learning_rate_of_a_step(tmp_path):
    made = recipe(tmp_path)
    one = stepper(tmp_path, 1.0)
    one.recipe = replace(made, schedule=replace(made.schedule, warmup_steps=4))
    assert one.gradient(1, [batch()])["lr"] == pytest.approx(made.optimizer.lr * 2 / 4)
    assert {group["lr"] for group in one.optimizer.param_groups} == {made.optimizer.lr * 2 / 4}


def test_learning_rates_of_epochs(tmp_path):
    made = recipe(tmp_path, lr=1.0)
    one = stepper(tmp_path, 1.0)
    one.total, one.per_epoch = 12, 3
    by_epoch = {"by_epoch": True, "warmup_epochs": 1, "warmup_lr": 0.01}
    found = {}
    for name, options in (("epoch", by_epoch), ("step", {"warmup_epochs": 2, "final_lr": 0.5})):
        one.recipe = replace(made, schedule=replace(made.schedule, **options))
        found[name] = [one._learning_rate(step, 1.0) for step in range(12)]
    quarters = [0.01, 1.0, 0.85355339, 0.5]
    assert found["epoch"] == pytest.approx([rate for rate in quarters for _ in range(3)])
    assert found["step"][:7] == pytest.approx([(n + 1) / 6 for n in range(6)] + [1.0])
    assert found["step"][9] == pytest.approx(0.75)


def test_the_text_tower_waits_for_its_step(tmp_path):
    made = recipe(tmp_path)
    one = stepper(tmp_path, 1.0)
    one.recipe = replace(made, schedule=replace(made.schedule, warmup_steps=0, text_from=3))
    before = weights(one.method)

    def changed() -> set[bool]:
        """Whether parameters of the text tower have changed."""
        now = weights(one.method).items()
        return {bool((value != before[name]).any()) for name, value in now if ".text_" in name}

    one.gradient(2, [batch()])
    one.apply()
    after = weights(one.method)
    assert changed() == {False}
    assert all((after[name] != before[name]).any() for name in after if "vision_model" in name)
    one.gradient(3, [batch()])
    one.apply()
    assert True in changed()
