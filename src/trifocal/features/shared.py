"""Embeddings that all benchmarks of a run share, and that the next run finds on the disk.

Benchmarks ask about the same photos over and over, and a run may be stopped half-way. Inside
`sharing(model)` every picture file and every text is embedded once; pictures go through the store that
few-shot heads use too (`sharing.py` opens it). In several processes each embeds its share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from trifocal.clip.embeddings import TextBatch
from trifocal.data.held import Held
from trifocal.data.picture_keys import KEY_BYTES, picture_key
from trifocal.features.identity import Picture, identity
from trifocal.processes import is_first, world_size
from trifocal.progress import Progress

if TYPE_CHECKING:
    from trifocal.features.store import FeatureStore, Row

CHUNK = 4096  # embeddings in one file of the store; a stopped run loses no more

Thing = TypeVar("Thing")
Embedded = tuple[Tensor, dict[int, Exception]]  # rows of the good ones, and why others are broken
Elsewhere = Callable[[Sequence[Picture]], Embedded]


class Shared:
    """What is known of one model's embeddings.

    Args:
        model: The model.
        pictures: Where features of pictures are kept on the disk, if they are.
        texts: Where embeddings of texts are.
        elsewhere: Embeds pictures instead of this process, such as workers on other machines; it
            tells of its progress itself.
    """

    def __init__(
        self,
        model: object,
        pictures: FeatureStore | None,
        texts: FeatureStore | None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.model = model
        self._elsewhere = elsewhere
        self._picture_store, self._text_store = pictures, texts
        self._pictures: dict[Hashable, Row] = {}
        self._broken: dict[Hashable, Exception] = {}
        self._texts: dict[bytes, Row] = {}

    def pictures(
        self,
        asked: Sequence[Picture],
        embed: Callable[[Sequence[Picture]], Embedded],
        progress: Progress,
    ) -> Embedded:
        """Return the features (n, d) of those of N distinct pictures that can be read.

        Args:
            asked: Pictures in files.
            embed: Embeds some of them, and tells `progress` of each.
            progress: Told of those that are known, too.
        """
        names = [identity(one) for one in asked]
        keys = {name: _key(one) for name, one in zip(names, asked, strict=True)}
        known = {**self._pictures, **dict.fromkeys(self._broken)}
        self._find(
            [name for name in names if name not in known],
            keys,
            self._pictures,
            self._picture_store,
        )
        missing = [
            number
            for number, name in enumerate(names)
            if name not in self._pictures and name not in self._broken
        ]
        progress.advance(len(asked) - len(missing))
        for start in range(0, len(missing), CHUNK):
            chosen = missing[start : start + CHUNK]
            new = [asked[number] for number in chosen]
            rows, broken = (
                self._elsewhere(new) if self._elsewhere else _spread_over_processes(new, embed)
            )
            self._broken |= {names[chosen[place]]: error for place, error in broken.items()}
            good = [names[number] for place, number in enumerate(chosen) if place not in broken]
            self._keep(good, rows, keys, self._pictures, self._picture_store)
        broken = {
            number: self._broken[name] for number, name in enumerate(names) if name in self._broken
        }
        good = [name for name in names if name not in self._broken]
        return _stacked([self._pictures[name] for name in good]), broken

    def texts(
        self,
        asked: TextBatch,
        embed: Callable[[TextBatch], Tensor],
        progress: Progress,
    ) -> Tensor:
        """Return the embeddings (T, D) of T distinct texts.

        Args:
            asked: The texts.
            embed: Embeds some of them, and tells `progress` of each.
            progress: Told of those that are known, too.
        """
        ids, lengths = asked.ids.cpu().numpy(), asked.lengths.tolist()
        names = [
            hashlib.sha256(row[:length].astype("<i8").tobytes()).digest()[:KEY_BYTES]
            for row, length in zip(ids, lengths, strict=True)
        ]
        keys = {name: name for name in names}
        new = [name for name in names if name not in self._texts]
        self._find(new, keys, self._texts, self._text_store)
        missing = [number for number, name in enumerate(names) if name not in self._texts]
        # The longest first and together, so that no pass is wider than it must be.
        missing.sort(key=lambda number: -lengths[number])
        progress.advance(len(names) - len(missing))
        for start in range(0, len(missing), CHUNK):
            chosen = missing[start : start + CHUNK]

            def embed_some(numbers: Sequence[int]) -> Embedded:
                return embed(asked.rows(torch.tensor(numbers))).float().cpu(), {}

            rows, _ = _spread_over_processes(chosen, embed_some)
            self._keep([names[one] for one in chosen], rows, keys, self._texts, self._text_store)
        return _stacked([self._texts[name] for name in names])

    @staticmethod
    def _find(
        names: Sequence[Thing],
        keys: dict[Thing, bytes],
        known: dict[Thing, Row],
        store: FeatureStore | None,
    ) -> None:
        """Take from the store what it holds of some things."""
        if store is None or not names:
            return
        found = store.find([keys[name] for name in names])
        known |= {name: found[keys[name]] for name in names if keys[name] in found}
        if (
            world_size() > 1
        ):  # another process may have written meanwhile: all know what the first does
            agreed: list[set[Thing]] = [{name for name in names if name in known}]
            dist.broadcast_object_list(agreed)
            for name in names:
                if name not in agreed[0]:
                    known.pop(name, None)

    @staticmethod
    def _keep(
        names: Sequence[Thing],
        rows: Tensor,
        keys: dict[Thing, bytes],
        known: dict[Thing, Row],
        store: FeatureStore | None,
    ) -> None:
        """Remember new rows (n, d), and write them; of several processes the first one writes."""
        if not names:
            return
        rows = rows[:, None]
        if store is not None and is_first():
            found = store.keep([keys[name] for name in names], rows)
            known |= {name: found[keys[name]] for name in names}
        else:
            known |= {name: (rows, place) for place, name in enumerate(names)}


_SHARED: ContextVar[Shared | None] = ContextVar("shared", default=None)


@contextmanager
def in_use(shared: Shared) -> Iterator[None]:
    """Let what embeds with the model of `shared` use it while the block runs."""
    token = _SHARED.set(shared)
    try:
        yield
    finally:
        _SHARED.reset(token)


def shared_with(model: object) -> Shared | None:
    """Return what is shared of this model's embeddings, if anything is just now."""
    shared = _SHARED.get()
    return shared if shared is not None and shared.model is model else None


