"""The symmetric contrastive loss of CLIP, in tiles: memory grows with B · tile, not with B².

CLIP (Radford et al., ICML 2021, arXiv 2103.00020). With logits S_ij = s · a_i·b_j over N pairs,

    L = 1/(2N) Σ_i [ logsumexp_j S_ij + logsumexp_j S_ji − 2 S_ii ].

The forward pass visits S tile by tile and keeps only the N row and N column log-sums R and C; the
backward pass makes each tile again, turns it into

    G_ij = exp(S_ij − R_i) + exp(S_ij − C_j) − 2·[i = j]

and adds its share of ∂L/∂a = s/(2N) · G b and ∂L/∂b = s/(2N) · Gᵀ a. ∂L/∂s needs no pass of its own:
it is Σ_i a_i · (G b)_i / (2N). That is four matrix products instead of three, for far less traffic.

Columns may outnumber the pairs: hard negatives, which only the rows are classified against
(NegCLIP). With several processes each works on its own rows against the columns of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from trifocal.losses.distributed import gather_rows, row_counts, sum_over_ranks
from trifocal.losses.precision import no_autocast, widen
from trifocal.processes import world_size


class Layout(NamedTuple):
    """Where the rows of this process stand in the matrix of all pairs."""

    first: int  # the column that is the partner of this process's row 0
    pairs: int  # columns 0..pairs−1 are partners (of all processes), later ones hard negatives
    blanks: int  # this many further columns of logit 0 stand in every row's softmax
    shared: bool  # whether other processes hold the other rows
    tile: int


def default_tile(device: torch.device) -> int:
    """Return a tile edge that keeps a tile in a CPU's cache, or a GPU busy."""
    return 1024 if device.type == "cpu" else 4096


