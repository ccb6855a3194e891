"""Classes in the shards of CLIP_benchmark's `wds_*` data sets (see `data/tar_samples.py`)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from trifocal.data.tar_samples import TarSample, find_shards, tar_samples
from trifocal.errors import UserError
from trifocal.evaluate.labeled.pictures import Labeled, several_classes


def read_shards(root: Path, split: str) -> Labeled | None:
    """Return the pictures of a folder of shards; None where there are none.

    A class is a number in `.cls` (or `.txt`); several are a plain array of zeros and ones in `.npy`.

    Raises:
        UserError: a shard is damaged or missing, or a class is no number.
    """
    paths = find_shards(root, split)
    if not paths:
        return None
    samples = list(tar_samples(paths, ("cls", "txt", "npy")))
    images = [sample.picture for sample in samples]
    if not samples:
        raise UserError(f"{paths[0]} has no picture; fetch it anew.")
    if "npy" in samples[0].beside:
        rows = [_targets(sample) for sample in samples]
        return Labeled(images, [], positives=several_classes(rows, str(paths[0].parent)))
    return Labeled(images, [_label(sample) for sample in samples])


def _label(sample: TarSample) -> int:
    text = sample.beside.get("cls", sample.beside.get("txt", b"")).decode("latin-1").strip()
    if not text.isdecimal():
        raise UserError(
            f"{sample.picture} has the class {text!r:.40}, which is no number from 0 on."
        )
    return int(text)


def _targets(sample: TarSample) -> list[float]:
    try:
        array = np.load(io.BytesIO(sample.beside["npy"]), allow_pickle=False)
        return [float(value) for value in array.reshape(-1)]
    except (KeyError, ValueError, EOFError, OSError, MemoryError) as error:
        raise UserError(
            f"{sample.picture} has targets that are no plain array ({error}); fetch the shard anew."
        ) from None
