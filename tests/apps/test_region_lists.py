"""Lists of regions and boxes of a command line mean what they say, or are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trifocal.apps.region_lists import given_region, read_regions, region_key, stated_boxes
from trifocal.cli import main
from trifocal.data.boxes import parse_box
from trifocal.errors import UserError
from trifocal.regions.bank import read_bank


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture with a red part, another that EXIF turns, and a bank."""
    image = Image.new("RGB", (200, 100), (90, 90, 90))
    image.paste((220, 0, 0), (120, 20, 160, 70))
    image.save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    (tmp_path / "bank.txt").write_text("a red circle\na blue square\na green star\n")
    return tmp_path


def read(folder: Path, **entry: Any) -> Any:
    line = json.dumps({"image": "a.png", **entry})
    (folder / "list.jsonl").write_text(line + "\n")
    return read_regions(folder / "list.jsonl")[0].region


def is_red(image: Image.Image, box: Any) -> bool:
    left, top, width, height = map(round, box)
    crop = np.asarray(image.crop((left, top, left + width, top + height)))
    return crop.size > 0 and bool((crop == (220, 0, 0)).all())


@pytest.mark.parametrize("key", ["bbox", "box", "Boxes"])
def test_other_names_of_boxes_are_refused(
    cases: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cases / "boxes"
    words = ["--bank", str(folder / "bank.txt"), "--model", "builtin"]
    assert main(["explain", str(folder / f"{key}.list.jsonl"), *words]) == 2
    told = capsys.readouterr().err
    assert f"line 1: unknown key '{key}'. Did you mean 'boxes'?" in told


def test_the_right_name_shows_each_half(cases: Path) -> None:
    colors = []
    for one in read_regions(cases / "boxes" / "boxes.list.jsonl"):
        image, ((left, top, width, height),) = one.region.open()
        middle = (round(left + width / 2), round(top + height / 2))
        assert image.size == (192, 96)
        colors.append(int(np.argmax(image.getpixel(middle))))
    assert colors == [0, 2]  # the red circle, the blue square


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"label": "cat", "lable": "dog"}, "unknown key 'lable'. Did you mean 'label'"),
        ({"box_fromat": "xyxy"}, "Did you mean 'box_format'"),
        ({"img": "b.png"}, "Did you mean 'image'"),
        ({"id": [3]}, '"id" is neither'),
        ({"boxes": [1, 2, 3, 4]}, r"one box where a list of boxes belongs, \[\[x, y"),
        ({"boxes": [[[1, 2, 3, 4]]]}, "has a box that is not"),
        ({"boxes": [["1", 2, 3, 4]]}, r"side that is not a number of pixels \('1'\)"),
        ({"boxes": [[1, 2, 3, float("nan")]]}, r"not a number of pixels \(nan\)"),
        ({"boxes": [[1, 2, 3, 1 << 31]]}, r"not a number of pixels \(2147483648\)"),
        ({"boxes": [[1, 2, 3, 10**400]]}, "not a number of pixels"),
        ({"boxes": [[1, 2, True, 4]]}, "not a number of pixels"),
        ({"boxes": ""}, "boxes that are no list"),
        ({"boxes": False}, "boxes that are no list"),
        ({"boxes": [[1, 2, 3, 4]], "box_format": "yxyx"}, "box_format is 'yxyx'"),
        ({"boxes": [[1, 2, 3, 4]], "box_format": ["xyxy"]}, "It is one of xywh"),
        ({"boxes": [[1, 2, 3, 4]], "width": 30}, '"width" and "height"'),
        ({"boxes": [[1, 2, 3, 4]], "width": 0, "height": 3}, '"width" and "height"'),
        ({"box_format": "xyxy"}, "but has no boxes"),
        ({"boxes": [[3, 2, 30, 40]], "box_format": "normalized"}, "which is not normalized"),
    ],
)
def test_lines_that_cannot_be_meant(folder: Path, entry: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read(folder, **entry)
    assert "list.jsonl, line 1: " in str(caught.value)


def test_a_key_twice(folder: Path) -> None:
    (folder / "list.jsonl").write_text('{"image": "a.png", "image": "b.png"}\n')
    with pytest.raises(UserError, match="line 1: the key 'image' stands there twice"):
        read_regions(folder / "list.jsonl")


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([0.6, 0.2, 0.2, 0.5], "in shares of the picture.*state the box format: normalized"),
        ([0, 0, 1, 1], "in shares of the picture"),
        ([120, 20, 160, 70], "would not as left, top, right, bottom; state the box format: xyxy"),
        ([200, 0, 9, 9], "lies outside the picture of 200x100"),
        ([-9, 0, 9, 9], "lies outside"),
        ([1, 2, -3, 4], "has no area"),
        ([1, 2, 0, 4], "has no area"),
    ],
)
def test_boxes_that_cannot_be_meant(folder: Path, box: list[float], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read(folder, boxes=[box]).open()
    assert "list.jsonl, line 1: the box" in str(caught.value)
    text = ",".join(map(str, box))
    with pytest.raises(UserError, match=said):
        given_region(folder / "a.png", [parse_box(text)]).open()


@pytest.mark.parametrize(
    ("box_format", "box"),
    [
        (None, [120, 20, 40, 50]),
        ("xywh", [120, 20, 40, 50]),
        ("xyxy", [120, 20, 160, 70]),
        ("cxcywh", [140, 45, 40, 50]),
        ("normalized", [0.6, 0.2, 0.2, 0.5]),
    ],
)
def test_every_format_shows_the_red(folder: Path, box_format: Any, box: list[float]) -> None:
    stated = {"box_format": box_format} if box_format else {}
    image, (listed,) = read(folder, boxes=[box], **stated).open()
    assert is_red(image, listed)
    boxes = stated_boxes([",".join(map(str, box))], box_format)
    assert given_region(folder / "a.png", boxes, box_format).open()[1] == (listed,)


def test_stated_as_they_are_boxes_may_end_outside(folder: Path) -> None:
    box = [120, 20, 160, 70]
    assert read(folder, boxes=[box], box_format="xywh").open()[1] == (tuple(box),)
    assert read(folder, boxes=[[150, 60, 70, 60]]).open()[1] == ((150, 60, 70, 60),)


def test_a_frame(folder: Path) -> None:
    image, (box,) = read(folder, boxes=[[12, 2, 4, 5]], width=20, height=10).open()
    assert is_red(image, box)
    with pytest.raises(UserError, match="lies outside the picture of 20x10"):
        read(folder, boxes=[[120, 20, 40, 50]], width=20, height=10).open()


def test_a_photo_that_is_turned(folder: Path) -> None:
    stored = {"image": "turned.png", "boxes": [[120, 20, 40, 50]]}
    image, (box,) = read(folder, **stored, width=200, height=100).open()
    assert image.size == (100, 200)
    assert is_red(image, box)
    with pytest.raises(UserError, match="only as its file holds it, 200x100; EXIF turns it to 100"):
        read(folder, **stored).open()
    upright = {"image": "turned.png", "boxes": [[30, 120, 50, 40]]}
    image, (box,) = read(folder, **upright).open()
    assert is_red(image, box)
    shares = {"image": "turned.png", "boxes": [[0.6, 0.2, 0.2, 0.5]], "box_format": "normalized"}
    image, (box,) = read(folder, **shares, width=200, height=100).open()
    assert is_red(image, box)


def test_answers_to_another_format_are_not_taken_for_these(folder: Path) -> None:
    facts = {"image": "a.png", "boxes": [[1, 2, 3, 4]]}
    assert region_key(facts) != region_key({**facts, "box_format": "xyxy"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--box-format", "xyxy"], "there is none; leave it out"),
        (["--box", "120,20,160,70"], "format: xyxy"),
        (["--box", "0.1,0.1,0.5,0.5"], "normalized"),
        (["--skip-bad"], "--skip-bad is about a list"),
    ],
)
def test_the_command_line(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = ["--bank", str(folder / "bank.txt"), "--model", "builtin"]
    assert main(["explain", str(folder / "a.png"), *bank, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_stated_format_on_the_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--bank", str(folder / "bank.txt"), "--model", "builtin", "--json", "--device", "cpu"]
    box = ["--box", "0.6,0.2,0.2,0.5", "--box-format", "normalized"]
    assert main(["explain", str(folder / "a.png"), *words, *box]) == 0
    assert json.loads(capsys.readouterr().out)["boxes"] == [[120, 20, 40, 50]]


def test_keys_of_a_bank(tmp_path: Path) -> None:
    bank = tmp_path / "bank.jsonl"
    bank.write_text('{"text": "it rains"}\n{"text": "it snows", "texts": ["a", "b"]}\n')
    with pytest.raises(UserError, match=r"bank\.jsonl, line 2: unknown key 'texts'.*mean 'text'"):
        read_bank(bank)
