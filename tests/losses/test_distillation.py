"""Distillation terms against numbers made by hand, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from trifocal.losses.distillation import class_prompt_loss, nearness_loss, teacher_loss


def units(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=-1)


def test_nearness_is_one_minus_the_cosine():
    a = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    b = torch.tensor([[0.0, 1.0], [0.8, 0.6]], dtype=torch.float64)
    assert nearness_loss(a, b).item() == pytest.approx(((1 - 0) + (1 - 0.96)) / 2, abs=1e-12)
    assert nearness_loss(a, a).item() == 0
    with pytest.raises(ValueError, match="base"):
        nearness_loss(a, b[:1])


def test_nearness_sends_no_gradient_to_the_base():
    a, b = units(3, 4, 0).requires_grad_(), units(3, 4, 1).requires_grad_()
    nearness_loss(a, b).backward()
    assert b.grad is None
    assert a.grad is not None
    torch.testing.assert_close(a.grad, (a - b).detach() / 3)


def test_the_teacher_is_taken_over_where_two_captions_are_alike():
    # Pictures and captions on the axes; the teacher takes captions 0 and 1 for halfway alike.
    image = text = torch.eye(3, dtype=torch.float64)
    teacher = torch.tensor([[1, 0, 0], [0.5, math.sqrt(0.75), 0], [0, 0, 1]], dtype=torch.float64)
    scale, sharpness = 2.0, 4.0

    def softmax(row: list[float]) -> list[float]:
        total = sum(math.exp(x) for x in row)
        return [math.exp(x) / total for x in row]

    total = 0.0
    for i in range(3):
        target = softmax([sharpness * float(teacher[i] @ teacher[j]) for j in range(3)])
        own = softmax([scale * float(i == j) for j in range(3)])
        total += 2 * sum(p * math.log(p / q) for p, q in zip(target, own))
    loss = teacher_loss(image, text, teacher, scale, sharpness)
    assert loss.item() == pytest.approx(total / 6, abs=1e-12)


def test_a_model_that_sees_as_its_teacher_loses_nothing():
    teacher = units(5, 6, 0)
    assert teacher_loss(teacher, teacher, teacher, 7.0, 7.0).item() == pytest.approx(0, abs=1e-12)


def test_gradients_of_the_teacher_loss():
    image, text = units(4, 3, 1).requires_grad_(), units(4, 3, 2).requires_grad_()
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    teacher = units(4, 5, 3)

    def loss(*given: torch.Tensor) -> torch.Tensor:
        return teacher_loss(given[0], given[1], teacher, given[2], 5.0)

    assert torch.autograd.gradcheck(loss, (image, text, scale))


def test_a_batch_without_known_captions_costs_nothing():
    empty = torch.empty(0, 3, requires_grad=True)
    loss = teacher_loss(empty, empty, torch.empty(0, 4), 2.0, 2.0)
    loss.backward()
    assert loss.item() == 0
    with pytest.raises(ValueError, match="teacher"):
        teacher_loss(units(2, 3, 0), units(2, 3, 1), units(1, 3, 2), 1.0, 1.0)


def test_class_prompts_are_told_from_all_classes():
    prompts, means = units(4, 6, 0), units(3, 6, 1)
    classes = torch.tensor([2, 0, 0, 1])
    logits = 5 * prompts @ means.T
    expected = (logits.logsumexp(1) - logits[torch.arange(4), classes]).mean()
    assert class_prompt_loss(prompts, means, classes, 5.0).item() == pytest.approx(expected.item())
    assert class_prompt_loss(prompts[:0], means, classes[:0], 5.0).item() == 0
