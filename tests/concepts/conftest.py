"""Real split files for these tests."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trifocal.concepts.datasets.coop import DATASETS
from trifocal.concepts.datasets.split_files import Split, read_split


@pytest.fixture(scope="session")
def split_file(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return CoOp's split file of a data set, as published; skip where it is not at hand."""
    folder = tmp_path_factory.mktemp("coop")

    def get(name: str) -> Path:
        with zipfile.ZipFile(real_data / "annotations.zip") as archive:
            member = f"coop/{DATASETS[name].split}"
            if member not in archive.namelist():
                pytest.skip(f"the split of {name} is not among the real data")
            return Path(archive.extract(member, folder))

    return get


@pytest.fixture(scope="session")
def real_split(split_file: Callable[[str], Path]) -> Callable[[str], Split]:
    """Return a data set's published split."""
    kept: dict[str, Split] = {}

    def get(name: str) -> Split:
        if name not in kept:
            kept[name] = read_split(split_file(name))
        return kept[name]

    return get
