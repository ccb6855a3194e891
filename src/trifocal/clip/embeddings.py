"""What the two towers return, and what the text tower is given.

The local losses need patches and tokens beside the pooled vectors; FSC-CLIP (Oh et al., EMNLP
2024, arXiv 2410.05210), section 3, uses them in the joint space of both towers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class ImageEmbedding:
    """A batch of images in the joint space.

    Attributes:
        pooled: (B, D) unit vectors, from CLS.
        patches: (B, P, D) patches in row-major order, not normalized; None unless asked for.

    Example:
        >>> import torch, trifocal
        >>> embedding = trifocal.ImageEmbedding(torch.eye(2, 4))
        >>> len(embedding), embedding.patches is None
        (2, True)
    """

    pooled: Tensor
    patches: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, rows: slice) -> ImageEmbedding:
        return self._each(lambda tensor: tensor[rows])

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> ImageEmbedding:
        """Return the embeddings on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> ImageEmbedding:
        """Return the embeddings in page-locked memory (a data loader calls this)."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> ImageEmbedding:
        patches = None if self.patches is None else change(self.patches)
        return ImageEmbedding(change(self.pooled), patches)


# What a batch has of its pictures: (B, 3, H, W) pixels, or what a frozen tower made of them.
Pictures = Tensor | ImageEmbedding


@dataclass
class TextEmbedding:
    """A batch of texts in the joint space.

    Attributes:
        pooled: (T, D) unit vectors, from the end-of-text position.
        tokens: (T, L, D) every position, not normalized; None unless asked for.
        mask: (T, L) True for content and end of text, False for start and padding; None unless
            tokens were asked for.

    Example:
        >>> import trifocal
        >>> found = trifocal.load_clip("builtin").encode_text(["a dog", "a red ball"], tokens=True)
        >>> found.pooled.shape, found.tokens.shape[0], found.mask.dtype
        (torch.Size([2, 128]), 2, torch.bool)
    """

    pooled: Tensor
    tokens: Tensor | None = None
    mask: Tensor | None = None


@dataclass
class TextBatch:
    """Tokenized texts, padded on the right.

    Attributes:
        ids: (T, L) long: start of text, content, end of text, then padding of any id.
        lengths: (T,) long: number of ids up to and including end of text.
        longest: the largest of `lengths` where the maker knows it, so that nobody has to wait for
            a GPU to tell it.
        cut: (T,) bool, which texts are the beginning of a longer one; None where nobody says.

    Example:
        >>> import trifocal
        >>> batch = trifocal.load_clip("builtin").tokenize(["a dog", "a red ball"])
        >>> len(batch), bool(batch.mask[:, 0].any())
        (2, False)
    """

    ids: Tensor
    lengths: Tensor
    longest: int | None = None
    cut: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """(T, L) bool: True for content and end of text, by position, whatever the ids are."""
        position = torch.arange(self.ids.shape[1], device=self.ids.device)
        return (position >= 1) & (position < self.lengths[:, None])

    def __len__(self) -> int:
        return self.ids.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> TextBatch:
        """Return the batch on `device`."""
        return TextBatch(
            self.ids.to(device, non_blocking=non_blocking),
            self.lengths.to(device, non_blocking=non_blocking),
            self.longest,
        )

    def pin_memory(self) -> TextBatch:
        """Return the batch in page-locked memory (a data loader calls this)."""
        cut = None if self.cut is None else self.cut.pin_memory()
        return TextBatch(self.ids.pin_memory(), self.lengths.pin_memory(), self.longest, cut)

    def rows(self, index: slice | Tensor | Sequence[int]) -> TextBatch:
        """Return some of the texts; the padded length stays."""
        chosen = index if isinstance(index, slice | Tensor) else torch.as_tensor(index).long()
        return TextBatch(self.ids[chosen], self.lengths[chosen])

    def trimmed(self) -> TextBatch:
        """Return the batch without the columns that are padding in every row."""
        if not len(self):
            return self
        longest = int(self.lengths.max()) if self.longest is None else self.longest
        return TextBatch(self.ids[:, :longest], self.lengths, longest, self.cut)


def by_length(lengths: Tensor) -> Tensor:
    """Return the rows of texts (T,), the longest first, equally long ones in their order."""
    return lengths.argsort(descending=True, stable=True)


def length_groups(lengths: Tensor, worth: float = 0.1) -> list[Tensor]:
    """Split texts into groups of like length, so that encoding a group pads little.

    Args:
        lengths: (T,) on the CPU.
        worth: A cut must spare this share of all padded positions, since every group costs a
            pass through the tower.

    Returns:
        The rows of each group, longest texts first; one group where no cut is worth it.
    """

    def split(rows: Tensor) -> list[Tensor]:
        own = lengths[rows]
        # Cut before row i, the rows from i on are padded to its length, not to the longest.
        spared = (own[0] - own) * torch.arange(len(own), 0, -1)
        cut = int(spared.argmax())
        if spared[cut] <= least:
            return [rows]
        return split(rows[:cut]) + split(rows[cut:])

    order = by_length(lengths)
    if not len(order):
        return [order]
    least = worth * len(lengths) * lengths[order[0]]
    return split(order)
