"""Losses over a batch that is spread over processes, as if it lay in one.

A data-parallel wrapper averages parameter gradients over the W processes. So each process must
return W times the gradient that one process would get from its own rows: the average then equals
the gradient of the whole batch, while the value on every process is that of the whole batch.

    gather_rows       rows of all processes, with gradient, of different lengths if need be
    sum_over_ranks    a sum over processes whose gradient is W times the local one
    mean_over_ranks   the same, divided by a count that is summed too

Without an initialized process group all of them are the identity of one process. The collectives
are entered by every process whatever its share of the batch, none included.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from trifocal.processes import world_size


def row_counts(count: int, device: torch.device) -> list[int]:
    """Return `count` of every process, in rank order."""
    if world_size() == 1:
        return [count]
    counts = torch.zeros(world_size(), dtype=torch.long, device=device)
    counts[dist.get_rank()] = count
    dist.all_reduce(counts)
    return counts.tolist()


class _GatherRows(torch.autograd.Function):
    """Concatenate rows over processes; backward sums the gradients and keeps the own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        longest = max(counts)
        padded = rows.new_zeros((longest, *rows.shape[1:]))
        padded[: len(rows)] = rows
        blocks = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(blocks, padded)
        return torch.cat([block[:count] for block, count in zip(blocks, counts, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, None]:
        # Half-precision gradients are summed in float32.
        total = grad.to(torch.promote_types(grad.dtype, torch.float32), copy=True)
        dist.all_reduce(total)
        first = sum(ctx.counts[: dist.get_rank()])
        return total[first : first + ctx.counts[dist.get_rank()]].to(grad.dtype), None


def gather_rows(rows: Tensor, counts: list[int] | None = None) -> Tensor:
    """Return the rows of all processes in rank order, (ΣN, ...), with gradient.

    Args:
        rows: (N, ...); N may differ between processes and may be 0.
        counts: N of every process, where it is known already (`row_counts`).
    """
    if world_size() == 1:
        return rows
    counts = row_counts(len(rows), rows.device) if counts is None else counts
    gathered: Tensor = _GatherRows.apply(rows.contiguous(), counts)
    return gathered


class _SumOverRanks(torch.autograd.Function):
    """Sum over processes; every process gets W times its gradient, for the average to undo."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> Tensor:
        return grad * world_size()


def sum_over_ranks(value: Tensor, across_ranks: bool = True) -> Tensor:
    """Return Σ_ranks value; its gradient is W times that of the local value."""
    if world_size() == 1 or not across_ranks:
        return value
    total: Tensor = _SumOverRanks.apply(value)
    return total


def mean_over_ranks(total: Tensor, count: Tensor, across_ranks: bool = True) -> Tensor:
    """Return Σ_ranks total / Σ_ranks count, 0 where the count is 0.

    Args:
        total: Scalar sum over the local rows, with gradient.
        count: Scalar number of local rows, integer.
        across_ranks: False keeps to the local rows.
    """
    if world_size() > 1 and across_ranks:
        count = count.clone()
        dist.all_reduce(count)
    return sum_over_ranks(total / count.clamp_min(1), across_ranks)
