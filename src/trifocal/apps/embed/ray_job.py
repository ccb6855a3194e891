"""Chunks embedded by a Ray Data pipeline, on one machine or many; each worker loads the model once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from trifocal.apps.embed.job import Chunk, Work
from trifocal.clip.encoder import Encoder
from trifocal.features.corpus import Embedded, embed_chunk
from trifocal.features.on_ray import import_ray
from trifocal.progress import Progress


def by_ray(
    load: Callable[[], Encoder], batch_size: int, workers: int, gpus: int, progress: Progress
) -> Work:
    """Return what embeds chunks in the workers of a cluster.

    The cluster is the one that `RAY_ADDRESS` names, else this machine.

    Args:
        load: Loads the model, in each worker.
        batch_size: Pictures in one pass.
        workers: How many.
        gpus: Of each worker.
        progress: Told of every picture, once its chunk is back.

    Raises:
        UserError: Ray is not installed.
    """
    ray = _import_ray()

    def work(numbered: Sequence[tuple[int, Chunk]]) -> Iterator[tuple[int, Embedded]]:
        if not numbered:
            return
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
        by_number = dict(numbered)
        items = [{"number": number, "chunk": chunk} for number, chunk in numbered]
        made = ray.data.from_items(items, override_num_blocks=len(items)).map(
            _Worker,
            fn_constructor_args=(load, batch_size, torch.get_num_threads()),
            concurrency=workers,
            num_cpus=1,
            num_gpus=gpus,
        )
        for row in made.iter_rows():
            number = int(row["number"])
            yield number, row["made"]
            progress.advance(len(by_number[number]))

    return work


class _Worker:
    """Embeds one chunk after another, with as many threads as the process that asks."""

    def __init__(self, load: Callable[[], Encoder], batch_size: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model, self._batch_size = load(), batch_size

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        made = embed_chunk(self._model, row["chunk"], batch_size=self._batch_size)
        return {"number": row["number"], "made": made}


def _import_ray() -> Any:
    ray = import_ray()
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    return ray
