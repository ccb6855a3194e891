"""What is written is wholly there or not at all, and what is not ours is never replaced."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import trifocal
from trifocal.errors import UserError
from trifocal.files import (
    MARKER,
    Lines,
    archive_comment,
    asides,
    atomic_folder,
    atomic_write,
    check_apart,
    check_file,
    check_folder,
    failure,
    growing,
    is_marked,
    kind_of,
    mark_folder,
    sweep,
)
from trifocal.report.drawing import save_picture

PACKAGE = Path(trifocal.__file__).parent
# These write parts of what is ours: caches, run folders, folders that are still being made.
INTERNAL = {
    *("data/captions.py", "data/getting/fetch.py", "data/shards.py"),
    *("features/kept.py", "features/store.py", "files/__init__.py"),
    *("evaluate/few_shot/pairs.py", "evaluate/marks.py", "evaluate/records.py"),
    "apps/few_shot/sources.py",
    *("train/checkpoints.py", "train/engine.py", "train/logs.py"),
}


def everything(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, and the folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"folder"
        for path in folder.rglob("*")
    }


def fill(folder: Path, content: str = "new", **options: object) -> None:
    with atomic_folder(folder, "thing", **options) as aside:  # type: ignore[arg-type]
        (aside / "a").mkdir()
        (aside / "a" / "b.txt").write_text(content)


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Path]:
    """A folder of other work; nothing in it changes in the test, and nothing is left beside it."""
    work = tmp_path / "work"
    (work / "models" / "theirs").mkdir(parents=True)
    (work / "models" / "theirs" / "weights.bin").write_bytes(b"mine")
    (work / "file").write_text("mine")
    (work / "dangling").symlink_to(work / "nowhere")
    (work / "linked").symlink_to(work / "models")
    before = everything(work)
    yield work
    assert everything(work) == before
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("models", r"models already has content \(theirs"),
        ("linked", "already has content"),
        ("dangling", "is a link to nothing"),
        ("file", "is a file, but the thing is a folder"),
        ("file/inside", "is a file"),
        (".", "is the folder you are in"),
        ("..", "is the folder you are in or holds it"),
        ("models/..", "is the folder you are in"),
        ("/", "is the folder you are in or holds it"),
        ("", "has no name"),
        ("  ", "has no name"),
    ],
)
def test_a_folder_of_others_is_never_replaced(
    untouched: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str, force: bool
) -> None:
    monkeypatch.chdir(untouched)
    with pytest.raises(UserError, match=told):
        fill(Path(name) if name.strip() else name, force=force)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=told):
        check_folder(name, "thing", force=force)


@pytest.mark.parametrize("name", ["models", "linked", "dangling", "file", "file/inside", ".", ""])
def test_a_file_of_others_is_never_replaced(
    untouched: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(untouched)
    with pytest.raises(UserError), atomic_write(name, "report", force=True) as aside:
        aside.write_text("new")


def test_ours_is_replaced_where_that_is_said(tmp_path: Path) -> None:
    target = tmp_path / "new" / "thing"
    fill(target)
    assert json.loads((target / MARKER).read_text())["files"] == {"a/b.txt": 3}
    with pytest.raises(UserError, match="already has content, a thing; force=True replaces it"):
        fill(target)
    fill(target, "newer", force=True)
    assert (target / "a" / "b.txt").read_text() == "newer"
    assert [path.name for path in target.parent.iterdir()] == ["thing"]
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty")
    assert is_marked(tmp_path / "empty", "thing")
    assert not is_marked(tmp_path / "empty", "else")


def test_ours_with_something_of_the_users_is_not_ours_alone(tmp_path: Path) -> None:
    fill(tmp_path / "t")
    for name in ("notes.txt", "a/notes.txt", ".hidden"):
        (tmp_path / "t" / name).write_text("mine")
        with pytest.raises(UserError, match=rf"holds {name}, which is not of the thing"):
            fill(tmp_path / "t", force=True)
        (tmp_path / "t" / name).unlink()
    (tmp_path / "t" / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="holds link"):
        fill(tmp_path / "t", force=True)
    (tmp_path / "t" / "link").unlink()
    (tmp_path / "t" / "a" / "b.txt").write_text("changed by hand")
    with pytest.raises(UserError, match=r"a/b\.txt, which was changed since"):
        fill(tmp_path / "t", force=True)
    fill(tmp_path / "u")
    with pytest.raises(UserError, match="holds a thing and no other"):
        check_folder(tmp_path / "u", "other", force=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"written_by": "trifocal 1"}', "[" * 100_000])
def test_a_marker_that_proves_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / MARKER).write_text(text)
    with pytest.raises(UserError, match="already has content"):
        fill(tmp_path / "t", force=True)


def test_folders_of_a_version_without_markers_are_known_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "facts.json").write_text("{}")
    patterns = ("facts.json", "small/*.webp")
    check_folder(tmp_path / "old", "thing", force=True, older=patterns)
    with pytest.raises(UserError, match="force=True"):
        check_folder(tmp_path / "old", "thing", older=patterns)
    (tmp_path / "old" / "small").mkdir()
    (tmp_path / "old" / "small" / "0.webp").write_bytes(b"")
    check_folder(tmp_path / "old", "thing", force=True, older=patterns)
    (tmp_path / "old" / "small" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"small/holiday\.jpg"):
        check_folder(tmp_path / "old", "thing", force=True, older=patterns)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fill(tmp_path / "link")
    fill(tmp_path / "link", "newer", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a" / "b.txt").read_text() == "newer"
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    with atomic_write(tmp_path / "link.html", "report", force=True) as aside:
        aside.write_text("newer")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "page.html").read_text() == "newer"


def fill_a_full_disk(target: Path) -> None:
    with atomic_folder(target, "thing", force=True) as aside:
        (aside / "half").write_text("x")
        raise OSError(28, "No space left on device")


def test_a_failure_leaves_no_debris(tmp_path: Path) -> None:
    fill(tmp_path / "t", "old")
    before = everything(tmp_path)
    for target in (tmp_path / "t", tmp_path / "x" / "y" / "z"):
        with pytest.raises(UserError, match=r"cannot write .* \(No space left on device\)"):
            fill_a_full_disk(target)
        with pytest.raises(KeyError), atomic_write(target.with_suffix(".html"), "report"):
            raise KeyError
        assert everything(tmp_path) == before
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.html", "report"):
        (tmp_path.parent / "another, which is read").read_text()  # is not said to be the target


def test_what_came_while_we_computed_is_kept(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "notes.txt").write_text("mine")
    with (
        pytest.raises(UserError, match="already has content"),
        atomic_folder(tmp_path / "t", "thing", force=True),
    ):
        (tmp_path / "later").rename(tmp_path / "t")
    with (
        pytest.raises(UserError, match="is not replaced"),
        atomic_write(tmp_path / "r.html", "report", force=True),
    ):
        (tmp_path / "r.html").write_text("mine")
    assert (tmp_path / "t" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "r.html").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"t", "r.html"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_places(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut").chmod(0o500)
    for check in (check_file, check_folder):
        with pytest.raises(UserError, match="is read-only"):
            check(tmp_path / "shut" / "x", "thing")


def test_read_only_places_seen_by_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    for check in (check_file, check_folder):
        with pytest.raises(UserError, match="is read-only"):
            check(tmp_path / "new" / "x", "thing")


PAGE = '<html><head><meta name="generator" content="trifocal 0.1.0"></head></html>'


def test_files_prove_themselves_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text(PAGE)
    assert kind_of(tmp_path / "r.html") == "report"
    (tmp_path / "theirs.html").write_text("<html></html>")
    for suffix in (".png", ".jpg", ".jpeg", ".webp"):
        picture = Image.new("RGB", (3, 2), "red")
        save_picture(tmp_path / f"p{suffix}", picture)
        assert kind_of(tmp_path / f"p{suffix}") == "picture"
        save_picture(tmp_path / f"p{suffix}", picture)
        picture.save(tmp_path / f"theirs{suffix}")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.comment = archive_comment("submission")
    assert kind_of(tmp_path / "s.zip") == "submission"
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w"):
        pass
    (tmp_path / "theirs.pt").write_bytes(b"x")
    (tmp_path / "theirs.json").write_text('{"trifocal": {"written_by": "me"}}')
    for name in ("theirs.tsv", "theirs.txt", "theirs.csv", "theirs"):
        (tmp_path / name).write_text("mine")
    for path in tmp_path.glob("theirs*"):
        assert kind_of(path) == "", path.name
        with pytest.raises(UserError, match="is not replaced"):
            check_file(path, "picture", force=True)
    with pytest.raises(UserError, match="is not replaced"):
        save_picture(tmp_path / "theirs.png", picture)


def test_a_target_is_apart_from_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for target in ("run", "run/model", "run/model/new", "run/../run", str(tmp_path)):
        with pytest.raises(UserError, match="itself lies"):
            check_apart(target, "run/model" if target != "run/model" else "run")
    check_apart("other", "run")
    check_apart("builtin", "builtin")  # a name, and no file


def test_a_marked_folder_takes_what_comes(tmp_path: Path) -> None:
    mark_folder(tmp_path / "x" / "demo", "tour")
    assert is_marked(tmp_path / "x" / "demo", "tour")
    assert not is_marked(tmp_path, "tour")


def test_every_writer_is_guarded() -> None:
    """Who writes without a kind is in the list of those that write what is ours already."""
    for file in PACKAGE.rglob("*.py"):
        name = file.relative_to(PACKAGE).as_posix()
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            if named and call.func.id in ("atomic_write", "atomic_folder") and len(call.args) < 2:
                assert name in INTERNAL, f"{name}, line {call.lineno}: give a kind"


def killed(body: Callable[[], object]) -> None:
    """Run something in a process that is killed at the end of it."""
    child = os.fork()
    if child == 0:
        try:
            body()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b"]

    def halfway() -> None:
        with atomic_write(files[0]) as one, atomic_folder(files[1]) as other:
            one.write_text("half")
            (other / "half").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    killed(halfway)
    (tmp_path / ".b.theirs.part").mkdir()  # no name of ours
    assert len(list(tmp_path.glob(".*.part"))) == 3
    with atomic_write(files[0]) as living, atomic_folder(files[1]):
        living.write_text("first")
        with atomic_write(files[0]) as second:  # does not take the living one for dead
            second.write_text("second")
        assert files[0].read_text() == "second"
    assert files[0].read_text() == "first"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b", ".b.theirs.part"}


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_there_whenever_its_writer_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    target = tmp_path / "thing"
    fill(target, "old")
    if not exchange:
        monkeypatch.setattr(asides, "_exchanged", lambda *_: False)
    renames = os.replace

    def dying(source: Path, to: Path) -> None:
        if Path(to) == target and not target.exists():  # the old one is away, the new one not there
            os.kill(os.getpid(), signal.SIGKILL)
        renames(source, to)

    def replace() -> None:
        monkeypatch.setattr(os, "replace", dying)
        fill(target, "new", force=True)

    killed(replace)
    assert target.exists() == exchange
    sweep(tmp_path, "thing")  # as the next writer does
    assert (target / "a" / "b.txt").read_text() == ("new" if exchange else "old")
    assert os.listdir(tmp_path) == ["thing"]


def test_lines_that_do_not_fit_leave_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("1\n")

    class Full(io.FileIO):
        def write(self, data: Any, /) -> int:
            if len(data) < 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(bytes(data[:4]))

    with Full(file, "a+") as opened:
        lines = Lines(file, opened)  # type: ignore[arg-type]
        with pytest.raises(UserError, match="No space left"):
            lines.add(b"22\n333")
    assert file.read_text() == "1\n"


def test_a_file_of_lines_has_one_writer(tmp_path: Path) -> None:
    with growing(tmp_path / "a.jsonl") as lines:
        lines.add(b"1\n")
        refused = pytest.raises(UserError, match="another process is writing")
        with refused, growing(tmp_path / "a.jsonl", wait=False):
            pass
    with growing(tmp_path / "a.jsonl", wait=False) as lines:
        assert lines.read() == b"1\n"


def test_a_failure_to_write_is_told_from_others() -> None:
    assert "No space left on device: a" in failure(
        OSError(errno.ENOSPC, "No space left on device", "a")
    )
    assert "No space left" in failure(RuntimeError("PytorchStreamWriter: file write failed"))
    assert "No space left" in failure(RuntimeError("basic_ios::clear: iostream error"))
    assert "File too large" in failure(RuntimeError("I/O error: File too large (os error 27)"))
    assert failure(OSError(errno.ENOENT, "No such file", "a")) == ""
    assert failure(ValueError("wrong")) == ""


class _FullAfter:
    """A file on a disk that is full after so many writes, the last of which is cut."""

    def __init__(self, file: Any, writes: int) -> None:
        self._file, self._left = file, writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: bytes) -> int:
        if self._left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left -= 1
        return self._file.write(text[:7])  # what a nearly full disk does: less than was asked for


@pytest.mark.parametrize("writes", range(5))
def test_a_disk_that_is_full_at_any_write_leaves_no_half_line(tmp_path: Path, writes: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"old": 1}\n')
    with growing(path) as lines:
        lines._file = _FullAfter(lines._file, writes)  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        with pytest.raises(UserError, match=r"No space left.*make room"):
            lines.add(b'{"new": "%s"}\n' % (b"x" * 40))
    assert path.read_bytes() == b'{"old": 1}\n'
    with growing(path) as lines:
        lines.add(b'{"new": 2}\n')
    assert path.read_bytes() == b'{"old": 1}\n{"new": 2}\n'
