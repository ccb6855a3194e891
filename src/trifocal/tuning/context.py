"""Context optimization (CoOp): learned vectors among the words of every text.

Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022 (arXiv 2109.01134), §3.2: a
class is named by [V]1 ... [V]M [class], where the V are vectors of the text tower's input and stand
for "a photo of a". They are put into whatever text the tower reads, so a learned context goes with
any class names. What the tower returns are the states of the text's own positions: nothing outside
of it has to know that there was a context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import CLIPModel

from trifocal.errors import UserError

Position = Literal["end", "middle", "front"]

_NO_ID = -1  # fills up rows of ids
_LEAST_WORDS = 4  # positions that a context must leave: start, a word, full stop, end


@dataclass(frozen=True)
class ContextConfig:
    """How many vectors, and where.

    Attributes:
        tokens: Vectors of a context, M; M * W parameters in a tower of width W.
        position: Where the text stands: at the "end" of the context, in the "middle" of it, or in
            "front" of it. The last token of a text, its full stop, stays last in any case.
        start: Ids of M words whose embeddings the vectors start as; without them they are drawn
            from N(0, 0.02²).
        classes: Ids of texts (start and end of text included) that have a context each; without
            them all texts share one.
    """

    tokens: int = 16
    position: Position = "end"
    start: tuple[int, ...] = ()
    classes: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UserError(f"context.tokens is {self.tokens}; at least one is needed.")
        if self.position not in get_args(Position):
            known = ", ".join(get_args(Position))
            raise UserError(f"context.position is {self.position!r}; it must be one of {known}.")
        if self.start and len(self.start) != self.tokens:
            raise UserError(
                f"context.start has {len(self.start)} ids for {self.tokens} tokens; give as many."
            )


class Context(nn.Module):
    """Learned vectors (M, W), or (D, M, W) with one context for each of D texts, and where they go.

    The tower has `longest` positions at most.
    """

    classes: Tensor | None

    def __init__(self, vectors: Tensor, config: ContextConfig, longest: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors)
        self.position, self.tokens, self.longest = config.position, config.tokens, longest
        rows = [torch.tensor(row, device=vectors.device) for row in config.classes]
        table = pad_sequence(rows, batch_first=True, padding_value=_NO_ID) if rows else None
        self.register_buffer("classes", table, persistent=False)

    def forward(self, words: Tensor, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Put the context into texts: embeddings (T, L, W) of ids (T, L), without positions.

        Lengths (T,) are ids up to and including end of text.

        Returns:
            (T, L', W) embeddings with the context among them, and (T, L) where in it each id of
            the text went. A text that leaves no room for the context is cut, but keeps its end.

        Raises:
            UserError: Texts have contexts of their own, but this one has none.
        """
        count, width = ids.shape
        row, column = (torch.arange(size, device=ids.device) for size in (count, width))
        shown = min(width, self.longest - self.tokens)
        last = lengths[:, None] - 1
        # Of a text that is cut, the end of text is shown in the last place that is left.
        source = torch.where(column == shown - 1, last.clamp(min=shown - 1), column)[:, :shown]
        before = self._before(last.clamp(max=shown - 1) - 1)
        keys = torch.cat([before - 0.5, column[:shown].expand(count, -1)], dim=1)
        order = keys.argsort(dim=1, stable=True)
        both = torch.cat([self._vectors(ids, lengths).to(words), words[row[:, None], source]], 1)
        places = order.argsort(dim=1)[:, self.tokens :]
        return both[row[:, None], order], places[:, column.clamp(max=shown - 1)]

    def _before(self, stop: Tensor) -> Tensor:
        """Return (T, M): the position of a text that each vector stands in front of.

        A text's full stop is at `stop` (T, 1); in a text of no token that is the end of text.
        """
        stop = stop.clamp(min=1).expand(-1, self.tokens)
        behind = {"end": self.tokens, "middle": self.tokens // 2, "front": 0}[self.position]
        return torch.where(torch.arange(self.tokens, device=stop.device) < behind, 1, stop)

    def _vectors(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return (T, M, W): the context of each text."""
        if self.classes is None:
            return self.vectors.expand(len(ids), -1, -1)
        column = torch.arange(ids.shape[1], device=ids.device)
        texts = ids.masked_fill(column >= lengths[:, None], _NO_ID)
        width = max(texts.shape[1], self.classes.shape[1])
        texts, known = (
            F.pad(each, (0, width - each.shape[1]), value=_NO_ID) for each in (texts, self.classes)
        )
        same = (texts[:, None] == known).all(dim=-1)  # (T, D)
        if not bool(same.any(dim=1).all()):
            raise UserError(
                f"only the {len(known)} classes that were learned have a context, and there is a "
                "text of another one; learn one context for all (method.class_specific false)."
            )
        return self.vectors[same.int().argmax(dim=1)]


def attach_context(network: CLIPModel, config: ContextConfig) -> nn.Parameter:
    """Put a context into the text tower, in place; return its vectors, (M, W) or (D, M, W).

    Raises:
        UserError: The tower has no room for it.
    """
    embeddings: Any = network.text_model.embeddings
    table, longest = embeddings.token_embedding.weight, len(embeddings.position_embedding.weight)
    if config.tokens > longest - _LEAST_WORDS:
        raise UserError(
            f"context.tokens is {config.tokens}, but the text tower has {longest} positions; "
            f"use {longest - _LEAST_WORDS} at most."
        )
    shape = (len(config.classes), config.tokens) if config.classes else (config.tokens,)
    vectors = torch.empty(*shape, table.shape[1]).normal_(std=0.02).to(table)
    if config.start:
        vectors[:] = table.detach()[list(config.start)]
    embeddings.context = Context(vectors, config, longest).train(network.training)
    return embeddings.context.vectors
