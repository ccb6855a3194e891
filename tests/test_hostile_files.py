"""Files that were made to harm: refused in a sentence, in bounded memory and time."""

from __future__ import annotations

import json
import pickle
import resource
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from trifocal.apps.region_lists import read_regions
from trifocal.cli import main
from trifocal.clip import load_clip
from trifocal.concepts.vocabulary import load_vocabulary
from trifocal.data.captions import read_captions
from trifocal.data.images import BadImage, open_image, read_image_file
from trifocal.errors import UserError
from trifocal.evaluate.records import read_results
from trifocal.features.files import read_feature_file
from trifocal.regions.bank import read_bank
from trifocal.train.recipe import load_recipe

MIB = 1 << 20
DEEP = "[" * 100_000


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """No file here may cost 600 MiB or ten seconds."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024
    assert time.process_time() - start < 10


# JSON


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "captions": (".json", read_captions),
    "caption lines": (".jsonl", read_captions),
    "bank": (".json", read_bank),
    "bank lines": (".jsonl", read_bank),
    "regions": (".jsonl", read_regions),
    "vocabulary": (".json", load_vocabulary),
    "results": (".jsonl", read_results),
    "recipe": (".yaml", load_recipe),
}


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize(
    "content",
    [
        DEEP,
        '{"images":' * 100_000,
        '{"a":"' + "x" * 1000,
        "9" * 10_000,
        f"[{'9' * 10_000}]",
        "1e999999",
        "NaN",
    ],
)
def test_json(tmp_path: Path, what: str, content: str) -> None:
    suffix, read = READERS[what]
    file = tmp_path / f"a{suffix}"
    file.write_text(content)
    with pytest.raises(UserError):
        read(file)


# Pictures


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width: int, height: int, *more: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + body + chunk(b"IEND", b"")


def text(size: int) -> bytes:
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 9))


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, width, height, 1, 24, 0, 4, 0, 0, 0, 0)
        + bytes(4)
    )


@pytest.mark.parametrize(
    "content",
    [
        png(2**31 - 1, 2**31 - 1),
        png(2**31 - 1, 1),
        png(60_000, 60_000),
        png(8, 8, text(100 * MIB)),
        png(8, 8, *(text(MIB // 2) for _ in range(200))),
        gif(65_535, 65_535),
        bmp(2**31 - 1, 2**31 - 1),
    ],
    ids=["2^31", "a long row", "60,000", "a long text", "many texts", "gif", "bmp"],
)
def test_pictures(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(content)
    with pytest.raises(BadImage):
        open_image(read_image_file(file), name="a.png")
    (tmp_path / "bank.txt").write_text("it rains\nit snows\n")
    words = ["--bank", str(tmp_path / "bank.txt"), "--model", "builtin", "--device", "cpu"]
    assert main(["explain", str(file), *words]) == 2


# safetensors


def tensors(header: object, body: bytes = bytes(64), length: int | None = None) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(start: int, end: int, shape: list[int]) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        tensors({"train1": entry(0, 64, [4, 4]), "b": entry(0, 64, [4, 4])}),
        tensors({"train1": entry(0, 2**40, [2**19, 2**19])}),
        tensors({"train1": entry(0, 64, [2**62, 2**62])}),
        tensors({"train1": entry(64, 0, [4, 4])}),
        tensors({}, length=2**63),
        tensors({}, length=2**40),
        tensors(DEEP.encode()),
        tensors(b"{" + b" " * 1000),
        tensors([1, 2]),
        struct.pack("<Q", 3),
    ],
)
def test_safetensors(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(UserError):
        read_feature_file(file)
    with pytest.raises(UserError):
        load_clip(str(file))


# Code


class Harm:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("harmed", "w")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
@pytest.mark.parametrize("kind", ["pickle", "torch", "state"])
def test_code_is_not_run(tmp_path: Path, monkeypatch, suffix: str, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"a{suffix}"
    if kind == "pickle":
        file.write_bytes(pickle.dumps(Harm()))
    else:
        held = {"state_dict": {"logit_scale": torch.ones(()), "x": Harm()}}
        torch.save(Harm() if kind == "torch" else held, file)
    for read in (load_clip, read_feature_file):
        with pytest.raises(UserError):
            read(str(file))
    assert not (tmp_path / "harmed").exists()


# Archives


def archive(file: Path, members: dict[str, bytes], more: bytes = b"") -> Path:
    """Write members, each with 256 times a MiB of `more` after it."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
        for name, content in members.items():
            with opened.open(name, "w") as member:
                member.write(content)
                for _ in range(256):
                    member.write(more * MIB)
    return file


@pytest.mark.parametrize(
    ("members", "more"),
    [
        ({"a.json": b"["}, b" "),
        ({"a.json": b'[{"inputs": {"image": {"url": "'}, b"x"),
        ({"../../escaped.json": b"[]"}, b""),
        ({"a.txt": b"", "b.txt": b""}, b""),
        ({}, b""),
    ],
    ids=["blanks", "a long text", "outside", "other files", "nothing"],
)
def test_zips(tmp_path: Path, members: dict[str, bytes], more: bytes) -> None:
    file = archive(tmp_path / "a.zip", members, more)
    with pytest.raises(UserError):
        read_bank(file)
    assert not (tmp_path.parent / "escaped.json").exists()
