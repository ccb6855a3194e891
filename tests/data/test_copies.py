"""Pictures under several names."""

from __future__ import annotations

from pathlib import Path

import pytest

from trifocal.data.copies import copies


def test_files_of_the_same_bytes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    contents = [b"a" * 9000, b"b" * 9000, b"a" * 9000, b"a" * 8999 + b"c", b"b" * 9000, b"d", b"e"]
    files = [tmp_path / f"{number}.png" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    (tmp_path / "link.png").symlink_to(files[5])
    files += [tmp_path / "link.png", tmp_path / "absent.png"]
    assert copies(files) == [[0, 2], [1, 4], [5, 7]]
    assert not caplog.records
    copies(files, "mine")
    assert caplog.messages == [
        "mine: 3 pictures occur more than once (0.png = 2.png, 1.png = 4.png, 5.png = link.png)"
    ]
    assert copies([]) == []
