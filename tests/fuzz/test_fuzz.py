"""Every reader returns or refuses in a sentence, whatever it is given.

Few inputs here; `python -m tests.fuzz --inputs 100000` makes many.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.reader import Bench
from tests.fuzz.readers import READERS


@pytest.fixture(scope="module", params=READERS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(READERS[request.param], tmp_path_factory.mktemp("fuzz"))


def test_seeds_are_read(bench: Bench) -> None:
    bench.check_seeds()


@settings(
    max_examples=10,
    derandomize=True,
    database=None,
    suppress_health_check=tuple(HealthCheck),
)
@given(rng=st.randoms(use_true_random=False))
def test_returns_or_refuses(bench: Bench, rng: Random) -> None:
    outcome = bench.feed(rng)
    assert not outcome.fault, f"{outcome.changed}: {outcome.fault}"
