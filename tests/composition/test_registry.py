"""What holds of every benchmark of composition that is found by name."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from tests.fuzz.readers import READERS
from trifocal.composition.registry import BENCHMARKS
from trifocal.errors import UserError


def test_broken_files_of_every_benchmark_are_tried():
    assert set(BENCHMARKS) <= set(READERS) | {"sugarcrepe"}  # whose reader is named by its form


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_empty_folder_is_said_to_lack_its_files(name, tmp_path):
    benchmark = BENCHMARKS[name](available_only=True)
    assert benchmark.check(tmp_path)
    with pytest.raises(UserError, match=rf"^{name} cannot run; .* missing: get "):
        benchmark.items(tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_files_without_a_question_are_refused_by_name(name, tmp_path):
    reader = READERS.get(name)
    if reader is None:
        pytest.skip(f"{name} reads parquet files, and pyarrow is absent")
    seed = reader.seeds()[0]
    for file, content in seed.files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_emptied(path, content))
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))}/\S*"):
        BENCHMARKS[name](available_only=True).items(tmp_path)


def _emptied(path: Path, content: bytes) -> bytes:
    """Return a file of the same form that holds no entry."""
    if path.suffix == ".json":
        return b"{}" if content.startswith(b"{") else b"[]"
    if path.suffix == ".csv":
        return content.splitlines(keepends=True)[0]
    if path.suffix == ".parquet":
        from pyarrow import parquet

        file = io.BytesIO()
        parquet.write_table(parquet.read_table(io.BytesIO(content)).slice(0, 0), file)
        return file.getvalue()
    return b""