def _spans(layout: Layout, columns: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the column tiles; none straddles the end of the pairs."""
    for start in range(0, layout.pairs, layout.tile):
        yield start, min(start + layout.tile, layout.pairs)
    for start in range(layout.pairs, columns, layout.tile):
        yield start, min(start + layout.tile, columns)


def _buffers(a: Tensor, layout: Layout, columns: int) -> tuple[Tensor, Tensor]:
    """Return memory for two tiles, taken once because fresh pages cost more than the sums."""
    size = min(layout.tile, len(a)) * min(layout.tile, columns)
    return a.new_empty(size), a.new_empty(size)


def _product(rows: Tensor, columns: Tensor, out: Tensor) -> Tensor:
    """Write rows · columnsᵀ into the buffer `out` and return it as a matrix."""
    tile = out[: len(rows) * len(columns)].view(len(rows), len(columns))
    return torch.mm(rows, columns.T, out=tile)


class _LogSum:
    """A running log-sum-exp, (N,): maxima and sums relative to them."""

    def __init__(self, count: int, like: Tensor, blanks: int = 0) -> None:
        self.top = like.new_full((count,), 0.0 if blanks else float("-inf"))
        self.sum = like.new_full((count,), float(blanks))

    def add(self, tile: Tensor, dim: int, span: slice, scratch: Tensor) -> None:
        """Add exp of `tile`, reduced over `dim`, to the entries in `span`."""
        top = torch.maximum(self.top[span], tile.amax(dim))
        scratch = scratch[: tile.numel()].view_as(tile)
        torch.sub(tile, top.unsqueeze(dim), out=scratch).exp_()
        self.sum[span].mul_((self.top[span] - top).exp_()).add_(scratch.sum(dim))
        self.top[span] = top

    def merge_ranks(self) -> None:
        """Add what the other processes have summed."""
        top = self.top.clone()
        dist.all_reduce(top, op=dist.ReduceOp.MAX)
        self.sum.mul_((self.top - top).exp_())
        dist.all_reduce(self.sum)
        self.top = top

    def value(self) -> Tensor:
        return self.top + self.sum.log()


class _TiledContrastive(torch.autograd.Function):
    """This process's share of 2N times the loss, with the gradient of the whole."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, columns: Tensor, scale: Tensor, layout: Layout) -> Tensor:
        with no_autocast(a):
            rows, every, factor = widen(a), widen(columns), widen(scale)
            row_sums = _LogSum(len(rows), rows, layout.blanks)
            column_sums = _LogSum(layout.pairs, rows)
            partners = rows.new_zeros(len(rows))
            buffer, scratch = _buffers(rows, layout, len(every))
            for top in range(0, len(rows), layout.tile):
                own = slice(top, top + layout.tile)
                scaled = rows[own] * factor
                for start, stop in _spans(layout, len(every)):
                    tile = _product(scaled, every[start:stop], buffer)
                    row_sums.add(tile, 1, own, scratch)
                    if stop <= layout.pairs:
                        column_sums.add(tile, 0, slice(start, stop), scratch)
                        shift = top + layout.first - start
                        line = tile.diagonal(shift)
                        at = top + max(-shift, 0)
                        partners[at : at + len(line)] = line
            if layout.shared:
                column_sums.merge_ranks()
            by_row, by_column = row_sums.value(), column_sums.value()
        ctx.save_for_backward(a, columns, scale, by_row, by_column)
        ctx.layout = layout
        own = slice(layout.first, layout.first + len(a))
        # Subtracted row by row: the sums are far larger than the loss when s is 100.
        return (by_row - partners).sum() + (by_column[own] - partners).sum()

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        if torch.is_grad_enabled():  # under create_graph; a constant would be wrong in silence
            raise RuntimeError("the tiled contrastive loss can be differentiated only once")
        a, columns, scale, by_row, by_column = ctx.saved_tensors
        layout: Layout = ctx.layout
        with no_autocast(a):
            rows, every, factor = widen(a), widen(columns), widen(scale)
            grad_rows, grad_columns = torch.zeros_like(rows), torch.zeros_like(every)
            buffer, scratch = _buffers(rows, layout, len(every))
            for top in range(0, len(rows), layout.tile):
                own = slice(top, top + layout.tile)
                scaled = rows[own] * factor
                for start, stop in _spans(layout, len(every)):
                    tile = _product(scaled, every[start:stop], buffer)
                    slope = scratch[: tile.numel()].view_as(tile)
                    torch.sub(tile, by_row[own, None], out=slope).exp_()
                    if stop <= layout.pairs:
                        slope += tile.sub_(by_column[start:stop]).exp_()
                        slope.diagonal(top + layout.first - start).sub_(2.0)
                    if ctx.needs_input_grad[0] or ctx.needs_input_grad[2]:
                        grad_rows[own].addmm_(slope, every[start:stop])
                    if ctx.needs_input_grad[1]:
                        grad_columns[start:stop].addmm_(slope.T, rows[own])
            grad_scale = (rows * grad_rows).sum() * grad
            grad_rows.mul_(factor * grad)
            grad_columns.mul_(factor * grad)
        return grad_rows, grad_columns, grad_scale, None


def pair_loss(
    a: Tensor,
    b: Tensor,
    scale: Tensor | float,
    negatives: Tensor | None = None,
    *,
    blanks: int = 0,
    tile: int | None = None,
    across_ranks: bool = True,
) -> Tensor:
    """Return the contrastive loss of pairs (a_i, b_i), a classified among `negatives` as well.

    Args:
        negatives: (M, D) further columns for the rows of `a`; M may differ between processes.
        blanks: Number of further columns with logit 0 for the rows of `a`.

    The other arguments, and the errors, are those of `contrastive_loss`.
    """
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"pairs need two (B, D) of one shape: {tuple(a.shape)}, {tuple(b.shape)}")
    if tile is not None and tile < 1:
        raise ValueError(f"tile must be at least 1, not {tile}")
    if blanks < 0:
        raise ValueError(f"blanks must be at least 0, not {blanks}")
    across_ranks = across_ranks and world_size() > 1
    counts, columns, first = [len(a)], b, 0
    if across_ranks:
        counts = row_counts(len(a), a.device)
        columns, first = gather_rows(b, counts), sum(counts[: dist.get_rank()])
        negatives = None if negatives is None else gather_rows(negatives)
        blanks = sum(row_counts(blanks, a.device))
    if negatives is not None:
        columns = torch.cat([columns, negatives])
    pairs = sum(counts)
    layout = Layout(first, pairs, blanks, across_ranks, tile or default_tile(a.device))
    if not isinstance(scale, Tensor):
        scale = widen(a).new_tensor(scale)
    share: Tensor = _TiledContrastive.apply(a, columns, scale, layout)
    return sum_over_ranks(share / max(2 * pairs, 1), across_ranks)


def contrastive_loss(
    a: Tensor,
    b: Tensor,
    scale: Tensor | float,
    *,
    tile: int | None = None,
    across_ranks: bool = True,
) -> Tensor:
    """Return the symmetric contrastive loss of B matching pairs, a scalar in float32 or wider.

    Neither value nor gradient ever holds the (B, B) logits: peak memory is O(B·D + tile²). It
    can be differentiated once.

    Args:
        a: (B, D) image embeddings; row i belongs to row i of `b`. Usually of unit length.
        b: (B, D) text embeddings.
        scale: Logit scale s = 1/temperature, a number or a 0-dim tensor (with gradient).
        tile: Edge of the square tiles of logits; chosen by device where None.
        across_ranks: With several processes, contrast with the pairs of all of them, whose
            number may differ (every process must call); else with the pairs at hand.

    Raises:
        ValueError: if `a` and `b` are not matrices of one shape.

    Source:
        CLIP (Radford et al., ICML 2021, arXiv 2103.00020), the loss of Figure 3.
    """
    return pair_loss(a, b, scale, tile=tile, across_ranks=across_ranks)
