"""Two few-shot methods on the same questions: which each got right, and the paired difference.

Test sets are the same for every seed and number of shots, so a question's mark is averaged over
them, and questions are drawn with replacement within each data set (a stratified paired
bootstrap; Efron, 1979). Drawing n questions whose marks take few values is drawing their counts
from a multinomial, which is the same and far cheaper.

The marks are kept beside the results file, one small file a row.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from trifocal.evaluate.few_shot.rows import ACC, TEST, Measured, Place, identity
from trifocal.files import atomic_write
from trifocal.metrics.intervals import Difference
from trifocal.metrics.result import Result


def keep_answers(
    results: str | os.PathLike[str], row: Result, right: Tensor, labels: Tensor
) -> Path:
    """Write which questions an accuracy's row got right, (n,) in [0, 1]; return the file.

    It lies beside the results file of the row. By the right answers `labels` (n,) two rows are
    seen to be of the same questions.
    """
    path = _file(results, row)
    tensors = {
        "right": right.detach().cpu().numpy().astype(np.float16),
        "label": labels.detach().cpu().numpy().astype(np.int32),
    }
    with atomic_write(path) as aside:
        save_file(tensors, aside, {"row": json.dumps(identity(row))})
    return path


def _file(results: str | os.PathLike[str], row: Result) -> Path:
    told = json.dumps(identity(row))
    words = re.sub(r"[^\w.-]+", "_", f"{row.benchmark}-{row.task}-{row.seed}-{row.model}")
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    path = Path(results)
    return path.with_name(f"{path.stem}.answers") / f"{words[:80]}-{digest}.safetensors"


class Answers:
    """Which questions each row got right, read from beside its results file (or files, if any).

    Rows are named as tables name them.
    """

    def __init__(
        self, measured: Iterable[Measured], results: Iterable[str | os.PathLike[str]]
    ) -> None:
        self._files = list(results)
        self._rows: dict[tuple[str, Place], dict[int | None, Result]] = {}
        for one in measured:
            if one.row.metric == ACC:
                self._rows.setdefault((one.method, one.place), {})[one.row.seed] = one.row

    def marks(self, method: str, place: Place) -> dict[int | None, tuple[np.ndarray, np.ndarray]]:
        """Return right (n,) and label (n,) by seed; nothing where they were not kept."""
        found = {}
        for seed, row in self._rows.get((method, place), {}).items():
            for path in (_file(file, row) for file in self._files):
                try:
                    tensors = load_file(path)
                    right, label = tensors["right"].astype(float), tensors["label"]
                except (OSError, SafetensorError, KeyError, TypeError, ValueError):
                    continue
                if right.shape == label.shape == (len(label),) and np.isfinite(right).all():
                    found[seed] = (right, label)
                    break
        return found

    def difference(
        self, method: str, other: str, datasets: Sequence[str], shots: Sequence[int], test: str
    ) -> Difference | None:
        """Return how much better a method is than another, averaged over data sets and shots.

        None where the answers of one of them are missing, or are not to the same questions.
        """
        strata = []
        for dataset in datasets:
            pairs = []
            for count in shots:
                place = Place(dataset, count, test)
                ours, theirs = self.marks(method, place), self.marks(other, place)
                if not ours or ours.keys() != theirs.keys():
                    return None
                pairs += [(ours[seed], theirs[seed]) for seed in ours]
            labels = [one[1] for pair in pairs for one in pair]
            if any(not np.array_equal(labels[0], label) for label in labels):
                return None
            strata.append(np.mean([after[0] - before[0] for after, before in pairs], axis=0))
        return paired_over_strata(strata) if strata else None

    def differences(
        self, methods: Sequence[str], other: str, datasets: Sequence[str], shots: Sequence[int]
    ) -> Iterator[tuple[str, list[Difference | None], Difference | None]]:
        """Yield methods with their differences to another on the test, by shots and over all shots.

        Those without any are left out, and so is the other itself.
        """
        for method in methods:
            if method == other:
                continue
            each = [self.difference(method, other, datasets, [count], TEST) for count in shots]
            if any(each):
                yield method, each, self.difference(method, other, datasets, shots, TEST)


def paired_over_strata(
    strata: Sequence[np.ndarray], *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> Difference:
    """Return the mean over strata of their mean differences, with interval and p-value.

    A stratum (a data set) has the difference of every question; `samples` and `seed` are of the
    bootstrap.
    """
    rng = np.random.default_rng(seed)
    means = np.zeros(samples)
    for difference in strata:
        values, counts = np.unique(np.round(difference, 9), return_counts=True)
        drawn = rng.multinomial(len(difference), counts / len(difference), samples)
        means += drawn @ values / len(difference) / len(strata)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    # Sums of rounded thirds are not exactly zero; one is added as in `paired_bootstrap`.
    below = (1 + int((means <= 1e-9).sum())) / (samples + 1)
    above = (1 + int((means >= -1e-9).sum())) / (samples + 1)
    value = float(np.mean([difference.mean() for difference in strata]))
    return Difference(value, float(low), float(high), min(1.0, 2 * min(below, above)))
