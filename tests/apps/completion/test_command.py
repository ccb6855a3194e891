"""Completion: what a shell is told to do, and what trifocal answers it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trifocal.cli import main


@pytest.mark.parametrize(
    ("shell", "line"),
    [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --command trifocal")],
)
def test_a_shell_gets_its_lines(shell: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("trifocal ex", {"explain", "export"}),
        ("trifocal --quiet classify pr", {"predict "}),
        ("trifocal eval few-shot --sh", {"--shots "}),
        ("trifocal export a --to ", {"transformers", "open_clip"}),
        ("trifocal train rca-world", {"rca-world-builtin", "rca-world-referring-builtin"}),
    ],
)
def test_tab_offers_what_could_come_next(typed: str, offered: set[str], tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
        "COMP_TYPE": "9",
    }
    subprocess.run(
        [sys.executable, "-m", "trifocal"],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert offered <= set(answer.read_text().split("\n"))


def test_no_run_without_tab_imports_it() -> None:
    code = "import sys, trifocal.cli as c; c.make_parser(); assert 'argcomplete' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
