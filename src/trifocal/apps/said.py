"""What a command says of its result: words for people, or with --json one JSON value for programs.

With --json nothing else is printed on stdout; remarks go to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def say(arguments: argparse.Namespace, words: str, facts: Any) -> None:
    """Print a result.

    Args:
        arguments: What was parsed; `json` says how it is wanted.
        words: The result for people.
        facts: The same, as `json.dumps` takes it.
    """
    print(json.dumps(facts) if arguments.json else words)


def remark(arguments: argparse.Namespace, words: str) -> None:
    """Print what is said besides the result."""
    print(words, file=sys.stderr if arguments.json else sys.stdout)
