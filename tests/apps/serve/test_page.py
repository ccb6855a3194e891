"""Every tab of the page works in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apps.serve import walk
from tests.apps.serve.conftest import class_folders, zipped

pytest.importorskip("playwright", reason="the walk wants playwright")


@pytest.mark.slow
def test_every_tab_works_at_both_widths_light_and_dark(address: str, tmp_path: Path) -> None:
    if walk.browser_path() is None:
        pytest.skip("there is no Chromium; install it, or set CHROMIUM to where it is")
    (tmp_path / "classes.zip").write_bytes(zipped(class_folders()))
    assert walk.walk(address, tmp_path / "classes.zip") == []
