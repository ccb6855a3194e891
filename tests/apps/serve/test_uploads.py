"""What people upload that is not quite what it should be: taken as it is meant, or refused in a sentence."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.apps.serve.conftest import as_file, class_folders, sentence, zipped

RED, BLUE = (Image.new("RGB", (60, 30), color) for color in ("red", "blue"))
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100)
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"


def deep() -> bytes:
    """Return a PNG of 16 bits a pixel."""
    return as_file(Image.fromarray(np.full((30, 60), 40_000, np.uint16)), "PNG")


@pytest.mark.parametrize(
    "content",
    [
        deep(),
        as_file(RED, "MPO", save_all=True, append_images=[BLUE]),
        as_file(RED, "WEBP", save_all=True, append_images=[BLUE], duration=100),
        as_file(RED, "PNG", save_all=True, append_images=[BLUE]),
        as_file(RED, "JPEG") + b"what a camera adds" * 50,
        as_file(RED, "JPEG", progressive=True),
        as_file(RED.convert("LA"), "PNG"),
    ],
    ids=["16-bit", "mpo", "moving-webp", "moving-png", "longer", "progressive", "gray-alpha"],
)
def test_odd_pictures_that_are_read(client: TestClient, content: bytes) -> None:
    answer = client.post("/api/explain", files={"image": ("a.gif", content)}, data={"top": 1})
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == [60, 30]


@pytest.mark.parametrize(
    "content",
    [
        as_file(RED, "JPEG")[:-200],
        as_file(RED, "PNG")[:-40],
        as_file(RED, "WEBP")[:-10],
        as_file(RED, "TIFF"),
        as_file(RED, "BMP"),
        HEIC,
        PDF,
        b"",
        b"\x89PNG\r\n\x1a\n",
        zipped({"a.png": as_file(RED)}),
    ],
    ids=["jpeg", "png", "webp", "tiff", "bmp", "heic", "pdf", "empty", "head", "zip"],
)
def test_what_is_no_whole_picture(client: TestClient, content: bytes) -> None:
    sentence(client.post("/api/explain", files={"image": ("a.png", content)}), 422)


def with_link() -> bytes:
    """Return a zip with class folders, and a link to a file of the server."""
    buffer = io.BytesIO(zipped(class_folders()))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("photos/red/link.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def packed_twice() -> bytes:
    """Return a zip of class folders in a zip."""
    return zipped({"inner.zip": zipped(class_folders())})


def tarred() -> bytes:
    """Return class folders as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in class_folders().items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def outside() -> bytes:
    """Return a zip whose paths lead out of it, absolutely and with dots."""
    pictures = [*class_folders().values()]
    names = [
        f"{top}{color}/{n}.png" for color in "ab" for n, top in enumerate(("/", "../../", "C:\\"))
    ]
    return zipped(dict(zip(names, pictures)))


def in_two_cases() -> bytes:
    """Return a zip of Red/ and red/."""
    files = class_folders()
    return zipped({name.replace("blue", "Red"): content for name, content in files.items()})


@pytest.mark.parametrize(
    ("content", "name", "classes"),
    [
        (with_link(), "a.zip", ["blue", "red"]),
        (outside(), "a.zip", ["a", "b"]),
        (zipped(class_folders()), "A.ZIP", ["blue", "red"]),
    ],
    ids=["link", "outside", "capital"],
)
def test_odd_class_folders_that_are_taken(
    client: TestClient, content: bytes, name: str, classes: list[str]
) -> None:
    answer = client.post("/api/classifiers", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["classes"] == classes


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (packed_twice(), "a.zip"),
        (tarred(), "a.tar"),
        (tarred(), "a.zip"),
        (b"", "a.zip"),
        (as_file(RED), "a.zip"),
        (zipped(class_folders()), "a.rar"),
        (zipped({"photos/only/1.png": as_file(RED)}), "a.zip"),
        (zipped({"1.png": as_file(RED), "2.png": as_file(BLUE)}), "a.zip"),
    ],
    ids=["twice", "tar", "tar-named-zip", "empty", "picture", "rar", "one-class", "no-folders"],
)
def test_what_is_no_class_folders(client: TestClient, content: bytes, name: str) -> None:
    said = sentence(client.post("/api/classifiers", files={"files": (name, content)}), 422)
    assert "zip" in said


def test_a_class_in_two_spellings(client: TestClient) -> None:
    files = {"files": ("a.zip", in_two_cases())}
    assert "'Red' and 'red'" in sentence(client.post("/api/classifiers", files=files), 422)
