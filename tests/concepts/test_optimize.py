"""Schedules, and the training loop: order, views, hooks, and what is not finite."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.optimize import Recipe, descend
from trifocal.errors import UserError

GENERATOR = torch.Generator().manual_seed(0)
VIEWS = torch.randn(20, 1, 6, generator=GENERATOR)
LABELS = torch.arange(20) % 3


def trained(recipe: Recipe, views: Tensor = VIEWS, seed: int = 0) -> Tensor:
    weights = torch.zeros(3, 6)
    descend(
        [weights],
        lambda x, rows: F.cross_entropy(x @ weights.T, LABELS[rows]),
        views,
        recipe,
        seed=seed,
    )
    return weights


def test_cosine_over_iterations() -> None:
    recipe = Recipe(epochs=20)
    assert recipe.steps(700) == 3
    rates = [recipe.learning_rate(step, 3) for step in range(60)]
    assert rates[0] == 1e-3
    assert rates[30] == pytest.approx(5e-4)
    assert rates[59] == pytest.approx(6.852e-7, rel=1e-3)


def test_dassl_s_cosine_is_constant_for_an_epoch() -> None:
    recipe = Recipe(epochs=50, lr=2e-3, schedule="dassl")
    assert [recipe.learning_rate(step, 4) for step in range(4)] == [1e-5] * 4
    assert recipe.learning_rate(4, 4) == 2e-3
    assert recipe.learning_rate(26 * 4 + 3, 4) == pytest.approx(1e-3)
    # A group of its own learning rate keeps it.
    assert recipe.learning_rate(4, 4, lr=0.1) == 0.1


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_full_batches_are_torch_s_steps(name: str, kind: type[torch.optim.Optimizer]) -> None:
    recipe = Recipe(5, None, 0.1, name, schedule="constant")  # type: ignore[arg-type]
    weights = torch.zeros(3, 6, requires_grad=True)
    more = {"momentum": 0.9} if name == "sgd" else {"eps": 1e-4}
    optimizer = kind([weights], lr=0.1, weight_decay=0.01, **more)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(VIEWS[:, 0] @ weights.T, LABELS).backward()
        optimizer.step()
    torch.testing.assert_close(trained(recipe), weights.detach())


def test_the_order_is_the_seed_s_and_nobody_else_s() -> None:
    recipe = Recipe(3, 8)
    torch.manual_seed(1)
    first, state = trained(recipe), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(trained(recipe), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn from it
    assert not torch.equal(trained(recipe, seed=1), first)


def test_each_epoch_sees_every_sample_once() -> None:
    weights, seen = torch.zeros(1), []

    def loss(x: Tensor, rows: Tensor) -> Tensor:
        seen.append(rows.tolist())
        assert torch.equal(x, VIEWS[rows, 0])
        return (weights * x.mean()).sum()

    descend([weights], loss, VIEWS, Recipe(2, 8))
    assert [len(rows) for rows in seen] == [8, 8, 4] * 2
    assert sorted(row for rows in seen[:3] for row in rows) == list(range(20))
    assert seen[:3] != seen[3:]


def batches(recipe: Recipe, count: int) -> list[list[int]]:
    """The rows of each step."""
    weights, seen = torch.zeros(1), []

    def loss(x: Tensor, rows: Tensor) -> Tensor:
        seen.append(rows.tolist())
        return (weights * x.mean()).sum()

    descend([weights], loss, VIEWS[:count], recipe)
    return seen


@pytest.mark.parametrize(
    ("count", "kept", "dropped"),
    [
        (20, [8, 8, 4], [8, 8]),
        (16, [8, 8], [8, 8]),
        (13, [8, 5], [8]),
        (8, [8], [8]),
        (5, [5], [5]),
    ],
)
def test_the_last_batch_is_dropped_as_by_dassl(
    count: int, kept: list[int], dropped: list[int]
) -> None:
    """A loader with drop_last where the data have a full batch; all of them where they have none."""
    for drop_last, sizes in ((False, kept), (True, dropped)):
        recipe = Recipe(3, 8, drop_last=drop_last)
        assert recipe.steps(count) == len(sizes)
        assert [len(rows) for rows in batches(recipe, count)] == sizes * 3


def test_what_is_dropped_differs_from_epoch_to_epoch() -> None:
    seen = batches(Recipe(6, 8, drop_last=True), 13)
    assert len({tuple(sorted(rows)) for rows in seen}) > 3
    assert {row for rows in seen for row in rows} == set(range(13))


def test_views_take_turns() -> None:
    views = torch.arange(3.0)[None, :, None].expand(20, 3, 1)  # a view is its own number
    weights, seen = torch.zeros(1), set()

    def loss(x: Tensor, rows: Tensor) -> Tensor:
        seen.add(tuple(x.flatten().tolist()))
        return (weights * x.mean()).sum()

    descend([weights], loss, views, Recipe(5, None))
    assert len(seen) == 5
    assert {turn for turns in seen for turn in turns} == {0, 1, 2}


def test_hooks_and_groups() -> None:
    one, two, epochs = torch.ones(2), torch.ones(2), []

    def bounded() -> None:
        one.clamp_(min=0.9)

    descend(
        [{"params": [one], "lr": 0.5}, {"params": [two], "lr": 0.0, "weight_decay": 0.0}],
        lambda x, rows: one.sum() + two.sum(),
        VIEWS,
        Recipe(4, None),
        after_step=bounded,
        after_epoch=epochs.append,
    )
    assert epochs == [0, 1, 2, 3]
    assert one.tolist() == pytest.approx([0.9, 0.9])
    assert two.tolist() == [1, 1]
    assert not one.requires_grad
    assert one.grad is None


def test_what_is_not_finite_is_said() -> None:
    weights = torch.zeros(1)
    with pytest.raises(UserError, match="loss in epoch 1 is not finite; train with a lower"):
        descend([weights], lambda x, rows: weights.sum() / 0, VIEWS, Recipe(2))
