"""Run commands in this process as if nothing of ours had been imported, and print what they import.

Its argument is a JSON list of command lines.
"""

from __future__ import annotations

import json
import sys


def ours() -> list[str]:
    """Return the names of our modules that are imported."""
    return [name for name in sys.modules if name.split(".")[0] == "trifocal"]


if __name__ == "__main__":
    for name in ours():
        del sys.modules[name]
    from trifocal.cli import main

    for words in json.loads(sys.argv[1]):
        assert main(words) == 0, words
    print(json.dumps(ours()))
