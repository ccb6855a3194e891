"""The page of published rows shows the tables as they are."""

from __future__ import annotations

from tests.conftest import REPOSITORY
from tools.published_page import page


def test_it_is_as_its_command_writes_it():
    assert (REPOSITORY / "docs" / "results" / "published.md").read_text(encoding="utf-8") == page()
