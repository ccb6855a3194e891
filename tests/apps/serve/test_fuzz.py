"""A server lives on whatever is sent to it; `fuzz.py` sends ten thousand where this sends a few."""

from __future__ import annotations

import random

import pytest

from tests.apps.serve.fuzz import fault, fuzz
from tests.apps.serve.fuzzed import Sent, request


@pytest.mark.slow  # some requests are answered by the model
def test_broken_requests(address: str) -> None:
    assert fuzz(address, 200, seed=1) == []


def test_requests_are_the_same_again() -> None:
    once, again = ([request(random.Random(3), "h:1", "c") for _ in range(20)] for _ in range(2))
    assert once == again


@pytest.mark.parametrize(
    ("status", "body", "wrong"),
    [
        (200, b"", False),
        (422, b'{"error": "a sentence."}', False),
        (422, b'{"error": ""}', True),
        (413, b"<html>", True),
        (500, b'{"error": "a sentence."}', True),
        (307, b"", True),
        (0, b"", True),
    ],
)
def test_what_counts_as_wrong(status: int, body: bytes, wrong: bool) -> None:
    assert bool(fault(Sent(b"", "GET /"), status, body)) == wrong
