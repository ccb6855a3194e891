"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine must not fail a property.
settings.register_profile("trifocal", deadline=None)
settings.load_profile("trifocal")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real photos, annotation files and features (see CONTRIBUTING.md)."""
    folder = Path(os.environ.get("TRIFOCAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set TRIFOCAL_DATA to its folder")
    return folder
