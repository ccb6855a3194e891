"""What a gain may cost is scored beside it where its data are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from trifocal.apps.eval.costs import costs_to_add
from trifocal.cli import make_parser


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Data of a zero-shot set and captions of photos."""
    for name in ("zero_shot/pets/cat", "zero_shot/pets/dog"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "captions.csv").write_text("image,caption\n1.png,a cat\n")
    return tmp_path


def added(*words: str) -> list[str]:
    return costs_to_add(make_parser(["eval"]).parse_args(["eval", "runs/m", *words]), {})


def test_they_are_added_for_a_report_that_compares(root: Path) -> None:
    asked = ["sugarcrepe", "--root", str(root), "--report", "r.html"]
    assert added(*asked, "--base", "b") == ["zero_shot:pets", "retrieval"]
    assert added(*asked, "--interpolate", "0,1") == ["zero_shot:pets", "retrieval"]
    assert added(*asked) == []  # nothing is compared
    assert added(*asked, "--base", "b", "--no-costs") == []
    assert added("sugarcrepe", "--root", str(root), "--base", "b") == []  # no report


@pytest.mark.parametrize("named", ["zero_shot:pets", "retrieval", "all", "costs", "world"])
def test_they_are_not_added_to_what_has_them(root: Path, named: str) -> None:
    words = ["sugarcrepe", named, "--root", str(root), "--report", "r.html", "--base", "b"]
    assert added(*words) == []


def test_what_has_no_data_is_left_out(tmp_path: Path) -> None:
    words = ["sugarcrepe", "--root", str(tmp_path), "--report", "r.html", "--base", "b"]
    assert added(*words) == []
