"""The options of `trifocal compare`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_json, add_settings

ABOUT = """\
Set two models side by side that `trifocal eval --out` scored on the same questions: each difference
with its 95 % interval from the paired bootstrap, and which of them are more than noise when their
number is accounted for. The page of --html also shows questions that only one of them answers
rightly, with their pictures, from the benchmarks' data in --root.
"""
EXAMPLES = """\
examples:
  trifocal compare base.jsonl tuned.jsonl
  trifocal compare all.jsonl all.jsonl --models ViT-B-32:openai,runs/mine --table compared.md
  trifocal compare base.jsonl tuned.jsonl --html compared.html --root data --images coco/val2017
"""


def add_options(parser: Parser) -> None:
    """Add what is compared."""
    parser.add_argument("before", metavar="BEFORE", help="results file of the one model")
    parser.add_argument("after", metavar="AFTER", help="results file of the other")
    parser.add_argument(
        "--models", metavar="A,B", help="which model of each, where a file has several"
    )
    parser.add_argument("--table", metavar="FILE", help="write the table as .md or .tex")
    parser.add_argument("--html", metavar="FILE", help="write a page with pictures here")
    parser.add_argument("--root", help="folder that holds the data of the benchmarks")
    parser.add_argument("--images", help="folder of the photos, where it is not in the root")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="the --limit that the questions were asked with"
    )
    add_settings(parser)
    add_json(parser, "a table")
