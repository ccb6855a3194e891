"""Two processes that write one store at once: both end right, or one is refused in a sentence."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.faults.attempts import Attempt, Server
from tests.faults.commands import COMMANDS, debris
from tests.faults.test_kills import Undisturbed

AT_ONCE = "train composition", "eval", "eval few-shot", "classify fit", "features", "explain"


def _ended(both: list[Attempt]) -> None:
    assert min(done.status for done in both) == 0, both
    for done in both:
        assert "Traceback" not in done.told
        refusals = ("another process", "already has content")
        refused = done.status == 2 and any(word in done.sentence for word in refusals)
        assert done.status == 0 or refused, done.told


@pytest.mark.parametrize("name", AT_ONCE)
def test_at_once(
    name: str, server: Server, given: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    command, (_, wanted) = COMMANDS[name], undisturbed(name)
    words = command.given(given)
    _ended(server.run_both(words, words, tmp_path, call=command.call))
    result = command.result(tmp_path)
    if name != "features":  # the same pictures may be kept by both
        assert result == wanted
    assert not debris(tmp_path)


def test_the_cache_of_a_bank(server: Server, given: Path, tmp_path: Path) -> None:
    shutil.copy(given / "bank.txt", tmp_path)
    words = f"explain {given}/regions.jsonl --bank bank.txt --model builtin --out".split()
    both = server.run_both([*words, "one.jsonl"], [*words, "other.jsonl"], tmp_path)
    assert [done.status for done in both] == [0, 0], both
    one, other = (tmp_path / f"{name}.jsonl" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert len(list(tmp_path.glob("bank.txt.*.safetensors"))) == 1
    assert not debris(tmp_path)


def test_the_store_of_parses(server: Server, given: Path, tmp_path: Path) -> None:
    words = [str(given / "captions.csv"), "parses.sqlite"]
    call = "tests.faults.commands:keep_parses"
    both = server.run_both(words, words, tmp_path, call=call)
    assert [done.status for done in both] == [0, 0], both
    with contextlib.closing(sqlite3.connect(tmp_path / "parses.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM parses").fetchone() == (24,)
    assert all("not kept" not in done.told for done in both)
