"""`trifocal data check`: one benchmark, those of a focus, or all."""

from __future__ import annotations

import pytest

from trifocal.cli import main


@pytest.mark.parametrize(
    ("asked", "named", "other"),
    [("composition", "sugarcrepe", "sherlock"), ("regions", "sherlock", "sugarcrepe")],
)
def test_a_focus_stands_for_its_benchmarks(asked, named, other, tmp_path, capsys):
    assert main(["data", "check", asked, "--root", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{named}: missing: ") for line in lines)
    assert not any(line.startswith(f"{other}:") for line in lines)
