"""`trifocal train`: one bar, log lines beside it, and what comes next."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from trifocal.apps.terminal import ProgressBars
from trifocal.apps.train import command
from trifocal.cli import _Lines, main

STEPS = 3


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"name: tiny\nmethod: finetune\ndata: {{size: 64}}\nschedule: {{steps: {STEPS}}}\n"
        f"batch_size: 8\nworkers: 0\noutput: {tmp_path}\n"
    )
    return str(path)


def test_a_bar_follows_the_steps(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(command, "ProgressBars", lambda quiet: ProgressBars(console, quiet=quiet))
    assert main(["train", recipe]) == 0
    shown = screen.getvalue()
    assert "tiny" in shown
    assert f"{STEPS}/{STEPS}" in shown
    assert "next: trifocal eval" in capsys.readouterr().out


def test_log_lines_go_where_stderr_is_when_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, now = _Lines(), io.StringIO()
    monkeypatch.setattr("sys.stderr", now)
    lines.emit(logging.LogRecord("x", logging.INFO, "", 0, "step 1 of 3", (), None))
    assert now.getvalue() == "step 1 of 3\n"
