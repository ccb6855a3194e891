"""One picture in 24 is broken: it is named, counts are right, more than the share is an error."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path

import pytest

from tests.faults.commands import inputs
from trifocal.cli import main

FIT = "classify fit photos --out head --method zero-shot --views 0 --holdout 0"


def _huge() -> bytes:
    """Return a PNG that says it has 2³⁰ × 2³⁰ pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + checked


def spoil(file: Path, how: str) -> None:
    content = file.read_bytes()
    broken = {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "text": b"not a picture\n" * 20,
        "huge": _huge(),
    }
    file.write_bytes(broken[how])


def _annotate() -> None:
    """Write annotations of the pictures here, a box each, in the layouts of benchmarks."""
    box, names = [4, 4, 40, 40], sorted(map(str, Path("photos").rglob("*.png")))
    images = [
        {"id": i, "file_name": name, "width": 64, "height": 64} for i, name in enumerate(names)
    ]
    things = [{"id": i, "image_id": i, "category_id": i % 3, "bbox": box} for i in range(24)]
    kinds = [{"id": i, "name": name} for i, name in enumerate(("cat", "dog", "cow"))]
    whole = {"images": images, "annotations": things, "categories": kinds}
    Path("instances.json").write_text(json.dumps(whole))
    sides = dict(zip(("left", "top", "width", "height"), box, strict=True))
    entries = [
        {
            "instance_id": str(i),
            "inputs": {
                "image": {"url": name, "width": 64, "height": 64},
                "bboxes": [sides],
                "clue": f"a thing {i}",
            },
            "yolo_box": [box],
            "targets": {"inference": f"a thing number {i}"},
        }
        for i, name in enumerate(names)
    ]
    Path("sherlock.json").write_text(json.dumps(entries))


HOWS = ("truncated", "empty", "text", "huge")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def spoiled(
    request: pytest.FixtureRequest, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy with one spoiled picture of 24."""
    folder = Path(shutil.copytree(whole, tmp_path / "given"))
    spoil(folder / "photos/0/3.png", request.param)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


TRAIN = (
    "train fsc_clip-captions-builtin --name short --output runs --data.path captions.csv "
    "--data.images . --schedule.steps 6 --batch_size 4 --workers 0 --schedule.warmup_steps 1 "
    "--data.bad_image_share"
)


@pytest.mark.parametrize("spoiled", ["truncated"], indirect=True)
@pytest.mark.usefixtures("spoiled")
def test_training_names_them_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN.split(), "0.1", "--device", "cpu"]) == 0
    lines = Path("runs/short/skipped.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [json.loads(lines[0])["id"]]
    assert "3.png" in lines[0]
    shutil.rmtree("runs")
    assert main([*TRAIN.split(), "0.01", "--device", "cpu"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "more than the share of 0.01" in error
    assert "3.png" in error


COCO = "coco_regions --option annotations=instances.json --images ."


@pytest.mark.parametrize(
    ("words", "spoiled"),
    [
        *(("zero_shot --root photos", how) for how in HOWS),
        ("retrieval --captions captions.csv --images .", "truncated"),
        (COCO, "empty"),
        (f"{COCO} --option variant=patches", "text"),
        ("sherlock --option annotations=sherlock.json --images .", "huge"),
        ("refcoco --option annotations=sherlock.json --images .", "truncated"),
    ],
    indirect=["spoiled"],
)
@pytest.mark.usefixtures("spoiled")
def test_benchmarks_leave_them_out_and_say_so(
    words: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    _annotate()
    command = ["eval", "builtin", *words.split(), "--out", "out.jsonl"]
    assert main(command) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "1 of 24 pictures of" in error
    assert "photos/0/3.png" in error
    assert not Path("out.jsonl").exists()
    assert main([*command, "--option", "most_left_out=0.1"]) == 0
    told = [line for line in caplog.messages if "3.png" in line]
    assert len(told) == 1
    assert "23 used, 1 left out" in told[0]
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    for row in rows:
        broken = row["account"]["unreadable"]
        assert broken["of"] == 24
        assert list(broken["left_out"].values()) == [1]
        assert broken["first"][0].endswith("photos/0/3.png")
        assert "1 of 24 pictures cannot be read" in row["protocol"]
        assert row["n"] == 23


@pytest.mark.parametrize("spoiled", ["empty"], indirect=True)
@pytest.mark.usefixtures("spoiled")
def test_a_classifier_is_not_fitted_to_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FIT.split()) == 2
    assert "3.png" in capsys.readouterr().err
    assert not Path("head").exists()
    Path("photos/0/3.png").unlink()
    assert main(FIT.split()) == 0


@pytest.mark.parametrize("spoiled", ["text", "huge"], indirect=True)
@pytest.mark.usefixtures("spoiled")
def test_lists_leave_them_out_where_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    words = "explain regions.jsonl --bank bank.txt --model builtin --out out.jsonl"
    assert main(words.split()) == 2
    assert "3.png" in capsys.readouterr().err
    assert main([*words.split(), "--skip-bad"]) == 0
    assert "23 of 24" in capsys.readouterr().err
    images = [json.loads(line)["image"] for line in Path("out.jsonl").read_text().splitlines()]
    assert len(images) == len(set(images)) == 23
    assert "photos/0/3.png" not in images
