"""RCA's losses: known values, brute force, and two processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from trifocal.losses import contrastive_loss
from trifocal.losses.dual import (
    dual_contrastive_loss,
    dual_terms,
    triple_contrastive_loss,
    wrong_region_loss,
)

PICTURES = torch.eye(2)
INFERENCES = torch.tensor([[0.6, 0.8], [0.8, -0.6]])
WRONG = torch.tensor([[0.0, -1.0], [0.8, 0.6]])
THREE = [
    F.normalize(torch.tensor(rows), dim=1)
    for rows in (
        [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
        [[1.0, 0.5], [0.0, 1.0], [1.0, 1.0]],
        [[1.0, -1.0], [-0.5, 1.0], [1.0, 1.0]],
    )
]
LOSSES = ["dual", "stacked", "triple", "wrong"]


def cross_entropy(rows: Tensor, columns: Tensor, scale: Tensor | float) -> Tensor:
    """Classify row i among all columns; column i is right."""
    logits = scale * rows @ columns.T
    return (logits.logsumexp(1) - logits.diagonal()).mean()


def brute(loss: str, image: Tensor, clue: Tensor, inference: Tensor, scale: Tensor) -> Tensor:
    """The definitions, over whole matrices; for "wrong" the second argument is wrong regions."""

    def symmetric(a: Tensor, b: Tensor) -> Tensor:
        return (cross_entropy(a, b, scale) + cross_entropy(b, a, scale)) / 2

    if loss == "dual":
        return (symmetric(image, clue) + symmetric(image, inference)) / 2
    if loss == "triple":
        pairs = ((image, clue), (image, inference), (clue, inference))
        return torch.stack([symmetric(a, b) for a, b in pairs]).mean()
    if loss == "wrong":
        text, wrong = inference, clue
        among = cross_entropy(text, torch.cat([image, wrong]), scale)
        return (cross_entropy(image, text, scale) + among) / 2
    # One matrix of 2N texts and N pictures with two diagonals; a picture has a term for each of
    # its two texts, in a softmax over all 2N.
    both = scale * torch.cat([clue, inference]) @ image.T
    count = len(image)
    texts = F.cross_entropy(both, torch.arange(count).repeat(2))
    pictures = both.T.log_softmax(dim=1)
    right = pictures[torch.arange(count).repeat(2), torch.arange(2 * count)]
    return (texts - right.mean()) / 2


def ours(
    loss: str, image: Tensor, clue: Tensor, inference: Tensor, scale: Tensor | float
) -> Tensor:
    if loss == "triple":
        return triple_contrastive_loss(image, clue, inference, scale)
    if loss == "wrong":
        return wrong_region_loss(image, clue, inference, scale)
    return dual_contrastive_loss(image, clue, inference, scale, stacked=loss == "stacked")


def leaves(count: int, width: int = 5, seed: int = 0, unit: bool = True) -> list[Tensor]:
    """Pictures, clues, inferences and a scale, float64, requiring gradients."""
    rng = torch.Generator().manual_seed(seed)
    rows = [torch.randn((count, width), generator=rng, dtype=torch.float64) for _ in range(3)]
    rows = [F.normalize(each, dim=1) for each in rows] if unit else rows
    scale = torch.tensor(7.0, dtype=torch.float64)
    return [each.requires_grad_() for each in (*rows, scale)]


# Known values


@pytest.mark.parametrize(
    ("scale", "clue", "inference", "dual", "triple"),
    [
        (1.0, 0.313262, 1.209278, 0.761270, 0.910606),
        (10.0, None, None, 4.031755, None),
        (100.0, None, None, 40.0, None),
    ],
)
def test_two_pairs(
    scale: float, clue: float | None, inference: float | None, dual: float, triple: float | None
) -> None:
    terms = dual_terms(PICTURES, PICTURES, INFERENCES, scale)
    if clue is not None and inference is not None:
        assert [2 * term.item() for term in terms] == pytest.approx([clue, inference], abs=1e-6)
        between = contrastive_loss(PICTURES, INFERENCES, scale)  # clues are the pictures here
        assert between.item() == pytest.approx(1.209278, abs=1e-6)
    loss = dual_contrastive_loss(PICTURES, PICTURES, INFERENCES, scale)
    assert loss.item() == pytest.approx(dual, rel=1e-6)
    assert sum(term.item() for term in terms) == pytest.approx(dual, rel=1e-6)
    if triple is not None:
        loss = triple_contrastive_loss(PICTURES, PICTURES, INFERENCES, scale)
        assert loss.item() == pytest.approx(triple, abs=1e-6)


def test_two_pairs_and_wrong_regions() -> None:
    loss = wrong_region_loss(PICTURES, WRONG, INFERENCES, 1.0)
    assert loss.item() == pytest.approx(1.539536, abs=1e-6)
    plain = contrastive_loss(PICTURES, INFERENCES, 1.0)
    assert loss > plain  # further columns can only cost
    none = wrong_region_loss(PICTURES, WRONG[:0], INFERENCES, 1.0)
    assert none.item() == pytest.approx(plain.item())


def test_three_pairs() -> None:
    image, clue, inference = THREE
    terms = [2 * term.item() for term in dual_terms(image, clue, inference, 1.0)]
    assert terms == pytest.approx([0.882130, 0.706705], abs=1e-6)
    dual = [dual_contrastive_loss(image, clue, inference, scale).item() for scale in (1.0, 10.0)]
    assert dual == pytest.approx([0.794418, 0.233519], abs=1e-6)
    triple = triple_contrastive_loss(image, clue, inference, 1.0).item()
    assert triple == pytest.approx(0.808823, abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_embeddings_that_are_all_the_same(scale: float) -> None:
    same = F.normalize(torch.ones(8, 4), dim=1)
    known = {"dual": 8, "triple": 8, "stacked": math.sqrt(8 * 16), "wrong": math.sqrt(8 * 16)}
    for loss, ways in known.items():
        found = ours(loss, same, same, same, scale).item()
        assert found == pytest.approx(math.log(ways), abs=1e-5), loss
    assert math.log(8) == pytest.approx(2.079442, abs=1e-6)


# Against the definitions


@settings(max_examples=40)
@given(
    loss=st.sampled_from(LOSSES),
    count=st.integers(1, 9),
    width=st.integers(1, 6),
    seed=st.integers(0, 99),
    unit=st.booleans(),
)
def test_values_and_gradients_are_those_of_the_definition(
    loss: str, count: int, width: int, seed: int, unit: bool
) -> None:
    inputs = leaves(count, width, seed, unit)
    found, expected = ours(loss, *inputs), brute(loss, *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    slopes = [torch.autograd.grad(3 * each, inputs) for each in (found, expected)]
    for got, want in zip(*slopes, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck(loss: str) -> None:
    def run(image: Tensor, clue: Tensor, inference: Tensor, scale: Tensor) -> Tensor:
        return ours(loss, image, clue, inference, scale)

    assert torch.autograd.gradcheck(run, tuple(leaves(4, 3)))


def test_stacking_changes_what_pictures_see_alone() -> None:
    image, clue, inference, scale = leaves(6)
    separate, stacked = (
        dual_contrastive_loss(image, clue, inference, scale, stacked=how) for how in (False, True)
    )
    assert stacked > separate
    more = 0.0
    for own, other in ((clue, inference), (inference, clue)):
        more += cross_entropy(image, torch.cat([own, other]), scale) / 4
        more -= cross_entropy(image, own, scale) / 4
    torch.testing.assert_close(stacked - separate, torch.as_tensor(more))


def test_any_number_of_wrong_regions() -> None:
    image, wrong, text, scale = leaves(5)
    for count in (1, 3, 12):
        among = wrong.repeat(3, 1)[:count]
        torch.testing.assert_close(
            wrong_region_loss(image, among, text, scale), brute("wrong", image, among, text, scale)
        )


def test_the_halves_sum_to_the_whole_and_shapes_are_checked() -> None:
    image, clue, inference, scale = leaves(5)
    for stacked in (False, True):
        terms = dual_terms(image, clue, inference, scale, stacked=stacked)
        whole = dual_contrastive_loss(image, clue, inference, scale, stacked=stacked)
        assert torch.equal(terms[0] + terms[1], whole)
    with pytest.raises(ValueError, match="one shape"):
        dual_contrastive_loss(image, clue[:3], inference, scale)


# Two processes

SHARES = {"equal": (3, 3), "unequal": (4, 2), "one rank has none": (5, 0)}


def run(loss: str, rows: list[Tensor]) -> dict[str, Tensor]:
    """The loss of raw rows through shared projections, and the projections' gradients."""
    rng = torch.Generator().manual_seed(5)
    image, text = (
        torch.randn((6, 4), generator=rng, dtype=torch.float64).requires_grad_() for _ in range(2)
    )
    scale = torch.tensor(3.0, dtype=torch.float64).requires_grad_()
    middle = image if loss == "wrong" else text
    value = ours(loss, rows[0] @ image, rows[1] @ middle, rows[2] @ text, scale)
    value.backward()
    grads = {"image": image.grad, "text": text.grad, "scale": scale.grad}
    found = {f"grad {name}": grad for name, grad in grads.items() if grad is not None}
    assert len(found) == 3
    return {"value": value.detach(), **found}


