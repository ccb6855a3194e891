"""The options of `trifocal pull`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_json

ABOUT = "Fetch what `trifocal push` put on the Hugging Face Hub."
EXAMPLES = """\
examples:
  trifocal pull me/mine --out mine
"""


def add_options(parser: Parser) -> None:
    """Add what a pull can be told."""
    parser.add_argument("repo", metavar="OWNER/NAME", help="where from")
    parser.add_argument("--out", metavar="FOLDER", help="where to (default: the Hub's cache)")
    parser.add_argument("--revision", metavar="NAME", help="a branch, a tag or a commit")
    parser.add_argument("--force", action="store_true", help="replace what was pulled there")
    add_json(parser)
