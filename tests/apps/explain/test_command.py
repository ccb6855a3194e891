"""`trifocal explain`: the ranking, many regions, the picture, and what is said of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trifocal.apps import region_lists
from trifocal.apps.explain.explanation import Explanation, explain
from trifocal.apps.explain.listed import explain_listed
from trifocal.apps.explain.picture import explained_picture
from trifocal.apps.region_lists import read_regions
from trifocal.cli import main
from trifocal.clip import load_clip
from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.regions.bank import Bank, load_bank
from trifocal.regions.encoder import RegionEncoder, region_encoder
from trifocal.world import MEANINGS, abduction_items, draw, inference_wordings

TEXTS = [inference_wordings(*meaning)[0] for meaning in MEANINGS][:40]
BOX = (20.0, 30.0, 60.0, 50.0)


@pytest.fixture(scope="module")
def encoder() -> RegionEncoder:
    return region_encoder(load_clip("builtin"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scene = abduction_items(1)[0].scene.scene
    draw(scene, 128).save(tmp_path / "world.png")
    (tmp_path / "bank.txt").write_text("\n".join(TEXTS))
    return tmp_path


@pytest.fixture
def bank(folder: Path, encoder: RegionEncoder) -> Bank:
    return load_bank(folder / "bank.txt", encoder)


def command(folder: Path, *words: str, image: str = "world.png", model: str = "builtin") -> int:
    given = {"--bank": str(folder / "bank.txt"), "--model": model, "--device": "cpu"}
    named = [word for pair in given.items() if pair[0] not in words for word in pair]
    return main(["explain", str(folder / image), *named, *words])


# One region


def test_ranking_equals_brute_force_cosines(
    folder: Path, bank: Bank, encoder: RegionEncoder
) -> None:
    regions = [
        Region(folder / "world.png", (BOX,)),
        Region(folder / "world.png", (BOX, (80.0, 5.0, 30.0, 90.0))),
    ]
    found = explain(encoder.clip, regions, bank, top=7)
    texts = encoder.encode_inferences(TEXTS)
    for region, explanations in zip(regions, found, strict=True):
        cosines = (texts @ encoder.encode_regions([region])[0]).tolist()
        order = np.argsort(cosines)[::-1][:7]
        assert [one.text for one in explanations] == [TEXTS[n] for n in order]
        assert [one.rank for one in explanations] == list(range(1, 8))
        assert [one.score for one in explanations] == pytest.approx(
            [cosines[n] for n in order], abs=1e-5
        )


def test_more_than_there_are_gives_all(folder: Path, bank: Bank, encoder: RegionEncoder) -> None:
    assert len(explain(encoder, [Region(folder / "world.png", (BOX,))], bank, 999)[0]) == 40
    assert explain(encoder, [], bank) == []


def test_command_prints_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(folder, "--box", "20,30,60,50", "--top", "3") == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["rank", "score", "explanation"]
    assert lines[1].split(maxsplit=2)[2] in TEXTS


def test_json_of_the_whole_picture(
    folder: Path, bank: Bank, encoder: RegionEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(folder, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["boxes"] == [[0, 0, 128, 128]]
    region = Region(folder / "world.png", ((0.0, 0.0, 128.0, 128.0),))
    assert said["explanations"] == [one.as_dict() for one in explain(encoder, [region], bank)[0]]


def test_photo(real_data: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = sorted((real_data / "images" / "coco").glob("*.jpg"))
    if not photos:
        pytest.skip("no COCO photo here")
    out = folder / "explained.jpg"
    words = ["--box", "30,40,100,120", "--box", "150,60,50,50", "--json", "--out", str(out)]
    assert command(folder, *words, image=str(photos[0])) == 0
    assert len(json.loads(capsys.readouterr().out)["explanations"]) == 5
    assert Image.open(out).format == "JPEG"


# The picture


@pytest.mark.parametrize("size", [(128, 96), (64, 128), (400, 90), (3, 500), (500, 3), (1, 1)])
def test_picture_of_any_shape(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "gray")
    box = (-5.0, -5.0, size[0] + 50.0, size[1] + 50.0)
    texts = ["it rains", "long words " * 60, "x" * 500, "雨が降る", ""] * 3
    found = [Explanation(n + 1, 0.3 - n / 20, text) for n, text in enumerate(texts)]
    page = explained_picture(image, [box], found, "a note")
    assert page.mode == "RGB"
    assert max(page.size) < 2500


def test_box_is_drawn_where_it_is(folder: Path) -> None:
    image = Image.new("RGB", (640, 640), "black")
    page = explained_picture(image, [(100, 200, 50, 80)], [Explanation(1, 0.2, "a")])
    marked = np.all(np.asarray(page)[24:664, 24:664] == (0xD5, 0x5E, 0), axis=-1)
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    assert (columns[0], columns[-1], rows[0], rows[-1]) == (100, 149, 200, 279)


# Many regions


@pytest.fixture
def listing(folder: Path) -> Path:
    path = folder / "regions.jsonl"
    entries: list[dict[str, Any]] = [
        {"id": f"r{n}", "image": "world.png", "boxes": [[5 * n, 4, 30, 40]]} for n in range(7)
    ]
    entries += [{"image": "world.png"}, entries[0]]
    path.write_text("\n".join(map(json.dumps, entries)) + "\n\n")
    return path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_list_gives_a_line_a_region(
    folder: Path,
    listing: Path,
    bank: Bank,
    encoder: RegionEncoder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(folder, "--top", "2", image="regions.jsonl") == 0
    said = lines(capsys.readouterr().out)
    assert [one.get("id") for one in said] == [*(f"r{n}" for n in range(7)), None]
    regions = [Region(folder / "world.png", ((5.0 * n, 4.0, 30.0, 40.0),)) for n in range(7)]
    regions += [Region(folder / "world.png", ((0.0, 0.0, 128.0, 128.0),))]
    for one, region in zip(said, regions, strict=True):
        best = explain(encoder, [region], bank, 2)[0]
        assert [each["text"] for each in one["explanations"]] == [each.text for each in best]
        scores = [each["score"] for each in one["explanations"]]
        assert scores == pytest.approx([each.score for each in best], abs=1e-5)


class Counting(RegionEncoder):
    """An encoder that counts the regions, and is interrupted after some."""

    seen, most = 0, 10**9

    def encode_regions(self, regions: Any, **options: Any) -> Tensor:
        if self.seen + len(regions) > self.most:
            raise KeyboardInterrupt
        self.seen += len(regions)
        return super().encode_regions(regions, **options)


def test_cut_list_goes_on(
    folder: Path,
    listing: Path,
    bank: Bank,
    encoder: RegionEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(region_lists, "CHUNK", 2)
    listed, out, whole = read_regions(listing), folder / "o" / "out.jsonl", folder / "whole.jsonl"
    explain_listed(encoder, listed, bank, 3, whole)

    def counting() -> Counting:
        return Counting(encoder.clip, encoder.prompt)

    cut = counting()
    cut.most = 5
    with pytest.raises(KeyboardInterrupt):
        explain_listed(cut, listed, bank, 3, out)
    assert len(lines(out.read_text())) == 4
    for kept in (30, 3):  # a line that was cut off, late and early
        whole_lines = out.read_bytes().splitlines(keepends=True)[:3]
        out.write_bytes(b"".join(whole_lines) + whole_lines[0][:kept])
        again = counting()
        assert explain_listed(again, listed, bank, 3, out) == 8
        assert again.seen == 5
        assert out.read_text() == whole.read_text()
    third = counting()
    assert explain_listed(third, listed, bank, 3, out) == 8
    assert third.seen == 0


def test_output_of_other_settings_is_refused(
    folder: Path, listing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out.jsonl"
    assert command(folder, "--out", str(out), image="regions.jsonl") == 0
    before = out.read_bytes()
    assert command(folder, "--out", str(out), "--top", "2", image="regions.jsonl") == 2
    (folder / "bank.txt").write_text("\n".join(TEXTS[:9]))
    assert command(folder, "--out", str(out), image="regions.jsonl") == 2
    said = capsys.readouterr().err
    assert said.count("another model, bank or --top") == 2
    assert out.read_bytes() == before


@pytest.mark.parametrize("content", [b"a note of mine", b'{"image": "x"}\n', b'{"run": 1}', b"\0"])
def test_files_of_others_are_never_touched(
    folder: Path, listing: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out.jsonl"
    out.write_bytes(content)
    assert command(folder, "--out", str(out), image="regions.jsonl") == 2
    assert "give another --out" in capsys.readouterr().err
    assert out.read_bytes() == content


def test_bad_regions_stop_or_are_skipped(
    folder: Path,
    listing: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (folder / "cut.png").write_bytes((folder / "world.png").read_bytes()[:900])
    with listing.open("a") as file:
        file.write('{"id": "bad", "image": "cut.png"}\n')
        file.write('{"id": "out", "image": "world.png", "boxes": [[500, 1, 2, 3]]}\n')
        file.write('{"id": "last", "image": "world.png", "boxes": [[1, 1, 9, 9]]}\n')
    out = folder / "out.jsonl"
    assert command(folder, "--out", str(out), image="regions.jsonl") == 2
    assert "regions.jsonl, line 11: cannot open the picture" in capsys.readouterr().err
    assert command(folder, "--out", str(out), "--skip-bad", image="regions.jsonl") == 0
    assert "9 of 11 regions" in capsys.readouterr().err
    assert "line 11" in caplog.text
    assert "line 12: the box 500,1,2,3 lies outside" in caplog.text
    assert lines(out.read_text())[-1]["id"] == "last"
    (folder / "cut.png").write_bytes((folder / "world.png").read_bytes())
    assert command(folder, "--out", str(out), "--skip-bad", image="regions.jsonl") == 0
    assert lines(out.read_text())[-1]["id"] == "bad"


# Bad input


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--box", "200,0,10,10"], "lies outside the picture of 128x128"),
        (["--box", "2,3,0,10"], "no area"),
        (["--box", "2,3,10"], "cannot read the box '2,3,10'"),
        (["--box", "2,3,inf,1"], "not finite"),
        (["--bank", "nowhere.txt"], "there is no bank at nowhere.txt"),
        (["--model", "nowhere/x"], "nowhere/x"),
        (["--top", "0"], "at least 1"),
        (["--out", "x.gif"], "end it in .png"),
        (["--device", "no-such"], "the device 'no-such' cannot be used"),
    ],
)
def test_bad_words(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(folder, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", None, "no such file"),
        ("a.png", b"", "an empty file"),
        ("a.png", b"text", "not a JPEG, PNG or WebP"),
        ("a.jsonl", None, "there is no list"),
        ("a.jsonl", b"\n", "lists no region"),
        ("a.jsonl", b"{}\n", "line 1: not like"),
        (
            "a.jsonl",
            b'{"image": "world.png", "boxes": [[1, 2, 3]]}',
            "line 1: the region has a box",
        ),
        ("a.jsonl", b'{"image": "world.png", "boxes": 3}', "boxes that are no list"),
        ("a.jsonl", b'\n{"image": "world.png", "boxes": [[1, 2, 3, NaN]]}', "line 2"),
    ],
)
def test_bad_pictures_and_lists(
    folder: Path, name: str, content: bytes | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    assert command(folder, image=name) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_boxes_belong_into_the_list(
    folder: Path, listing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(folder, "--box", "1,2,3,4", image="regions.jsonl") == 2
    assert "leave out --box" in capsys.readouterr().err
    assert command(folder, "--out", "x.png", image="regions.jsonl") == 2
    assert "is a picture" in capsys.readouterr().err


def test_folder_that_is_no_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "none").mkdir()
    assert command(folder, model=str(folder / "none")) == 2
    assert "not a CLIP checkpoint" in capsys.readouterr().err


def test_top_below_one(bank: Bank, encoder: RegionEncoder) -> None:
    with pytest.raises(UserError, match="at least 1"):
        explain(encoder, [], bank, 0)


def test_a_region_needs_no_file(bank: Bank, encoder: RegionEncoder) -> None:
    torch.manual_seed(0)
    picture = Image.fromarray(np.full((40, 60, 3), 90, dtype=np.uint8))
    assert explain(encoder, [Region(picture, ((1, 2, 30, 30),))], bank, 1)[0][0].text in TEXTS
