"""What the tour says of its steps."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from trifocal.apps.demo.steps import Steps


def test_every_step_has_its_number_and_its_seconds() -> None:
    said = io.StringIO()
    steps = Steps(Console(file=said, width=80), 2)
    for doing in ("training", "measuring"):
        with steps.step("Regions", doing):
            steps.console.print("a bar")
    assert len(steps.seconds) == steps.total
    lines = re.sub(r"in \d+ s", "in N s", said.getvalue()).splitlines()
    assert lines == [
        "Step 1 of 2, Regions: training",
        "a bar",
        "  done in N s",
        "Step 2 of 2, Regions: measuring",
        "a bar",
        "  done in N s",
    ]


def test_a_step_that_fails_is_not_done() -> None:
    said = io.StringIO()
    steps = Steps(Console(file=said), 1)
    with pytest.raises(ValueError, match="broken"), steps.step("Regions", "training"):
        raise ValueError("broken")
    assert "done" not in said.getvalue()