def raw(counts: tuple[int, int]) -> list[list[Tensor]]:
    """Pictures, clues (or wrong regions) and inferences of each of two processes."""
    rng = torch.Generator().manual_seed(7)
    return [
        [torch.randn((count, 6), generator=rng, dtype=torch.float64) for _ in range(3)]
        for count in counts
    ]


def worker(rank: int, folder: str) -> None:
    """Run every case on one of two processes and write what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        results = {}
        for case, counts in SHARES.items():
            rows = raw(counts)[rank]
            for loss in LOSSES:
                for name, value in run(loss, rows).items():
                    results[f"{case}/{loss}/{name}"] = value
            image, clue, inference = rows
            alone = dual_contrastive_loss(image, clue, inference, 2.0, across_ranks=False)
            results[f"{case}/alone"] = alone.detach()
        save_file(results, f"{folder}/{rank}.safetensors")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of two processes found."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    mp.spawn(worker, (str(folder),), nprocs=2)
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.mark.parametrize("case", SHARES)
@pytest.mark.parametrize("loss", LOSSES)
def test_two_processes_equal_one(ranks: list[dict[str, Tensor]], case: str, loss: str) -> None:
    parts = raw(SHARES[case])
    whole = [torch.cat(rows) for rows in zip(*parts)]
    for name, value in run(loss, whole).items():
        got = [rank[f"{case}/{loss}/{name}"] for rank in ranks]
        if name == "value":
            for each in got:
                torch.testing.assert_close(each, value, rtol=1e-9, atol=1e-12)
        else:  # the data-parallel wrapper averages
            torch.testing.assert_close(sum(got) / 2, value, rtol=1e-9, atol=1e-12)
            assert not torch.allclose(got[0], got[1])  # each has the share of its own rows


@pytest.mark.parametrize("case", SHARES)
def test_a_process_may_keep_to_itself(ranks: list[dict[str, Tensor]], case: str) -> None:
    for rank, (image, clue, inference) in zip(ranks, raw(SHARES[case])):
        expected = dual_contrastive_loss(image, clue, inference, 2.0)
        torch.testing.assert_close(rank[f"{case}/alone"], expected)
