"""What all faults share: inputs, and the process that forks commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.faults.attempts import Server
from tests.faults.commands import COMMANDS, debris, inputs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def undisturbed(
    server: Server, given: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[float, Any]]:
    """Return the seconds and the result of a command that nothing disturbs; run once for all."""

    @cache
    def run(name: str) -> tuple[float, Any]:
        command, work = COMMANDS[name], tmp_path_factory.mktemp("whole")
        done = server.run(command.given(given), work, call=command.call, learn=True)
        assert done.status == 0, done.told
        assert not debris(work)
        return done.seconds, command.result(work)

    return run
