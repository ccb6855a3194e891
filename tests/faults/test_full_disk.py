"""A full disk at every writer: the old is whole, no half file has a final name, one sentence."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.attempts import Server
from tests.faults.commands import COMMANDS
from tests.test_files import everything

CLASSIFY = "classify fit @/photos --method zero-shot --views 0 --holdout 0 --out"
WRITERS = {
    "export": "export builtin --to transformers --out new",
    "export of one file": "export builtin --to open_clip --out new.pt",
    "shards": "data prepare shards @/captions.csv --images @ --out new",
    "world": "data prepare world new",
    "negatives": "data prepare negatives @/captions.csv --images @ --out new.tsv",
    "train": COMMANDS["train composition"].words,
    "results": COMMANDS["eval"].words,
    "report": "eval builtin zero_shot --root @/photos --report new.html",
    "records": "eval builtin zero_shot --root @/photos --clip-benchmark new",
    "few-shot rows": COMMANDS["eval few-shot"].words,
    "classifier": f"{CLASSIFY} new",
    "explanations": COMMANDS["explain"].words,
    "explanations as a table": COMMANDS["explain"].words.replace(".jsonl --bank", ".jsonl --bank").replace("out.jsonl", "out.csv"),
    "a picture": "explain @/photos/0/0.png --box 4,4,20,30 --bank @/bank.txt --model builtin --out new.png",
}  # fmt: skip


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk that is full but for some pages."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=40", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(disk: Path, room: int = 0) -> None:
    """Fill a disk but for some pages."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
        file.truncate(max(0, file.tell() - room * 4096))


@pytest.mark.parametrize("name", WRITERS)
def test_full(name: str, server: Server, given: Path, full: Path) -> None:
    words = WRITERS[name].replace("@", str(given)).split()
    (full / "old.txt").write_text("old")
    (full / "tmp").mkdir()
    small = "results", "records", "few-shot rows", "report", "negatives", "explanations"
    room = 0 if name.startswith(small) else 8
    _fill(full, room)
    before = everything(full)
    done = server.run(words, full, learn=True)
    assert done.status == 2, done.told
    assert "Traceback" not in done.told
    assert "trifocal: " in done.sentence
    assert any(word in done.sentence.lower() for word in ("no space left", "disk is full")), (
        done.sentence
    )
    after = everything(full)
    assert {path: after.get(path) for path in before} == before
    new = set(after) - set(before)
    assert not [path for path in new if path.startswith(("new", "head", "out.csv", "model"))], new
    kept = name == "negatives"  # finished rows stay in a hidden file, for a run that goes on
    assert not [path for path in new if path.endswith((".part", ".old")) and not kept], new
    lines = [after[path] for path in new if path.endswith(".jsonl")]
    assert all(not line or line.endswith(b"\n") for line in lines)
    if kept:
        (full / "ballast").unlink()
        assert server.run(words, full).status == 0
        assert (full / "new.tsv").is_file()
        assert not list(full.glob(".*.part"))


def test_a_cache_that_is_full_is_said_and_costs_nothing(
    server: Server, given: Path, full: Path, tmp_path: Path
) -> None:
    (full / "cache").symlink_to(full)
    _fill(full)
    words = f"{CLASSIFY} {tmp_path / 'head'}".replace("@", str(given)).split()
    (full / "tmp").mkdir(exist_ok=True)
    done = server.run(words, full, learn=True)
    assert done.status == 0, done.told
    assert "cannot be kept" in done.told


def test_predictions(server: Server, given: Path, full: Path, tmp_path: Path) -> None:
    fit = f"{CLASSIFY} {tmp_path / 'head'}".replace("@", str(given)).split()
    assert server.run(fit, tmp_path, learn=True).status == 0
    words = ["classify", "predict", str(tmp_path / "head"), str(given / "photos/0"), "--out"]
    (full / "tmp").mkdir()
    _fill(full)
    for name in ("out.csv", "out.jsonl"):
        done = server.run([*words, name], full)
        assert done.status == 2, done.told
        assert "Traceback" not in done.told
        assert "no space left" in done.sentence.lower()
        assert not (full / name).is_file() or (full / name).read_bytes() == b""


@pytest.mark.parametrize("name", ["export", "train", "classifier"])
def test_a_file_that_may_not_grow(name: str, server: Server, given: Path, tmp_path: Path) -> None:
    words = WRITERS[name].replace("@", str(given)).split()
    done = server.run(words, tmp_path, largest=1000)
    assert done.status == 2, done.told
    assert "Traceback" not in done.told
    assert not (tmp_path / "new").exists()
