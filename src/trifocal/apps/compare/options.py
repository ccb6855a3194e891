"""The options of `trifocal compare`."""

from __future__ import annotations

from trifocal.apps.parser import Parser

ABOUT = """\
Set two models side by side that `trifocal eval --out` scored on the same questions: each difference
with its 95 % interval from the paired bootstrap, and which of them are more than noise when their
number is accounted for.
"""
EXAMPLES = """\
examples:
  trifocal compare base.jsonl tuned.jsonl
  trifocal compare all.jsonl all.jsonl --models ViT-B-32:openai,runs/mine --table compared.md
"""


def add_options(parser: Parser) -> None:
    """Add what is compared."""
    parser.add_argument("before", metavar="BEFORE", help="results file of the one model")
    parser.add_argument("after", metavar="AFTER", help="results file of the other")
    parser.add_argument(
        "--models", metavar="A,B", help="which model of each, where a file has several"
    )
    parser.add_argument("--table", metavar="FILE", help="write the table as .md or .tex")
