"""Send a server requests that are broken in every way, eight at a time, and watch that it lives on.

    python -m tests.apps.serve.fuzz --requests 10000
    python -m tests.apps.serve.fuzz --address http://127.0.0.1:7860 --pid N

Without an address a server of its own is started. Every answer must be 200 or a refusal with one
sentence; a request that is no HTTP may be turned away by the protocol (400), or have none. The
server's memory after a tenth of the requests is compared with that at the end.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.apps.serve.fuzzed import BOUNDARY, Sent, class_zip, form, request

REFUSALS = (403, 404, 405, 413, 422, 429, 503)
_PATIENCE = 600  # seconds for an answer; a busy machine is no fault of the server
_AT_ONCE = 8


def ask(host: str, sent: Sent) -> tuple[int, bytes]:
    """Return the status and the body of an answer; the status is 0 where there is none."""
    name, _, port = host.rpartition(":")
    said = b""
    with socket.create_connection((name, int(port)), timeout=_PATIENCE) as connection:
        try:
            connection.sendall(sent.raw)
            if sent.breaks_off:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                said += part
        except (ConnectionResetError, BrokenPipeError):
            pass  # what came before counts
    head, _, body = said.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    return (int(found[1]) if found else 0), body


def fault(sent: Sent, status: int, body: bytes) -> str:
    """Return what is wrong with an answer; nothing, as a rule."""
    if status == 0:
        return "" if sent.breaks_off else "no answer"
    if status in (200, 400):  # 400 is the protocol's own, before anything of the request is read
        return ""
    if status not in REFUSALS:
        return f"status {status}"
    if not body and sent.label.startswith("HEAD"):
        return ""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return "a refusal that is no JSON with a sentence"
    return "" if said.strip() and "\n" not in said and "Traceback" not in said else "no sentence"


def fitted(host: str) -> str:
    """Return the name of a classifier that is fitted for the requests."""
    content = form([("files", "classes.zip", class_zip(0))])
    head = (
        f"POST /api/classifiers HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    _, body = ask(host, Sent(head.encode() + content, "fit"))
    return str(json.loads(body)["classifier"])


def memory(pid: int | None) -> int:
    """Return the kilobytes that a process has in memory."""
    if pid is None:
        return 0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def fuzz(address: str, count: int, seed: int = 0, pid: int | None = None) -> list[str]:
    """Return what is wrong with the answers to so many requests."""
    host = urlsplit(address).netloc
    draw, wrong, seen = random.Random(seed), list[str](), Counter[int]()
    lock, classifier = threading.Lock(), fitted(host)

    def one(sent: Sent) -> None:
        status, body = ask(host, sent)
        trouble = fault(sent, status, body)
        with lock:
            seen[status] += 1
            if trouble:
                wrong.append(f"{sent.label}: {trouble}: {status} {body[:200]!r}")

    before = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, count, 100):
            if before == 0 and start >= count // 10:
                before = memory(pid)
            some = [request(draw, host, classifier) for _ in range(min(100, count - start))]
            list(pool.map(one, some))
            if start % 1000 == 900:
                print(f"{start + 100:,} requests, {memory(pid):,} kB", flush=True)
    after = memory(pid)
    status, _ = ask(host, Sent(f"GET /api HTTP/1.0\r\nHost: {host}\r\n\r\n".encode(), "end"))
    if status != 200:
        wrong.append(f"at the end the server answers {status}")
    print(f"{count:,} requests: {dict(sorted(seen.items()))}")
    if pid is not None:
        grown = after / before - 1
        print(f"memory: {before:,} kB after a tenth, {after:,} kB at the end, {grown:+.1%}")
    return wrong


@contextmanager
def server(port: int) -> Iterator[tuple[str, int]]:
    """Start a server of the built-in model; yield its address and its process."""
    command = [sys.executable, "-m", "trifocal", "serve", "--port", str(port), "--seconds", "300"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as started:
        try:
            while started.poll() is None:
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}", started.pid
        finally:
            started.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--port", type=int, default=7861, help="of the server that is started")
    given = parser.parse_args()
    if given.address:
        found = fuzz(given.address, given.requests, given.seed, given.pid)
    else:
        with server(given.port) as (address, pid):
            found = fuzz(address, given.requests, given.seed, pid)
    print("\n".join(found[:20]) or "nothing is wrong")
    sys.exit(bool(found))
