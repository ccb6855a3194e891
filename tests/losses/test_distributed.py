"""Two processes are one: values, and the mean of their parameter gradients."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor

from trifocal.losses import (
    Slots,
    calibrated_loss,
    contrastive_loss,
    global_choice,
    local_choice,
    pair_loss,
)
from trifocal.losses.distributed import gather_rows, mean_over_ranks, sum_over_ranks

# For each rank of a case: the number of images, and (owner, kind) of its negatives.
Share = tuple[int, list[tuple[int, int]]]
CASES: dict[str, list[Share]] = {
    "equal": [(3, [(0, 0), (2, 1)]), (3, [(1, 2), (1, 0)])],
    "unequal images and negatives": [(4, [(0, 0), (3, 1), (3, 2)]), (2, [(1, 0)])],
    "one rank without negatives": [(2, []), (3, [(0, 0), (1, 1), (2, 2)])],
    "no negatives": [(2, []), (3, [])],
    "one rank without images": [(3, [(0, 0), (2, 1)]), (0, [])],
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "fsc_clip": {},
    "fsc_clip zero": {},
    "negclip": {},
    "negclip zero": {},
    "contrastive": {"tile": 2},
}


class Model(torch.nn.Module):
    """The smallest model with shared parameters: a projection for each tower, and a scale."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(5)
        self.image = torch.nn.Parameter(torch.randn((6, 4), generator=rng, dtype=torch.float64))
        self.text = torch.nn.Parameter(torch.randn((6, 4), generator=rng, dtype=torch.float64))
        self.scale = torch.nn.Parameter(torch.tensor(3.0, dtype=torch.float64))


def inputs(shares: list[Share]) -> list[dict[str, Tensor]]:
    """Random raw inputs of each rank's share."""
    rng = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    made = []
    for images, negatives in shares:
        texts = images + len(negatives)
        made.append(
            {
                "image": draw(images, 6),
                "patches": draw(images, 3, 6),
                "text": draw(texts, 6),
                "tokens": draw(texts, 5, 6),
                "mask": torch.rand((texts, 5), generator=rng) < 0.8,
                "slots": torch.tensor(negatives, dtype=torch.long).view(-1, 2),
            }
        )
    return made


