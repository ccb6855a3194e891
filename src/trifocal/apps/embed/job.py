"""A list of pictures becomes a file of embeddings: by one process, by several, or by a cluster.

The list is cut into fixed chunks (`features/corpus.py`). Who embeds which does not matter; a finished
chunk is kept in a folder beside the file, and the file is put together from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from trifocal.clip.encoder import Encoder
from trifocal.data.picture_lists import ListedPicture
from trifocal.errors import UserError
from trifocal.features.corpus import Embedded, chunks, embed_chunk
from trifocal.features.embedding_files import write_embeddings
from trifocal.features.parts import Parts
from trifocal.progress import Onward, Progress

Chunk = list[ListedPicture]
# Takes numbered chunks, and yields each of them embedded, in any order.
Work = Callable[[Sequence[tuple[int, Chunk]]], Iterator[tuple[int, Embedded]]]


class Job:
    """The embeddings of a list, as far as they are made.

    Args:
        listed: The pictures.
        out: The file that will hold them.
        facts: "model", "sha256": what decides an embedding beside the picture.
    """

    def __init__(self, listed: Sequence[ListedPicture], out: Path, facts: dict[str, str]) -> None:
        self.listed, self.out, self.facts = listed, out, facts
        self.chunks: list[Chunk] = list(chunks(listed))
        self._stamps = [[one.stamp() for one in chunk] for chunk in self.chunks]
        self._parts = Parts(out, facts)

    def embed(self, work: Work, progress: Progress, rank: int = 0, processes: int = 1) -> None:
        """Embed this process's share of what is not done yet.

        Args:
            work: Embeds chunks.
            progress: Told of every picture of the share.
            rank: Of this process.
            processes: How many share the work.
        """
        mine = range(rank, len(self.chunks), processes)
        progress.start("pictures", sum(len(self.chunks[number]) for number in mine))
        missing = []
        for number in mine:
            if self._parts.find(self._stamps[number]) is None:
                missing.append((number, self.chunks[number]))
            else:
                progress.advance(len(self.chunks[number]))
        for number, made in work(missing):
            self._parts.keep(self._stamps[number], made)

    def write(
        self, dtype: torch.dtype, *, force: bool = False
    ) -> tuple[int, list[tuple[str, str]]]:
        """Put the file together; return how many pictures it has, and the others.

        Raises:
            UserError: no picture can be read, or a chunk is lost.
        """
        names: list[str] = []
        rows: list[torch.Tensor] = []
        left_out: list[tuple[str, str]] = []
        for chunk, stamps in zip(self.chunks, self._stamps):
            made = self._parts.find(stamps)
            if made is None:
                raise UserError(
                    "a part of the embeddings is lost (is the disk full?); run the same command again."
                )
            there, reasons = set(made.stamps), dict(made.bad)
            names += [one.name for one, stamp in zip(chunk, stamps) if stamp in there]
            left_out += [
                (one.name, reasons.get(stamp, "changed while it was read"))
                for one, stamp in zip(chunk, stamps)
                if stamp not in there
            ]
            rows += [made.features.to(dtype)] if len(made.features) else []
        if not rows:
            raise UserError(
                f"none of {len(self.listed):,} pictures can be read; restore the files."
            )
        write_embeddings(self.out, names, torch.cat(rows), left_out, self.facts, force=force)
        self._parts.remove()
        return len(names), left_out


def by_model(model: Encoder, batch_size: int, progress: Progress) -> Work:
    """Return what embeds chunks in this process."""

    def work(numbered: Sequence[tuple[int, Chunk]]) -> Iterator[tuple[int, Embedded]]:
        for number, chunk in numbered:
            onward = Onward(progress)
            yield number, embed_chunk(model, chunk, batch_size=batch_size, progress=onward)

    return work