def in_files(pictures: Sequence[object]) -> bool:
    """Return whether all of some pictures lie in files: others cannot be known again."""
    return all(isinstance(one, str | Path | Held) for one in pictures)


def _key(picture: Picture) -> bytes:
    if isinstance(picture, Held):
        return picture_key(picture.path, repr(picture))
    assert isinstance(picture, str | Path)
    return picture_key(Path(picture))


def _spread_over_processes(
    things: Sequence[Thing], embed: Callable[[Sequence[Thing]], Embedded]
) -> Embedded:
    """Embed things, each process its share; every process returns all of it."""
    count = world_size()
    if count == 1:
        return embed(things)
    rank = dist.get_rank()
    mine = things[rank::count]
    rows, broken = embed(mine) if mine else (torch.empty(0, 0), {})
    parts: list[tuple[Tensor, dict[int, str]]] = [(rows, {})] * count
    said = {place: str(getattr(error, "reason", error)) for place, error in broken.items()}
    dist.all_gather_object(parts, (rows, said))
    return interleaved(parts, [len(things[process::count]) for process in range(count)])


def interleaved(parts: Sequence[tuple[Tensor, dict[int, str]]], counts: Sequence[int]) -> Embedded:
    """Return in their own order what was dealt out in turn: to the first, the second, and so on.

    Args:
        parts: Rows of the good ones of each share, and by place in the share why others are broken.
        counts: How many things each share had.
    """
    shares = len(parts)
    every: dict[int, Exception] = {}
    placed: dict[int, Tensor] = {}
    for share, ((found, reasons), count) in enumerate(zip(parts, counts, strict=True)):
        every |= {place * shares + share: OSError(reason) for place, reason in reasons.items()}
        good = [place for place in range(count) if place not in reasons]
        placed |= {place * shares + share: row for place, row in zip(good, found, strict=True)}
    rows = [placed[place] for place in sorted(placed)]
    return (torch.stack(rows) if rows else torch.empty(0, 0)), every


def _stacked(rows: Sequence[Row]) -> Tensor:
    """Return the first view of each row as one (N, d)."""
    if not rows:
        return torch.empty(0, 0)
    return torch.stack([part[row, 0] for part, row in rows])
