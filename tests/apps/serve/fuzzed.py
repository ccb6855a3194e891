"""Requests that are broken in every way, as the bytes that go over the wire."""

from __future__ import annotations

import io
import json
import random
import zipfile
from dataclasses import dataclass

from PIL import Image

FORMS = ("explain", "compose", "search", "predict", "classifiers")
BOUNDARY = "x"
_FILES = ("a.jpg", "a.zip", "x/y.png", "../a.png", "a.png\x00.zip", "é" * 200, "", "a/b/c/d.webp")
_FIELDS = (
    "image", "example", "boxes", "texts", "captions", "shown", "top", "text", "not", "files",
    "classifier",
)  # fmt: skip
_ODD = (
    "", " ", "0", "1", "-1", "1e999", "NaN", "null", "[]", "[[]]", "[[1,2,3,4]]", "[[1,2,3]]",
    "[[0,0,1e308,1e308]]", "{}", "../../etc/passwd", "file:///etc/passwd", "http://localhost/",
    "a red ball", "\x00", "a\n" * 300, "word " * 500, "[" * 3000, '["a", 1]', "é" * 100, "🦆",
    '["\\ud800"]', "1" * 5000, "٣", "1_0", "[[true,false,true,true]]", '{"a": [[1,2,3,4]]}',
    "[[1,2,3,4],[5]]", "\u202e\u0000\ufeff", "x" * 100_000,
)  # fmt: skip
_PATHS = (
    "/", "/page.js", "/page.css", "/api", "/api/", "/api/examples/0", "/api/examples/23",
    "/api/examples/99999999999999999999", "/api/examples/-1", "/api/examples/x", "/nothing",
    "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/api/%00", "/api/\xff", "//evil.example/api",
    "/api?" + "a=b&" * 500, "*", "http://127.0.0.1/api", "/" + "a" * 9000,
)  # fmt: skip
_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "POST", "BREW", "get")
_HEADERS = (
    ("Origin", "https://evil.example"), ("Origin", "null"), ("Origin", ""), ("Origin", "http://["),
    ("Host", ""), ("Host", "["), ("Host", "evil.example"), ("Host", "localhost:99999999"),
    ("Content-Length", "-1"), ("Content-Length", "1e3"), ("Content-Length", "9" * 30),
    ("Content-Length", "0"), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "gzip"),
    ("Expect", "100-continue"), ("Cookie", "a" * 5000), ("X-Odd", "\xff\xfe"), ("Range", "bytes=0-"),
    ("Content-Encoding", "gzip"), ("Upgrade", "websocket"), ("Accept", "text/html"),
    ("Bad Name", "x"), ("X-Fold", "a\r\n b"),
)  # fmt: skip
_KINDS = (
    "text/plain", "application/json", "multipart/form-data", "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "y" * 300, "application/x-www-form-urlencoded",
    "multipart/mixed; boundary=x", "multipart/form-data; boundary=x; charset=no-such",
    "multipart/form-data; boundary=\xff", "",
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A request.

    Attributes:
        raw: Its bytes.
        label: What kind it is, and of which path.
        breaks_off: Whether nothing more follows though more was promised; no answer is expected.
    """

    raw: bytes
    label: str
    breaks_off: bool = False


def request(draw: random.Random, host: str, classifier: str) -> Sent:
    """Return a request: about half are valid but for one or two changes."""
    kind = draw.choices(
        ("changed", "odd form", "garbage", "json", "path", "headers", "cut", "bytes"),
        (40, 25, 5, 5, 8, 8, 5, 4),
    )[0]
    path = draw.choice(FORMS)
    label = f"{kind} /api/{path}"
    if kind == "bytes":
        return Sent(draw.randbytes(draw.choice((1, 40, 3000))) + b"\r\n\r\n", kind, True)
    if kind == "path":
        method, place = draw.choice(_METHODS), draw.choice(_PATHS)
        return Sent(_raw(method, place, b"", {"Host": host}), f"{method} {place[:40]}")
    headers = {"Host": host, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = form(_parts(draw, path, classifier))
    if kind == "changed":
        body = form(_changed(draw, _parts(draw, path, classifier)))
    elif kind == "odd form":
        body = form(_odd(draw))
        if draw.random() < 0.2:
            headers["Content-Type"] = draw.choice(_KINDS)
    elif kind == "garbage":
        body = draw.randbytes(draw.choice((0, 1, 100, 20_000)))
    elif kind == "json":
        headers["Content-Type"] = "application/json"
        body = json.dumps({name: draw.choice(_ODD) for name in _FIELDS[:4]}).encode()
    elif kind == "headers":
        for name, value in draw.sample(_HEADERS, draw.choice((1, 1, 2))):
            headers[name] = value
    raw = _raw("POST", f"/api/{path}", body, headers)
    if kind == "cut":
        return Sent(raw[: draw.randrange(1, len(raw))], label, True)
    return Sent(raw, label, kind == "headers")


def _raw(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    told = {"Content-Length": str(len(body)), **headers, "Connection": "close"}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


Part = tuple[str, str | None, bytes]  # a field's name, a file's name if it is one, and the content


def form(parts: list[Part]) -> bytes:
    """Return parts as multipart/form-data."""
    made = []
    for name, file, content in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        head += "" if file is None else f'; filename="{file}"'
        made.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(made) + f"--{BOUNDARY}--\r\n".encode()


def _parts(draw: random.Random, path: str, classifier: str) -> list[Part]:
    """Return a form that would be answered."""
    if path == "classifiers":
        return [("files", "classes.zip", class_zip(draw.randrange(1000)))]
    image: Part = ("image", "a.png", _file(Image.new("RGB", (40, 30), "red"), "PNG"))
    shown = draw.choice((image, ("example", None, b"1")))
    return [
        shown,
        *{
            "explain": [("boxes", None, b"[[1, 2, 20, 20]]"), ("texts", None, b"it rains\nno")],
            "compose": [("captions", None, b"a red ball\na ball"), ("shown", None, b"1")],
            "search": [("text", None, b"a red ball"), ("not", None, b"people"), ("top", None, b"2")],
            "predict": [("classifier", None, classifier.encode())],
        }[path],
    ]  # fmt: skip


def _changed(draw: random.Random, parts: list[Part]) -> list[Part]:
    """Return a form with one or two changes: of a value, of bytes, a part more, fewer, or twice."""
    for _ in range(draw.choice((0, 1, 1, 2))):
        if not parts:
            break
        place = draw.randrange(len(parts))
        name, file, content = parts[place]
        what = draw.randrange(6)
        if what == 0:
            parts = [*parts[:place], *parts[place + 1 :]]
        elif what == 1:
            parts = [*parts, parts[place]]
        elif what == 2:
            parts = [*parts[:place], (name, file, _bitten(draw, content)), *parts[place + 1 :]]
        elif what == 3:
            parts = [*parts[:place], (name, file, odd(draw)), *parts[place + 1 :]]
        elif what == 4:
            other = None if file else draw.choice(_FILES)
            parts = [*parts[:place], (name, other, content), *parts[place + 1 :]]
        else:
            parts = [*parts, (draw.choice(_FIELDS), None, odd(draw))]
    return parts


def _odd(draw: random.Random) -> list[Part]:
    """Return a form of anything."""
    made = []
    for _ in range(draw.randrange(6)):
        name = draw.choice(_FIELDS)
        if name in ("image", "files") or draw.random() < 0.05:
            made.append((name, draw.choice(_FILES), picture(draw)))
        else:
            made.append((name, None, odd(draw)))
    return made


def odd(draw: random.Random) -> bytes:
    """Return a value that no field expects."""
    return draw.choice(_ODD).encode("utf-8", "surrogatepass")


def picture(draw: random.Random) -> bytes:
    """Return a picture's file, as a rule with some bytes changed, cut off or added."""
    mode = draw.choice(("RGB", "L", "RGBA", "P", "CMYK", "1", "I;16"))
    image = Image.new(mode, (draw.choice((1, 2, 17, 64, 300)), draw.choice((1, 40, 200))))
    form = "JPEG" if mode in ("RGB", "L", "CMYK") else "PNG"
    content = _file(image, draw.choice((form, form, "WEBP")) if mode in ("RGB", "RGBA") else form)
    return content if draw.random() < 0.4 else _bitten(draw, content)


def _bitten(draw: random.Random, content: bytes) -> bytes:
    """Return bytes of which some are changed, or the end is cut off."""
    if not content:
        return b"\x00"
    made = bytearray(content)
    for _ in range(draw.choice((1, 3, 30))):
        made[draw.randrange(len(made))] = draw.randrange(256)
    return bytes(made if draw.random() < 0.7 else made[: draw.randrange(len(made) + 1)])


def class_zip(number: int) -> bytes:
    """Return a zip of two classes of three small pictures."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for color in ("red", "blue"):
            for place in range(3):
                image = Image.new("RGB", (24, 24), color)
                image.putpixel((place, number % 24), (0, 0, 0))
                archive.writestr(f"{color}/{place}.png", _file(image, "PNG"))
    return buffer.getvalue()


def _file(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()
