"""Which samples make which batch, and the workers that make batches ahead.

Data order is a pure function of (seed, epoch) and the number of samples; the draws made for a
sample (caption, crop, hard negatives) are a pure function of (seed, epoch, index). Neither depends
on workers or processes: process r of R takes the r-th slice of each global batch, so R processes
with B / R samples each see what one process with B sees, and a run taken up in the middle of an
epoch goes on exactly where it was.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from trifocal.data.batching import Batch, Batching
from trifocal.data.images import BadImage
from trifocal.data.samples import Skipped, Source
from trifocal.devices import usable_cores
from trifocal.errors import UserError

# Tags keep the two families of generators apart: (seed, epoch) and (seed, epoch, 0) would
# otherwise give one and the same stream.
_ORDER, _SAMPLE = 1, 2
_ATTEMPTS = 100


@dataclass(frozen=True)
class Order:
    """The order of `count` samples in every epoch, cut into global batches of `batch_size`.

    The last, incomplete batch of an epoch is dropped.
    """

    count: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.count < self.batch_size:
            raise UserError(
                f"the data have {self.count} samples, fewer than one batch of {self.batch_size}; "
                f"set batch_size to {max(self.count, 1)} or less."
            )

    @property
    def batches(self) -> int:
        """The number of batches in an epoch."""
        return self.count // self.batch_size

    def permutation(self, epoch: int) -> np.ndarray:
        """Return the (count,) sample indices in the order of `epoch`."""
        return np.random.default_rng((_ORDER, self.seed, epoch)).permutation(self.count)

    def drawn(self, batches: int) -> np.ndarray:
        """Return the indices, in order, of the samples that the first `batches` batches draw."""
        found = np.zeros(self.count, dtype=bool)
        for epoch in range(-(-batches // self.batches)):
            left = min(batches - epoch * self.batches, self.batches)
            found[self.permutation(epoch)[: left * self.batch_size]] = True
            if found.all():
                break
        return np.flatnonzero(found)

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """Return the generator that serves sample `index` in `epoch`."""
        return np.random.default_rng((_SAMPLE, self.seed, epoch, index))


class BatchMaker(Dataset):
    """Makes one process's part of global batch `number`, counted from the start of training.

    Args:
        source: Where samples come from.
        order: Which samples make which batch.
        batching: How samples become a batch.
        rank: This process among `processes`.
        processes: The number of processes that share a batch.
    """

    def __init__(
        self, source: Source, order: Order, batching: Batching, *, rank: int = 0, processes: int = 1
    ) -> None:
        if order.batch_size % processes:
            raise UserError(
                f"batch_size {order.batch_size} cannot be shared by {processes} processes; "
                f"choose a multiple of {processes}."
            )
        self.source, self.order, self.batching = source, order, batching
        self.rank, self.share = rank, order.batch_size // processes
        self._epoch, self._permutation = -1, np.empty(0, dtype=np.int64)

    def __getitem__(self, number: int) -> Batch | UserError:
        """Make the batch; what the user must hear of is handed back, not raised.

        An exception that crosses from a worker would arrive wrapped in its traceback.
        """
        try:
            return self.make(number)
        except UserError as error:
            return error

    def make(self, number: int) -> Batch:
        """Make this process's part of global batch `number`."""
        epoch, place = divmod(number, self.order.batches)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self.order.permutation(epoch)
        start = place * self.order.batch_size + self.rank * self.share
        skipped: list[Skipped] = []
        drawn = [self._draw(epoch, start + i, skipped) for i in range(self.share)]
        batch = self.batching.collate(drawn)
        batch.skipped = skipped
        return batch

    def _draw(self, epoch: int, position: int, skipped: list[Skipped]) -> Any:
        """Make the sample at `position` of the epoch; one that cannot be read is replaced.

        The substitute stands half an epoch away, so it is not in the same batch already, and
        which one it is depends on the position alone.
        """
        count = self.order.count
        for attempt in range(min(_ATTEMPTS, count)):
            away = count // 2 + attempt - 1 if attempt else 0
            index = int(self._permutation[(position + away) % count])
            rng = self.order.generator(epoch, index)
            try:
                return self.batching.draw(self.source.sample(index, rng), rng)
            except BadImage as error:
                skipped.append(Skipped(error.path, error.reason))
        last = skipped[-1]
        raise UserError(
            f"{min(_ATTEMPTS, count)} pictures in a row could not be read, the last one {last.id} "
            f"({last.reason}); check the folder of images."
        )


class _Numbers(Sampler[int]):
    """The numbers of the batches still to be made."""

    def __init__(self, start: int, stop: int) -> None:
        self.numbers = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


def _quiet_worker(_: int) -> None:
    """Leave signals to the main process, which finishes its step and then ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)


def batches(
    maker: BatchMaker, start: int, stop: int, *, workers: int = 0, pin_memory: bool = False
) -> Generator[Batch]:
    """Yield batches `start` to `stop` - 1, over as many epochs as that takes.

    Args:
        maker: Makes one batch of its number.
        start: First number.
        stop: End of the numbers.
        workers: Processes that make batches ahead, as far as there are cores for them; 0 makes each
            when it is asked for.
        pin_memory: Hand over page-locked memory, for a GPU.

    Raises:
        UserError: a batch cannot be made, or the system ended a worker.
    """
    # Else the tokenizers library warns of every fork; a worker is one thread in any case.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    loader = DataLoader(
        maker,
        batch_size=None,
        sampler=_Numbers(start, stop),
        num_workers=min(workers, usable_cores()),
        worker_init_fn=_quiet_worker,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
    )
    made = iter(loader)
    while True:
        try:
            batch = next(made)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(
                "the system ended a data worker, as a rule for lack of memory; lower workers or "
                "batch_size."
            ) from error
        if isinstance(batch, UserError):
            raise batch
        yield batch
