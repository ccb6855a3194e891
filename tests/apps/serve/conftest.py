"""A server of the built-in model, asked in this process."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the page wants trifocal[web]")
pytest.importorskip("python_multipart", reason="the page wants trifocal[web]")

from starlette.testclient import TestClient

from trifocal.apps.serve.app import make_app
from trifocal.apps.serve.limits import Limits
from trifocal.apps.serve.served import Served, serve_model
from trifocal.clip import load_clip

LIMITS = Limits(mb=1, megapixels=2, texts=8, boxes=3, archive_mb=8, pictures=20)


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    made = serve_model(load_clip("builtin"), LIMITS)
    yield made
    made.close()


@pytest.fixture(scope="session")
def client(served: Served) -> TestClient:
    return TestClient(make_app(served, LIMITS), base_url="http://localhost")


@pytest.fixture
def address(served: Served) -> Iterator[str]:
    """The address of a server in this process."""
    uvicorn = pytest.importorskip("uvicorn", reason="the page wants trifocal[web]")
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


def as_file(picture: Image.Image, form: str = "PNG", **settings: Any) -> bytes:
    """Return a picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **settings)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip of files by path."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def class_folders(count: int = 4) -> dict[str, bytes]:
    """Return pictures of two classes."""
    made = {}
    for color in ("red", "blue"):
        for number in range(count):
            picture = Image.new("RGB", (40, 40), color)
            picture.putpixel((number, 2), (0, 0, 0))
            made[f"photos/{color}/{number}.png"] = as_file(picture)
    return made


def sentence(response: Any, status: int) -> str:
    """Return what a refusal says, which is one sentence, once its status is checked."""
    assert response.status_code == status, response.text[:300]
    said = json.loads(response.text)["error"]
    assert len(said) > 10
    assert "\n" not in said
    assert "/tmp" not in said
    return said
