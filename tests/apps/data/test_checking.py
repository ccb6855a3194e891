"""`trifocal data check`: one benchmark, those of a focus, or all."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from trifocal.cli import main
from trifocal.composition.benchmarks.sugarcrepe import SUBSETS


@pytest.mark.parametrize(
    ("asked", "named", "other"),
    [("composition", "sugarcrepe", "sherlock"), ("regions", "sherlock", "sugarcrepe")],
)
def test_a_focus_stands_for_its_benchmarks(asked, named, other, tmp_path, capsys):
    assert main(["data", "check", asked, "--root", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{named}: missing: ") for line in lines)
    assert not any(line.startswith(f"{other}:") for line in lines)


def test_photos_that_are_there_may_be_enough(tmp_path, capsys):
    (tmp_path / "val2017").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "val2017" / "1.jpg")
    for name in SUBSETS:
        items = {
            str(n): {"filename": f"{n}.jpg", "caption": "a", "negative_caption": "b"}
            for n in (1, 2)
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(items))
    words = ["data", "check", "sugarcrepe", "--root", str(tmp_path)]
    assert main(words) == 1
    assert "000000000002" in (out := capsys.readouterr().out) or "2.jpg" in out
    assert main([*words, "--available-only"]) == 0
    assert "the photos that are there are enough for 7 items" in capsys.readouterr().out


def test_it_is_told_as_json(tmp_path, capsys):
    assert main(["data", "check", "sugarcrepe", "--root", str(tmp_path), "--json"]) == 1
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["name"], one["complete"]) == ("sugarcrepe", False)
    assert one["missing"]
    assert "licence" in one["how"]
    assert main(["data", "check", "dtd", "--root", str(tmp_path), "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)[0]["complete"]
    assert main(["data", "check", "dtd", "--root", str(tmp_path), "--available-only"]) == 2
