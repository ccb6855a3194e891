"""A web server on this machine that serves files as the web does: ranges, tags, cuts and refusals."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Web:
    """What is served, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)  # bytes after which a connection is dropped
    codes: dict[str, int] = field(default_factory=dict)  # refusals by path
    gated: bool = False  # whether the Hub's data sets are
    ranges: bool = True  # whether parts are sent
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and range
    address: str = ""


@contextmanager
def serving() -> Iterator[Web]:
    """Serve on a free port."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            wanted = self.headers.get("Range", "")
            if body:
                web.asked.append((path, wanted))
            if path in web.codes:
                self.refuse(web.codes[path])
            elif path.startswith("/api/datasets/"):
                self.hub(path)
            elif "/resolve/" in path and path.rpartition(f"{COMMIT}/")[2] in web.files:
                self.send(web.files[path.rpartition(f"{COMMIT}/")[2]], "", path, body=body)
            elif path.lstrip("/") in web.files:
                self.send(web.files[path.lstrip("/")], wanted, path, body=body)
            else:
                self.refuse(404)

        def hub(self, path: str) -> None:
            if web.gated:
                self.send_response(403)
                self.send_header("X-Error-Code", "GatedRepo")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif "/tree/" in path:
                every = [
                    {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                    for name, content in web.files.items()
                ]
                self.json(every)
            else:
                siblings = [{"rfilename": name} for name in web.files]
                self.json({"id": "some/one", "sha": COMMIT, "siblings": siblings})

        def json(self, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send(self, content: bytes, wanted: str, path: str, *, body: bool) -> None:
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            part = bool(wanted) and web.ranges and self.headers.get("If-Range") in (None, tag)
            sent = content[first:] if part else content
            self.send_response(206 if part else 200)
            self.send_header("ETag", tag)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(sent)))
            if part:
                end = f"{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", f"bytes {first}-{end}")
            self.end_headers()
            if not body:
                return
            most = web.cut.get(path.lstrip("/"))
            self.wfile.write(sent[:most])
            if most is not None and most < len(sent):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
