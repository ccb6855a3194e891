"""The options of `trifocal demo`."""

from __future__ import annotations

from trifocal.apps.parser import Parser

ABOUT = """\
Take the tour: every focus trained and measured on the built-in world, without a download. The
report is an HTML page; a tour that was stopped goes on when the same command is given again.
"""
EXAMPLES = """\
examples:
  trifocal demo
  trifocal demo regions --seeds 3 --out runs/regions
"""


def add_options(parser: Parser) -> None:
    """Add what the tour can be told."""
    parser.add_argument("chapters", nargs="*", default=[], help="chapters to run (default: all)")
    parser.add_argument(
        "--out", default="runs/demo", help="folder of the tour (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=1, help="runs of every method (default: 1)")
