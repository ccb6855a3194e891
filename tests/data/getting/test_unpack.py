"""Archives that are unpacked, and those that must not be."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from trifocal.data.getting.unpack import KIND, unpack
from trifocal.errors import UserError
from trifocal.files import is_marked

MOST = 1 << 20


def zipped(path: Path, members: dict[str, bytes], **attributes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes.get("mode", 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def tarred(path: Path, members: dict[str, bytes], **changes: object) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


MAKERS = {"a.zip": zipped, "a.tar": tarred, "a.tar.gz": tarred}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_folder_of_an_archive(tmp_path, kind):
    members = {"val/a.txt": b"a", "val/in/b.txt": b"bb", "README": b"no"}
    archive = MAKERS[kind](tmp_path / kind, members)
    assert unpack(archive, tmp_path / "out", most=MOST, inside="val") == 2
    assert (tmp_path / "out" / "in" / "b.txt").read_bytes() == b"bb"
    assert is_marked(tmp_path / "out", KIND)
    with pytest.raises(UserError, match="already has content"):
        unpack(archive, tmp_path / "out", most=MOST)
    assert unpack(archive, tmp_path / "all", most=MOST) == 3


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "a\\..\\out.txt", "C:/out.txt"]
)
def test_nothing_leaves_the_folder(tmp_path, kind, name):
    archive = MAKERS[kind](tmp_path / kind, {"good.txt": b"a", name: b"evil"})
    with pytest.raises(UserError, match="leads out of the folder"):
        unpack(archive, tmp_path / "to" / "out", most=MOST)
    assert [path.name for path in tmp_path.iterdir()] == [kind]


def test_links_and_devices_are_refused(tmp_path):
    archive = tarred(tmp_path / "a.tar", {"a": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd")
    with pytest.raises(UserError, match="'a' is a link or a device"):
        unpack(archive, tmp_path / "out", most=MOST)
    hard = tarred(tmp_path / "h.tar", {"a": b""}, type=tarfile.LNKTYPE, linkname="b")
    device = tarred(tmp_path / "d.tar", {"a": b""}, type=tarfile.CHRTYPE)
    link = zipped(tmp_path / "a.zip", {"a": b"/etc/passwd"}, mode=0o120777)
    for one in (hard, device, link):
        with pytest.raises(UserError, match="is a link or a device"):
            unpack(one, tmp_path / "out", most=MOST)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_a_bomb_is_stopped(tmp_path, kind):
    archive = MAKERS[kind](tmp_path / kind, {"a": bytes(3 << 20)})
    assert archive.stat().st_size < 10_000
    with pytest.raises(UserError, match="becomes larger than 1,048,576 bytes"):
        unpack(archive, tmp_path / "out", most=MOST)
    assert not (tmp_path / "out").exists()


def test_an_archive_that_lies_about_its_size_is_stopped(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"a": bytes(3 << 20)})
    content = archive.read_bytes()
    true, said = (3 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")
    archive.write_bytes(content.replace(true, said))
    with pytest.raises(UserError, match="damaged"):
        unpack(archive, tmp_path / "out", most=MOST)
    assert not (tmp_path / "out").exists()


def test_damaged_and_empty_archives_are_said(tmp_path):
    whole = zipped(tmp_path / "a.zip", {"a": b"a" * 1000})
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:60])
    text = tmp_path / "text.tar"
    text.write_text("no archive")
    for one in (cut, text):
        with pytest.raises(UserError, match="damaged or no archive"):
            unpack(one, tmp_path / "out", most=MOST)
    with pytest.raises(UserError, match="has no files in val"):
        unpack(whole, tmp_path / "out", most=MOST, inside="val")
    twice = tarred(tmp_path / "twice.tar", {"a": b"1"})
    with tarfile.open(twice, "a") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    with pytest.raises(UserError, match="has 'a' twice"):
        unpack(twice, tmp_path / "out", most=MOST)
    assert not (tmp_path / "out").exists()
