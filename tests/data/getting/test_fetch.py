"""Fetching one file: ranges, cuts, checksums and refusals, from a server on this machine."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.getting.server import Web, serving
from trifocal.data.getting.fetch import fetch
from trifocal.data.getting.origins import RemoteFile
from trifocal.errors import UserError

CONTENT = bytes(range(256)) * 40
MOST = 1 << 20


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        web.files["a.bin"] = CONTENT
        yield web


def source(web: Web, **known: object) -> RemoteFile:
    facts = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), **known}
    return RemoteFile("a.bin", f"{web.address}/a.bin", **facts)  # type: ignore[arg-type]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(web, tmp_path):
    target = tmp_path / "inner" / "a.bin"
    assert fetch(source(web), target, most=MOST)
    assert target.read_bytes() == CONTENT
    assert left(target.parent) == ["a.bin"]
    assert not fetch(source(web), target, most=MOST)
    assert len(web.asked) == 1


def test_a_cut_file_is_gone_on_with(web, tmp_path):
    web.cut["a.bin"] = 4000  # bytes of each answer: 10,240 need three
    assert fetch(source(web), tmp_path / "a.bin", most=MOST)
    assert [wanted for _, wanted in web.asked] == ["", "bytes=4000-", "bytes=8000-"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_what_came_is_kept_for_the_next_time(web, tmp_path):
    web.cut["a.bin"] = 1000
    with pytest.raises(UserError, match=r"was lost .* after 3,000 bytes, which are kept"):
        fetch(source(web), tmp_path / "a.bin", most=MOST)
    assert not (tmp_path / "a.bin").exists()
    web.cut.clear()
    fetch(source(web), tmp_path / "a.bin", most=MOST)
    assert web.asked[-1][1] == "bytes=3000-"
    assert left(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("how", ["changed", "no ranges", "another address"])
def test_bytes_of_another_file_are_not_gone_on_with(web, tmp_path, how):
    web.cut["a.bin"] = 1000
    with pytest.raises(UserError, match=r"was lost"):
        fetch(source(web), tmp_path / "a.bin", most=MOST)
    web.cut.clear()
    content = CONTENT
    if how == "changed":
        content = web.files["a.bin"] = CONTENT[::-1]
    web.ranges = how != "no ranges"
    remote = source(web, sha256=hashlib.sha256(content).hexdigest())
    if how == "another address":
        web.files["b.bin"] = content
        remote = RemoteFile("a.bin", f"{web.address}/b.bin")
    fetch(remote, tmp_path / "a.bin", most=MOST)
    assert (tmp_path / "a.bin").read_bytes() == content


def test_a_wrong_checksum_leaves_nothing(web, tmp_path):
    with pytest.raises(
        UserError, match=r"the SHA-256 .* and not 000000000000\.\.\.: it was changed"
    ):
        fetch(source(web, sha256="0" * 64), tmp_path / "a.bin", most=MOST)
    assert left(tmp_path) == []
    with pytest.raises(UserError, match="10,240 bytes and not 20,000"):
        fetch(source(web, size=20_000), tmp_path / "a.bin", most=MOST)
    assert left(tmp_path) == []


def test_more_than_expected_is_refused_before_it_is_written(web, tmp_path):
    with pytest.raises(UserError, match="sends 10,240 bytes, but 500 are the most expected"):
        fetch(source(web, size=500), tmp_path / "a.bin", most=MOST)
    with pytest.raises(UserError, match="but 100 are the most expected"):
        fetch(source(web, size=None), tmp_path / "a.bin", most=100)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [(401, "log in"), (403, "accept its terms"), (404, "no longer"), (410, "no")],
)
def test_refusals_are_said(web, tmp_path, code, reason):
    web.codes["/a.bin"] = code
    with pytest.raises(UserError, match=rf"{reason}.*HTTP {code}"):
        fetch(source(web), tmp_path / "a.bin", most=MOST)


def test_a_users_file_is_never_replaced(web, tmp_path):
    (tmp_path / "a.bin").write_text("mine")
    with pytest.raises(UserError, match="is there already and is not the published file"):
        fetch(source(web), tmp_path / "a.bin", most=MOST)
    assert (tmp_path / "a.bin").read_text() == "mine"


def test_nobody_answers_and_no_address(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=r"was lost .* after 0 bytes"):
        fetch(RemoteFile("a", f"http://127.0.0.1:{port}/a"), tmp_path / "a", most=MOST)
    with pytest.raises(UserError, match="no address of a file on the web"):
        fetch(RemoteFile("a", "file:///etc/hosts"), tmp_path / "a", most=MOST)
