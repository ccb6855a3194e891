"""Send a running server requests that are broken in every way, and watch that it lives on.

    python -m tests.apps.serve.fuzz http://127.0.0.1:7860 --requests 10000 [--pid N]

Every answer must be 200 or a refusal with one sentence; with the server's process id, its memory after a
tenth of the requests is compared with that at the end.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

PATHS = ("explain", "compose", "search", "predict", "classifiers")
REFUSALS = (403, 404, 405, 413, 422, 429, 503)
FIELDS = ("image", "example", "boxes", "texts", "captions", "shown", "top", "text", "not", "files")
ODD = (
    "", " ", "0", "1", "-1", "1e999", "NaN", "null", "[]", "[[]]", "[[1,2,3,4]]", "[[1,2,3]]",
    "[[0,0,1e308,1e308]]", "{}", "../../etc/passwd", "file:///etc/passwd", "http://localhost/",
    "a red ball", "\x00",
    "a\n" * 300, "word " * 500, "[" * 3000, '["a", 1]', "é" * 100, "🦆",
)  # fmt: skip


def picture(draw: random.Random) -> bytes:
    """Return a picture's file, as a rule with some bytes changed, cut off or added."""
    mode = draw.choice(("RGB", "L", "RGBA", "P", "CMYK", "1", "I;16"))
    side = draw.choice((1, 2, 17, 64, 300))
    image = Image.new(mode, (side, draw.choice((1, 40, 200))))
    buffer = io.BytesIO()
    form = "JPEG" if mode in ("RGB", "L", "CMYK") else "PNG"
    image.save(buffer, draw.choice((form, form, "WEBP")) if mode in ("RGB", "RGBA") else form)
    content = bytearray(buffer.getvalue())
    for _ in range(draw.choice((0, 0, 1, 3, 30))):
        content[draw.randrange(len(content))] = draw.randrange(256)
    if draw.random() < 0.2:
        content = content[: draw.randrange(len(content) + 1)]
    return bytes(content)


def body(draw: random.Random) -> tuple[str, bytes]:
    """Return the content type and the bytes of a form, as a rule a broken one."""
    parts = []
    whole = draw.random() < 0.4
    if whole:  # what would be answered, but for what follows
        sent = {"example": "1", "captions": "a red ball", "text": "a red ball"}
        parts = [
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
            for name, text in sent.items()
        ]
    for _ in range(draw.randrange(3 if whole else 6)):
        name = draw.choice(FIELDS)
        head = f'Content-Disposition: form-data; name="{name}"'
        if name in ("image", "files") or draw.random() < 0.05:
            head += f'; filename="{draw.choice(("a.jpg", "a.zip", "x/y.png", "../a.png"))}"'
            content = picture(draw)
        else:
            content = draw.choice(ODD).encode("utf-8", "surrogatepass")
        parts.append(f"--x\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    made = bytearray(b"".join(parts) + b"--x--\r\n")
    if draw.random() < 0.1:
        made = made[: draw.randrange(len(made) + 1)]
    kind = draw.choice(
        ("multipart/form-data; boundary=x",) * 12 + ("text/plain", "multipart/form-data")
    )
    return kind, bytes(made)


def memory(pid: int | None) -> int:
    """Return the kilobytes that a process has in memory."""
    if pid is None:
        return 0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def fuzz(address: str, count: int, seed: int = 0, pid: int | None = None) -> list[str]:
    """Return what is wrong with the answers to so many requests."""
    draw, wrong, seen, before = random.Random(seed), list[str](), Counter[int](), 0
    for number in range(count):
        if number == count // 10:
            before = memory(pid)
        kind, content = body(draw)
        path = f"/api/{draw.choice(PATHS)}"
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=300)
        connection.request("POST", path, content, {"Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        seen[answer.status] += 1
        told = json.loads(said)
        if answer.status != 200 and (answer.status not in REFUSALS or not told["error"]):
            wrong.append(f"request {number} to {path}: {answer.status} {said[:200]!r}")
    after = memory(pid)
    print(f"{count:,} requests: {dict(sorted(seen.items()))}")
    if pid is not None:
        print(
            f"memory: {before:,} kB after a tenth, {after:,} kB at the end, {after / before - 1:+.1%}"
        )
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pid", type=int)
    given = parser.parse_args()
    found = fuzz(given.address, given.requests, given.seed, given.pid)
    print("\n".join(found[:20]) or "nothing is wrong")
    sys.exit(bool(found))
