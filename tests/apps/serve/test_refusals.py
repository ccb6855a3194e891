"""What cannot be answered is refused in a sentence, and the server lives on."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import threading
import zipfile
import zlib

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.apps.serve.conftest import LIMITS, as_file, class_folders, sentence, zipped
from trifocal.apps.serve.gate import Gate
from trifocal.apps.serve.limits import Limits, Refused
from trifocal.errors import UserError


def huge_header(side: int = 50_000) -> bytes:
    """Return a PNG that says it is huge, and holds nothing."""

    def part(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", b"") + part(b"IEND", b"")


def gif() -> bytes:
    frames = [Image.new("P", (9, 9), number) for number in range(3)]
    return as_file(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (huge_header(), 413),
        (huge_header(1_600), 413),
        (b"this is text", 422),
        (gif(), 422),
        (b"\xff\xd8\xff\xe0 cut", 422),
        (bytes(1_100_000), 413),
        (b"<svg xmlns='x'/>", 422),
    ],
    ids=["huge", "large", "text", "gif", "cut", "long", "svg"],
)
def test_bad_pictures(client: TestClient, content: bytes, status: int) -> None:
    for path in ("explain", "search", "compose"):
        form = {"captions": "a"}
        files = {"image": ("a.jpg", content)}
        sentence(client.post(f"/api/{path}", data=form, files=files), status)


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("explain", {}, 422),
        ("explain", {"example": 999}, 422),
        ("explain", {"example": "../../etc/passwd"}, 422),
        ("explain", {"example": 0, "boxes": "nonsense"}, 422),
        ("explain", {"example": 0, "boxes": "[[1,2,3]]"}, 422),
        ("explain", {"example": 0, "boxes": "[[NaN,2,3,4]]"}, 422),
        ("explain", {"example": 0, "boxes": "[[9000,2,3,4]]"}, 422),
        ("explain", {"example": 0, "boxes": "[[1,2,0,4]]"}, 422),
        ("explain", {"example": 0, "boxes": json.dumps([[1, 2, 30, 40]] * 4)}, 413),
        ("explain", {"example": 0, "boxes": "[" * 5000}, 422),
        ("explain", {"example": 0, "top": 0}, 422),
        ("compose", {"example": 0}, 422),
        ("compose", {"example": 0, "captions": "\n".join(map(str, range(10_000)))}, 413),
        ("compose", {"example": 0, "captions": "long " * 1000}, 413),
        ("compose", {"example": 0, "captions": "[1, 2]"}, 422),
        ("compose", {"example": 0, "captions": '["half of a character: \\ud800"]'}, 422),
        ("compose", {"example": 0, "captions": "a", "shown": 3}, 422),
        ("search", {}, 422),
        ("search", {"text": "a\nb"}, 413),
        ("predict", {"classifier": "nobody", "example": 0}, 404),
        ("predict", {"example": 0}, 404),
    ],
)
def test_bad_forms(client: TestClient, path: str, form: dict, status: int) -> None:
    sentence(client.post(f"/api/{path}", data=form), status)


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/1.png", "b/1.png"):
            archive.writestr(name, bytes(50 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (bomb(), 413),
        (zipped({f"a/{n}.txt": b"" for n in range(500)}), 413),
        (zipped({f"{n % 2}/{n}.png": b"x" for n in range(30)}), 413),
        (zipped({"a/1.png": b"no picture", "b/1.png": b"no picture"}), 422),
        (zipped({"../../a/1.png": b"x"}), 422),
        (zipped({"a.txt": b"x"}), 422),
        (b"PK\x03\x04 damaged", 422),
        (zipped(class_folders())[:-40], 422),
        (zipped({"m/head.json": b"{}", "m/head.safetensors": b"{}"}), 422),
    ],
    ids=["bomb", "entries", "many", "broken", "outside", "texts", "damaged", "cut", "no-model"],
)
def test_bad_archives(client: TestClient, content: bytes, status: int) -> None:
    files = {"files": ("photos.zip", content, "application/zip")}
    sentence(client.post("/api/classifiers", files=files), status)


def test_no_file_of_the_server_is_readable(client: TestClient) -> None:
    for path in (
        "/etc/passwd",
        "/../etc/passwd",
        "/page/../../command.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/examples/-1",
        "/api/examples/99",
        "/gradio_api/file=/etc/passwd",
        "/api/",
    ):
        sentence(client.get(path), 404)


def test_other_pages_and_names_are_turned_away(client: TestClient) -> None:
    form = {"example": 0}
    evil = {"origin": "https://evil.example"}
    sentence(client.post("/api/explain", data=form, headers=evil), 403)
    sentence(client.get("/api", headers={"host": "evil.example"}), 403)
    for name in ("[", "[::1", "]", "", "localhost:99999999x@evil.example"):
        sentence(client.get("/api", headers={"host": name}), 403)
        odd = {"origin": f"http://{name}"}
        sentence(client.post("/api/explain", data=form, headers=odd), 403)
    own = {"origin": "http://localhost"}
    assert client.post("/api/explain", data=form, headers=own).status_code == 200


def test_long_bodies_and_other_kinds(client: TestClient) -> None:
    def endless():
        for _ in range(100):
            yield bytes(1 << 20)

    sentence(client.post("/api/explain", headers={"content-length": "99999999999"}), 413)
    form = {"content-type": "multipart/form-data; boundary=x"}
    sentence(client.post("/api/explain", content=endless(), headers=form), 413)
    sentence(client.post("/api/explain", json={"image": "http://example.com/a.jpg"}), 422)
    sentence(
        client.post(
            "/api/explain", content=b"--x", headers={"content-type": "multipart/form-data"}
        ),
        422,
    )
    sentence(client.get("/api/explain"), 405)


def test_more_than_the_queue_holds_is_refused() -> None:
    async def ask() -> list[int]:
        gate, free = Gate(Limits(queue=1, at_once=1)), threading.Event()
        waiting = [asyncio.ensure_future(gate.do(free.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="wait already") as refused:
            await gate.do(free.wait)
        free.set()
        await asyncio.gather(*waiting)
        await gate.do(lambda: None)
        gate.close()
        return [refused.value.status]

    assert asyncio.run(ask()) == [429]


def test_what_takes_too_long_is_refused_and_keeps_its_place() -> None:
    async def ask() -> None:
        gate, free = Gate(Limits(queue=0, at_once=1, seconds=1)), threading.Event()
        with pytest.raises(Refused, match="longer than 1 seconds"):
            await gate.do(free.wait)
        with pytest.raises(Refused, match="wait already"):
            await gate.do(free.wait)
        free.set()
        await asyncio.sleep(0.05)
        await gate.do(lambda: None)
        gate.close()

    asyncio.run(ask())


def test_limits_are_numbers_from_one_on() -> None:
    assert LIMITS.mb == 1
    with pytest.raises(UserError, match="boxes is below 1"):
        Limits(boxes=0)
