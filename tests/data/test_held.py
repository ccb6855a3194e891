"""Tables of pictures: what is no text is refused when the table is read, not in the middle of a score."""

from __future__ import annotations

from pathlib import Path

import pytest

from trifocal.data.held import parquet_table
from trifocal.errors import UserError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, *texts: bytes) -> Path:
    """Write a table with a column of texts, whatever bytes they are."""
    raw = pa.array(list(texts), pa.binary())
    captions = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(pa.table({"caption": captions}), path)
    return path


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good.parquet", b"a dog", "é".encode())
    assert parquet_table(good, ["caption"]).column(0).to_pylist() == ["a dog", "é"]
    bad = write(tmp_path / "bad.parquet", b"a dog", b"\xff\xfe")
    with pytest.raises(UserError, match=r"bad\.parquet is not a parquet file \(.*UTF8"):
        parquet_table(bad, ["caption"])
