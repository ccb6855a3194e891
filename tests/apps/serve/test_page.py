"""Every tab of the page works in a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.apps.serve import walk
from tests.apps.serve.conftest import LIMITS, class_folders, zipped
from trifocal.apps.serve.app import make_app
from trifocal.apps.serve.served import Served

uvicorn = pytest.importorskip("uvicorn", reason="the page wants trifocal[web]")
pytest.importorskip("playwright", reason="the walk wants playwright")


@pytest.fixture
def address(served: Served) -> Iterator[str]:
    """The address of a server in this process."""
    app = make_app(served, replace(LIMITS, seconds=120))
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.mark.slow
def test_every_tab_works_at_both_widths(address: str, tmp_path: Path) -> None:
    if walk.browser_path() is None:
        pytest.skip("there is no Chromium; install it, or set CHROMIUM to where it is")
    (tmp_path / "classes.zip").write_bytes(zipped(class_folders()))
    assert walk.walk(address, tmp_path / "classes.zip") == []
