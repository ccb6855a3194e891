"""Which samples make which batch, and how a batch is put together.

Data order is a pure function of (seed, epoch) and the number of samples; the draws made for a
sample (caption, crop, hard negatives) are a pure function of (seed, epoch, index). Neither depends
on workers or processes: process r of R takes the r-th slice of each global batch, so R processes
with B / R samples each see what one process with B sees, and a run taken up in the middle of an
epoch goes on exactly where it was.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler

from trifocal.data.images import BadImage
from trifocal.data.samples import CaptionBatch, Sample, Skipped, Source
from trifocal.errors import UserError

if TYPE_CHECKING:
    from trifocal.clip.embeddings import TextBatch
    from trifocal.clip.preprocess import Preprocess

Tokenize = Callable[[list[str]], "TextBatch"]
Transform = Callable[[Image.Image, np.random.Generator], torch.Tensor]
Negatives = Callable[[str, np.random.Generator], Mapping[str, str | None]]
_Drawn = tuple[Sample, torch.Tensor, list[str | None]]

# Tags keep the two families of generators apart: (seed, epoch) and (seed, epoch, 0) would
# otherwise give one and the same stream.
_ORDER, _SAMPLE = 1, 2
_ATTEMPTS = 100
TABLE = "table"  # the kind of negatives which comes from the caption table itself


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
                f"set --batch_size {max(self.count, 1)} or less."
            )

    @property
    def batches(self) -> int:
        """The number of batches in an epoch."""
        return self.count // self.batch_size

    def permutation(self, epoch: int) -> np.ndarray:
        """Return the (count,) sample indices in the order of `epoch`."""
        return np.random.default_rng((_ORDER, self.seed, epoch)).permutation(self.count)

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """Return the generator that serves sample `index` in `epoch`."""
        return np.random.default_rng((_SAMPLE, self.seed, epoch, index))


class BatchMaker(Dataset):
    """Makes one process's part of global batch `number`, counted from the start of training.

    Args:
        source: Where samples come from.
        order: Which samples make which batch.
        tokenize: Captions to a `TextBatch`.
        transform: PIL image and generator to a uint8 tensor (3, H, W); not asked for tensors.
        negatives: Caption and generator to a mapping from kind to hard negative, or None.
        kinds: The kinds of negatives wanted, in the order of their numbers. "table" takes one of
            those written ahead in the caption table.
        rank: This process among `processes`.
        processes: The number of processes that share a batch.
    """

    def __init__(
        self,
        source: Source,
        order: Order,
        tokenize: Tokenize,
        *,
        transform: Transform | None = None,
        negatives: Negatives | None = None,
        kinds: Sequence[str] = (),
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        if order.batch_size % processes:
            raise UserError(
                f"batch_size {order.batch_size} cannot be shared by {processes} processes; "
                f"choose a multiple of {processes}."
            )
        if negatives is None and set(kinds) - {TABLE}:
            raise ValueError(
                f"negatives of kinds {tuple(kinds)} are wanted, but nothing makes them"
            )
        self.source, self.order, self.tokenize = source, order, tokenize
        self.transform, self.negatives, self.kinds = transform, negatives, tuple(kinds)
        self.rank, self.share = rank, order.batch_size // processes
        self._epoch, self._permutation = -1, np.empty(0, dtype=np.int64)

    def __getitem__(self, number: int) -> CaptionBatch | UserError:
        """Make the batch; what the user must hear of is handed back, not raised.

        An exception that crosses from a worker would arrive wrapped in its traceback.
        """
        try:
            return self.make(number)
        except UserError as error:
            return error

    def make(self, number: int) -> CaptionBatch:
        """Make this process's part of global batch `number`."""
        epoch, batch = divmod(number, self.order.batches)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self.order.permutation(epoch)
        start = batch * self.order.batch_size + self.rank * self.share
        skipped: list[Skipped] = []
        drawn = [self._draw(epoch, start + i, skipped) for i in range(self.share)]
        return self._collate(drawn, skipped)

    def _draw(self, epoch: int, position: int, skipped: list[Skipped]) -> _Drawn:
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
                sample = self.source.sample(index, rng)
                pixels = self._pixels(sample, rng)
            except BadImage as error:
                skipped.append(Skipped(error.path, error.reason))
                continue
            return sample, pixels, self._negatives(sample, rng)
        last = skipped[-1]
        raise UserError(
            f"{min(_ATTEMPTS, count)} pictures in a row could not be read, the last one {last.id} "
            f"({last.reason}); check the folder of images."
        )

    def _pixels(self, sample: Sample, rng: np.random.Generator) -> torch.Tensor:
        if isinstance(sample.image, torch.Tensor):
            return sample.image
        if self.transform is None:
            raise ValueError("the source yields PIL images, so a transform is needed")
        return self.transform(sample.image, rng)

    def _negatives(self, sample: Sample, rng: np.random.Generator) -> list[str | None]:
        """Return one hard negative a kind, drawn last so that crops do not depend on them."""
        made: Mapping[str, str | None] = {}
        if self.negatives is not None and set(self.kinds) - {TABLE}:
            made = self.negatives(sample.caption, rng)
        written = sample.negatives
        table = (
            written[int(rng.integers(len(written)))] if TABLE in self.kinds and written else None
        )
        return [table if kind == TABLE else made.get(kind) for kind in self.kinds]

    def _collate(self, drawn: list[_Drawn], skipped: list[Skipped]) -> CaptionBatch:
        captions = [sample.caption for sample, _, _ in drawn]
        owners, kinds, negatives = [], [], []
        for kind in range(len(self.kinds)):
            for owner, (_, _, made) in enumerate(drawn):
                if made[kind] is not None:
                    owners.append(owner)
                    kinds.append(kind)
                    negatives.append(made[kind])
        return CaptionBatch(
            pixels=torch.stack([pixels for _, pixels, _ in drawn]),
            text=self.tokenize(captions + negatives).trimmed(),
            owner=torch.tensor(owners, dtype=torch.long),
            kind=torch.tensor(kinds, dtype=torch.long),
            ids=[sample.id for sample, _, _ in drawn],
            captions=captions,
            negatives=negatives,
            skipped=skipped,
        )


@dataclass(frozen=True)
class RandomCrop:
    """The training transform: a random crop of a random size, brought to the model's size."""

    preprocess: Preprocess
    scale: tuple[float, float] = (0.9, 1.0)

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> torch.Tensor:
        return self.preprocess.train_crop(image, rng, self.scale)


@dataclass(frozen=True)
class CenterCrop:
    """The evaluation transform, for training without augmentation."""

    preprocess: Preprocess

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> torch.Tensor:
        return self.preprocess(image)


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
) -> Generator[CaptionBatch]:
    """Yield batches `start` to `stop` - 1, over as many epochs as that takes.

    Args:
        maker: Makes one batch of its number.
        start: First number.
        stop: End of the numbers.
        workers: Processes that make batches ahead; 0 makes each when it is asked for.
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
        num_workers=workers,
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
                "the system ended a data worker, as a rule for lack of memory; lower --workers or "
                "--batch_size."
            ) from error
        if isinstance(batch, UserError):
            raise batch
        yield batch
