"""Embeddings of texts under a frozen tower, kept in memory: captions come again in every epoch."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from trifocal.clip import Clip, TextBatch, TextEmbedding
from trifocal.clip.encode import evaluating

Kept = tuple[Tensor, Tensor | None]  # pooled (D,), and tokens (L, D) where they were asked for


class KeptTexts:
    """What a text tower that does not learn makes of texts; those used last are kept.

    Args:
        most_bytes: How much they may take.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._known: OrderedDict[bytes, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def embed(self, clip: Clip, text: TextBatch, *, tokens: bool = False) -> TextEmbedding:
        """Return what `clip.encode_text` returns; a text that is known is looked up."""
        lengths = text.lengths.tolist()
        ids = text.ids.cpu().numpy()
        keys = [ids[row, :length].tobytes() for row, length in enumerate(lengths)]
        rows = {key: row for row, key in enumerate(keys)}
        here = {key: self._known[key] for key in rows if key in self._known}
        missing = [key for key in rows if key not in here]
        if missing:
            here.update(
                self._made(clip, text.rows([rows[key] for key in missing]), missing, tokens)
            )
        for key in rows:
            self._keep(key, here[key])
        pooled = torch.stack([here[key][0] for key in keys])
        if not tokens:
            return TextEmbedding(pooled)
        states = [states for key in keys if (states := here[key][1]) is not None]
        longest = max(lengths)
        mask = text.mask[:, :longest].to(pooled.device)
        return TextEmbedding(
            pooled, torch.nn.utils.rnn.pad_sequence(states, batch_first=True), mask
        )

    @torch.no_grad()
    def _made(
        self, clip: Clip, text: TextBatch, keys: list[bytes], tokens: bool
    ) -> dict[bytes, Kept]:
        with evaluating(clip):
            made = clip.encode_text(text, tokens=tokens)
        found: dict[bytes, Kept] = {}
        for row, (key, length) in enumerate(zip(keys, text.lengths.tolist())):
            states = None if made.tokens is None else made.tokens[row, :length].clone()
            found[key] = made.pooled[row].clone(), states
        return found

    def _keep(self, key: bytes, kept: Kept) -> None:
        """Note that a text was used, and forget those that were not for the longest time."""
        if key not in self._known:
            self.bytes += _size(key, kept)
        self._known[key] = kept
        self._known.move_to_end(key)
        while self.bytes > self.most_bytes and self._known:
            self.bytes -= _size(*self._known.popitem(last=False))


def _size(key: bytes, kept: Kept) -> int:
    return len(key) + sum(tensor.nbytes for tensor in kept if tensor is not None)
