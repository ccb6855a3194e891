"""The options of `trifocal list`."""

from __future__ import annotations

from trifocal.apps.parser import Parser

ABOUT = """\
Name what the other commands can be told: benchmarks to `eval`, methods to `train --method`, heads
to `eval few-shot` and `classify fit`, models to all, recipes to `train`.
"""
EXAMPLES = """\
examples:
  trifocal list recipes
  trifocal list heads --json
"""
KINDS = ("benchmarks", "methods", "heads", "models", "recipes")


def add_options(parser: Parser) -> None:
    """Add what can be listed."""
    parser.add_argument("kind", metavar="WHAT", choices=KINDS, help=", ".join(KINDS))
    parser.add_argument("--json", action="store_true", help="print a JSON object, name to line")
