"""The zip that the leaderboard takes: a round trip, and every fault in a sentence."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from trifocal.errors import UserError
from trifocal.regions.benchmarks.submission import TEST_SIZES, check_submission, write_submission

SIZES = {"comparison": 3, "localization": 5, "retrieval_0": 4, "retrieval_1": 9}


def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {task: rng.random(size).astype(np.float32) for task, size in SIZES.items()}


def pack(folder: Path, members: dict[str, bytes], name: str = "test_set_predictions.zip") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def members(**changes: bytes | None) -> dict[str, bytes]:
    made = {task: saved(vector) for task, vector in vectors().items()} | changes
    return {f"test_set_predictions/{task}.npy": value for task, value in made.items() if value}


def test_what_is_written_passes_and_is_read_again(tmp_path):
    scores = vectors()
    path = write_submission(tmp_path, {**scores, "comparison": torch.tensor(scores["comparison"])})
    assert path == tmp_path / "test_set_predictions.zip"
    assert check_submission(path, SIZES) == []
    with np.load(path, allow_pickle=False) as arrays:
        for task, vector in scores.items():
            found = arrays[f"test_set_predictions/{task}"]
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, vector)


def test_the_published_sizes(tmp_path):
    assert TEST_SIZES["comparison"] == 4719
    assert TEST_SIZES["localization"] == 2_365_256
    folds = [TEST_SIZES[f"retrieval_{fold}"] for fold in range(23)]
    assert folds[0] == 1_000_000
    assert sum(int(size**0.5) for size in folds) == 22_816
    path = write_submission(tmp_path, {"comparison": np.zeros(4719)})
    assert check_submission(path) == []  # the other tasks may be left out
    path = write_submission(tmp_path, {"comparison": np.zeros(4718)})
    assert check_submission(path) == ["comparison.npy has 4718 scores and not 4719"]


def test_nothing_false_is_written(tmp_path):
    with pytest.raises(UserError, match="comparison scores hold NaN"):
        write_submission(tmp_path, {"comparison": [float("nan")]})
    with pytest.raises(UserError, match="no task 'retrieval_23'"):
        write_submission(tmp_path, {"retrieval_23": [0.0]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"comparison": None}, r"comparison.npy is missing, which must be in the folder"),
        ({"retrieval_1": None}, r"all 2 folds; missing: retrieval_1.npy"),
        ({"localization": saved(np.zeros(4))}, "localization.npy has 4 scores and not 5"),
        ({"comparison": saved(np.zeros((3, 1)))}, "comparison.npy has 2 dimensions and not one"),
        ({"comparison": saved(np.zeros(3, dtype=int))}, "comparison.npy holds int64 and not"),
        ({"comparison": saved(np.zeros(3, np.float16))}, "comparison.npy holds float16 and not"),
        ({"comparison": saved(np.array([0, np.nan, np.nan]))}, "comparison.npy holds NaN 2 times"),
        ({"comparison": saved(np.array([{}] * 3))}, "comparison.npy is not an array that NumPy"),
        ({"comparison": b"no array"}, "comparison.npy is not an array that NumPy"),
        ({"comparison": b"\x93NUMPY"}, "comparison.npy is not an array that NumPy"),
        ({"retrieval_99": saved(np.zeros(1))}, "retrieval_99.npy is none of the leaderboard's"),
    ],
)
def test_every_fault_is_a_sentence(tmp_path, changes, message):
    (fault,) = check_submission(pack(tmp_path, members(**changes)), SIZES)
    assert message in fault


def test_several_faults(tmp_path):
    path = pack(tmp_path, {"comparison.npy": saved(np.zeros(3))}, "mine.zip")
    faults = check_submission(path, SIZES)
    assert faults[0] == "mine.zip must be named test_set_predictions.zip"
    assert "comparison.npy is missing" in faults[1]
    assert "comparison.npy is none of" in faults[2]


def test_an_archive_in_place_of_an_array(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    (fault,) = check_submission(pack(tmp_path, members(comparison=buffer.getvalue())), SIZES)
    assert "archive of arrays" in fault


def test_no_zip(tmp_path):
    path = tmp_path / "test_set_predictions.zip"
    assert "there is no file" in check_submission(path)[0]
    path.write_bytes(b"no zip")
    assert check_submission(path) == ["test_set_predictions.zip is not a zip file"]


def test_a_damaged_member(tmp_path):
    path = pack(tmp_path, members())
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert any("cannot be unpacked" in fault for fault in check_submission(path, SIZES))


def test_nothing_large_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("trifocal.regions.benchmarks.submission._MAX_BYTES", 100)
    faults = check_submission(pack(tmp_path, members()), SIZES)
    assert len(faults) == 4
    assert all("unpacks to more than" in fault for fault in faults)


def test_a_submission_replaces_a_submission_alone(tmp_path):
    file = write_submission(tmp_path, vectors())
    assert write_submission(tmp_path, vectors()) == file
    theirs = pack(tmp_path, {"holiday.txt": b"mine"})
    before = theirs.read_bytes()
    with pytest.raises(UserError, match="is not replaced"):
        write_submission(tmp_path, vectors())
    assert file == theirs
    assert theirs.read_bytes() == before
