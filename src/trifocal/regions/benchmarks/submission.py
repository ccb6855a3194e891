"""Sherlock's test submission: a zip of score vectors, written and checked.

Names, sizes and the rule of the zip's own name are the leaderboard's (Hessel et al., ECCV 2022;
github.com/allenai/sherlock, folder leaderboard_eval). The k-th number of a vector belongs to the
k-th `test_id` in lexicographic order. Arrays are read without unpickling and nothing is extracted.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trifocal.errors import UserError
from trifocal.files import archive_comment, atomic_write, check_file
from trifocal.regions.benchmarks.arrays import as_array

_KIND = "submission"
NAME = "test_set_predictions"
_FOLD_SIZES = (
    *(1000, 989, 996, 1004, 982, 989, 996, 991, 988, 992, 992, 1000),
    *(997, 990, 988, 987, 998, 983, 996, 983, 985, 992, 998),
)
TEST_SIZES: dict[str, int] = {
    "comparison": 4719,
    "localization": 2_365_256,
    **{f"retrieval_{fold}": size * size for fold, size in enumerate(_FOLD_SIZES)},
}
_MAX_BYTES = 256 << 20  # of one array; the largest of a real submission has 19 MB


def submission_file(path: str | os.PathLike[str]) -> Path:
    """Return the zip file of a submission, which must not be there unless it is an older one.

    Raises:
        UserError: it is there, and no submission of ours; or nothing can be written there.
    """
    target = Path(path)
    if target.suffix != ".zip":
        target /= f"{NAME}.zip"
    check_file(target, _KIND, force=True)
    return target


def write_submission(path: str | os.PathLike[str], scores: Mapping[str, Any]) -> Path:
    """Write scores as the leaderboard takes them, and return where they are.

    Args:
        path: A `.zip` file, or a folder to put `test_set_predictions.zip` in. The leaderboard
            wants that name.
        scores: (P,) scores by task ("comparison", "localization", "retrieval_0" to
            "retrieval_22"), in the lexicographic order of their test ids. They are written as
            float32.

    Raises:
        UserError: A score is NaN, a task is unknown, or see `submission_file`.
    """
    target = submission_file(path)
    unknown = [task for task in scores if task not in TEST_SIZES]
    if unknown:
        raise UserError(f"Sherlock has no task {unknown[0]!r}; there are {', '.join(TEST_SIZES)}")
    vectors = {task: as_array(value, f"{task} scores", 1) for task, value in scores.items()}
    with (
        atomic_write(target, _KIND, force=True) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as pack,
    ):
        pack.comment = archive_comment(_KIND)
        for task, vector in vectors.items():
            buffer = io.BytesIO()
            np.save(buffer, vector.astype(np.float32), allow_pickle=False)
            pack.writestr(f"{NAME}/{task}.npy", buffer.getvalue())
    return target


def check_submission(
    path: str | os.PathLike[str], sizes: Mapping[str, int] | None = None
) -> list[str]:
    """Return what the leaderboard would refuse, a sentence each; empty if nothing.

    Args:
        path: The zip file.
        sizes: Length of each task's vector; by default those of the published test set.
    """
    sizes = TEST_SIZES if sizes is None else sizes
    file = Path(path)
    if not file.is_file():
        return [f"there is no file {file}"]
    if not zipfile.is_zipfile(file):
        return [f"{file.name} is not a zip file"]
    faults = []
    if file.name != f"{NAME}.zip":
        faults.append(f"{file.name} must be named {NAME}.zip")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        return [f"{file.name} cannot be unpacked ({error})"]
    with archive:
        members = {info.filename: info for info in archive.infolist() if info.filename[-1:] != "/"}
        found = {task: members.get(f"{NAME}/{task}.npy") for task in sizes}
        if "comparison" in sizes and found["comparison"] is None:
            faults.append(f"comparison.npy is missing, which must be in the folder {NAME}/")
        folds = [task for task in sizes if task.startswith("retrieval")]
        absent = [task for task in folds if found[task] is None]
        if absent and len(absent) < len(folds):
            names = ", ".join(f"{task}.npy" for task in absent)
            faults.append(f"retrieval counts only with all {len(folds)} folds; missing: {names}")
        known = {info.filename for info in found.values() if info is not None}
        faults += [
            f"{name} is none of the leaderboard's files, which are {NAME}/comparison.npy, "
            "localization.npy and retrieval_0.npy to retrieval_22.npy"
            for name in members
            if name not in known
        ]
        for task, info in found.items():
            if info is not None:
                fault = _fault(archive, info, sizes[task])
                faults += [f"{task}.npy {fault}"] if fault else []
    return faults


def _fault(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> str:
    """Return what is wrong with a member of the archive, as a sentence's end, or ""."""
    if info.file_size > _MAX_BYTES:
        return f"unpacks to more than {_MAX_BYTES >> 20} MiB"
    try:
        content = archive.read(info)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as error:
        return f"cannot be unpacked ({error})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            vector = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception:  # its header is parsed as Python, which may raise anything
        return "is not an array that NumPy reads without unpickling; write it with numpy.save"
    if not isinstance(vector, np.ndarray):
        return "is an archive of arrays and not one array; write it with numpy.save"
    if vector.dtype not in (np.float32, np.float64):
        return f"holds {vector.dtype} and not float32 or float64"
    if vector.ndim != 1:
        return f"has {vector.ndim} dimensions and not one"
    if len(vector) != size:
        return f"has {len(vector)} scores and not {size}"
    missing = int(np.isnan(vector).sum())
    return f"holds NaN {missing} times" if missing else ""