def merged(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The same batch in one process: captions of all ranks first, then all negatives."""
    counts = [len(part["image"]) for part in parts]
    whole = {name: torch.cat([part[name] for part in parts]) for name in ("image", "patches")}
    for name in ("text", "tokens", "mask"):
        captions = [part[name][:count] for part, count in zip(parts, counts, strict=True)]
        negatives = [part[name][count:] for part, count in zip(parts, counts, strict=True)]
        whole[name] = torch.cat(captions + negatives)
    firsts = [sum(counts[:rank]) for rank in range(len(parts))]
    shifts = [torch.tensor([first, 0]) for first in firsts]
    slots = [part["slots"] + shift for part, shift in zip(parts, shifts, strict=True)]
    return {**whole, "slots": torch.cat(slots)}


def run(objective: str, part: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms of an objective, and the gradient of each parameter for their sum."""
    model, options = Model(), OBJECTIVES[objective]
    # Stand-ins for the embedding classes, whose package takes the two processes seconds to import.
    image: Any = SimpleNamespace(
        pooled=part["image"] @ model.image, patches=part["patches"] @ model.image
    )
    text: Any = SimpleNamespace(
        pooled=part["text"] @ model.text,
        tokens=part["tokens"] @ model.text,
        mask=part["mask"],
    )
    count, kinds = len(image.pooled), 3
    captions, negatives = text.pooled[:count], text.pooled[count:]
    if objective.startswith("negclip"):
        blanks = kinds * count - len(negatives) if "zero" in objective else 0
        loss = pair_loss(image.pooled, captions, model.scale, negatives, blanks=blanks)
    else:
        loss = contrastive_loss(image.pooled, captions, model.scale, **options)
    terms = {"contrastive": loss}
    if objective.startswith("fsc_clip"):
        slots = Slots(*part["slots"].unbind(dim=1), count, kinds)
        weighting, missing = ("softmax", "zero") if "zero" in objective else ("minmax", "mask")
        for name, choice in (
            ("global_negative", global_choice(image, text, slots, model.scale)),
            ("local_negative", local_choice(image, text, slots, model.scale, weighting)),
        ):
            terms[name] = calibrated_loss(*choice, 2.0, 0.02, missing)
    torch.stack(list(terms.values())).sum().backward()
    found = {f"term {name}": term.detach().clone() for name, term in terms.items()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        found[f"grad {name}"] = parameter.grad
    return found


def primitives(rank: int) -> dict[str, Tensor]:
    """The gather and the reductions on their own, with gradients."""
    rows = torch.full((2 + rank, 2), 1.0 + rank).requires_grad_()
    weights = torch.arange(10.0).view(5, 2) * (rank + 1)
    gathered = gather_rows(rows)
    (grad,) = torch.autograd.grad((gathered * weights).sum(), rows)
    value = torch.tensor(2.0 + rank, requires_grad=True)
    total = sum_over_ranks(value)
    (slope,) = torch.autograd.grad(total, value)
    mean = mean_over_ranks(value, torch.tensor(rank * 4))
    return {
        "gathered": gathered.detach(),
        "gathered grad": grad,
        "sum": total.detach(),
        "sum grad": slope,
        "mean": mean.detach(),
        "local mean": mean_over_ranks(value, torch.tensor(4), across_ranks=False).detach(),
    }


def worker(rank: int, folder: str) -> None:
    """Run every case on one of two processes and write what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        results = {f"primitive/{name}": value for name, value in primitives(rank).items()}
        for case, shares in CASES.items():
            part = inputs(shares)[rank]
            for objective in OBJECTIVES:
                for name, value in run(objective, part).items():
                    results[f"{case}/{objective}/{name}"] = value
        save_file(results, f"{folder}/{rank}.safetensors")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of two processes found."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    mp.spawn(worker, (str(folder),), nprocs=2)
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_processes_equal_one(ranks: list[dict[str, Tensor]], case: str, objective: str) -> None:
    expected = run(objective, merged(inputs(CASES[case])))
    for name, value in expected.items():
        got = [rank[f"{case}/{objective}/{name}"] for rank in ranks]
        if name.startswith("term"):
            for term in got:
                torch.testing.assert_close(term, value, rtol=1e-9, atol=1e-12)
        else:  # the data-parallel wrapper averages
            torch.testing.assert_close(sum(got) / 2, value, rtol=1e-9, atol=1e-12)


def test_gather_keeps_rank_order_and_sums_gradients(ranks: list[dict[str, Tensor]]) -> None:
    expected = torch.tensor([1.0, 1, 2, 2, 2])[:, None].expand(5, 2)
    weights = 3 * torch.arange(10.0).view(5, 2)
    for rank, rows in ((0, slice(0, 2)), (1, slice(2, 5))):
        assert torch.equal(ranks[rank]["primitive/gathered"], expected)
        assert torch.equal(ranks[rank]["primitive/gathered grad"], weights[rows])


def test_reductions(ranks: list[dict[str, Tensor]]) -> None:
    for rank in (0, 1):
        found = {
            name.split("/")[1]: value
            for name, value in ranks[rank].items()
            if name.startswith("primitive")
        }
        assert found["sum"] == 5
        assert found["sum grad"] == 2
        assert found["mean"] == 5 / 4
        assert found["local mean"] == (2 + rank) / 4


def test_one_process_is_the_identity() -> None:
    rows = torch.ones(2, 3)
    assert gather_rows(rows) is rows
    assert sum_over_ranks(rows) is rows
    assert mean_over_ranks(torch.tensor(6.0), torch.tensor(4)) == 1.5
    assert mean_over_ranks(torch.tensor(0.0), torch.tensor(0)) == 0
