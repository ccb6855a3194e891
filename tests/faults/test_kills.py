"""Commands that are killed at random moments and run again, as a user would, until they end.

`TRIFOCAL_KILLS` says how often each command is killed.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from tests.faults.attempts import Server
from tests.faults.commands import COMMANDS, Command

KILLS = int(os.environ.get("TRIFOCAL_KILLS", "2"))
IN_A_ROW = 5  # then a run is left to end


def words_of(command: Command, given: Path) -> list[str]:
    return command.words.replace("@", str(given)).split()


def debris(work: Path) -> list[str]:
    """Return what no finished command leaves."""
    found = [*work.rglob(".*.part"), *work.rglob(".*.old"), *work.rglob(".old.*")]
    found += [*work.rglob(".tmp*"), *work.rglob("*.parts")]
    return sorted(str(path.relative_to(work)) for path in found)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_and_run_again(name: str, server: Server, given: Path, tmp_path: Path) -> None:
    command, rng = COMMANDS[name], random.Random(name)
    words = words_of(command, given)
    lengths, wanted = [], None
    for number in range(2):  # the first one imports
        whole = tmp_path / f"whole-{number}"
        whole.mkdir()
        done = server.run(words, whole, call=command.call, learn=number == 0)
        assert done.status == 0, done.told
        lengths.append(done.seconds)
        wanted = command.result(whole)
        assert not debris(whole)
    kills = number = 0
    while kills < KILLS:
        number += 1
        work, moments = tmp_path / f"work-{number}", []
        work.mkdir()
        done = told = None
        for turn in range(IN_A_ROW + 1):
            last = turn == IN_A_ROW or kills == KILLS
            moment = None if last else rng.uniform(0, lengths[1])
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
    print(f"{name}: killed {kills} times in {number} runs of {lengths[1]:.1f} s, {number} equal")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["train composition", "eval few-shot"])
def test_stopped_and_run_again(
    name: str, number: int, server: Server, given: Path, tmp_path: Path
) -> None:
    command, words = COMMANDS[name], words_of(COMMANDS[name], given)
    whole, work = tmp_path / "whole", tmp_path / "work"
    for folder in (whole, work):
        folder.mkdir()
    server.run(words, whole, learn=True)
    length = server.run(words, tmp_path, learn=True).seconds
    done = server.run(words, work, after=length * 0.6, number=number)
    assert "Traceback" not in done.told
    assert done.status in (0, 128 + number, -number)
    assert server.run(words, work).status == 0
    assert command.result(work) == command.result(whole)
    assert not debris(work)
