"""Commands that are killed at random moments and run again, as a user would, until they end.

`TRIFOCAL_KILLS` says how often each command is killed.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.attempts import Server
from tests.faults.commands import COMMANDS, debris

KILLS = int(os.environ.get("TRIFOCAL_KILLS", "2"))
Undisturbed = Callable[[str], tuple[float, Any]]
IN_A_ROW = 5  # then a run is left to end


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_and_run_again(
    name: str, server: Server, given: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    command, rng = COMMANDS[name], random.Random(name)
    words, (length, wanted) = command.given(given), undisturbed(name)
    kills = number = 0
    while kills < KILLS:
        number += 1
        work, moments = tmp_path / f"work-{number}", []
        work.mkdir()
        done = told = None
        for turn in range(IN_A_ROW + 1):
            last = turn == IN_A_ROW or kills == KILLS
            moment = None if last else rng.uniform(0, length)
            moments.append(moment)
            done = server.run(words, work, call=command.call, after=moment)
            told = f"{name}, killed after {moments} s: {done.told[-2000:]}"
            if done.status != -signal.SIGKILL:
                break
            assert moment is not None, told
            kills += 1
        assert done is not None
        refused = bool(command.made) and "already has content" in done.told
        assert done.status == 0 or refused, told
        assert command.result(work) == wanted, told
        assert not debris(work), told
    print(f"{name}: killed {kills} times in {number} runs of {length:.1f} s, all equal")


@pytest.mark.parametrize(
    ("name", "number"), [("train composition", signal.SIGTERM), ("eval few-shot", signal.SIGINT)]
)
def test_stopped_and_run_again(
    name: str, number: int, server: Server, given: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    command, (length, wanted) = COMMANDS[name], undisturbed(name)
    words = command.given(given)
    done = server.run(words, tmp_path, after=length * 0.6, number=number)
    assert "Traceback" not in done.told
    assert done.status in (0, 128 + number, -number)
    assert server.run(words, tmp_path).status == 0
    assert command.result(tmp_path) == wanted
    assert not debris(tmp_path)
