"""Pictures embedded by the workers of a Ray cluster, for a score that is made here.

The cluster is the one that `RAY_ADDRESS` names, else this machine. Each worker loads the model once;
every machine must see the pictures under the same paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from trifocal.clip.encoder import Encoder
from trifocal.errors import UserError, install
from trifocal.features.embed import embed_pictures
from trifocal.features.identity import Picture
from trifocal.features.shared import Embedded, interleaved
from trifocal.progress import Progress, Quiet


def import_ray() -> Any:
    """Return the module `ray`.

    Raises:
        UserError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise UserError(
            f"--ray wants Ray; install it with {install('ray')}, or leave it out."
        ) from None
    return ray


class OnRay:
    """Embeds pictures in workers, which are started when they are first asked.

    Args:
        load: Loads the model, in each worker.
        workers: How many.
        gpus: Of each worker.
        progress: Told of the pictures of a worker when it has done its share.

    Raises:
        UserError: Ray is not installed.
    """

    def __init__(
        self, load: Callable[[], Encoder], workers: int, gpus: int, progress: Progress
    ) -> None:
        self._ray = import_ray()
        self._load, self._count, self._gpus, self._progress = load, workers, gpus, progress
        self._workers: list[Any] = []

    def __call__(self, pictures: Sequence[Picture]) -> Embedded:
        """Return the features of those of some pictures that can be read, and why others cannot."""
        asked = [pictures[worker :: self._count] for worker in range(self._count)]
        made = {
            worker.embed.remote(list(share)): len(share)
            for worker, share in zip(self._started(), asked, strict=True)
        }
        waiting = list(made)
        while waiting:
            done, waiting = self._ray.wait(waiting)
            self._progress.advance(made[done[0]])
        return interleaved(self._ray.get(list(made)), [len(share) for share in asked])

    def _started(self) -> list[Any]:
        if not self._workers:
            if not self._ray.is_initialized():
                self._ray.init(log_to_driver=False, include_dashboard=False)
            worker = self._ray.remote(num_cpus=1, num_gpus=self._gpus)(_Worker)
            threads = torch.get_num_threads()
            self._workers = [worker.remote(self._load, threads) for _ in range(self._count)]
        return self._workers

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []


class _Worker:
    """Embeds one share after another, with as many threads as the process that asks."""

    def __init__(self, load: Callable[[], Encoder], threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = load()

    def embed(self, pictures: list[Picture]) -> tuple[torch.Tensor, dict[int, str]]:
        """Return the features of those that can be read, and why others cannot."""
        if not pictures:
            return torch.empty(0, 0), {}
        rows, broken = embed_pictures(self._model, pictures, progress=Quiet())
        return rows, {place: str(getattr(one, "reason", one)) for place, one in broken.items()}
