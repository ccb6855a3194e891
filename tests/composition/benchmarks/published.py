"""The benchmarks' own files, unpacked where a test may read them."""

from __future__ import annotations

import zipfile
from pathlib import Path


def unpack(real_data: Path, folder: str, target: Path) -> Path:
    """Unpack one folder of the published annotation files and return where it lies."""
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith(f"{folder}/")]
        archive.extractall(target, names)
    return target / folder
