"""The options of `trifocal push`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_json

ABOUT = (
    "Push a trained model, an adaptation or a few-shot classifier to the Hugging Face Hub, with a "
    "card that says what it is, what it gains and what that costs."
)
EXAMPLES = """\
examples:
  trifocal push runs/mine me/mine --license mit --results results.jsonl
  trifocal push runs/photos me/birds --license cc-by-4.0 --public
"""


def add_options(parser: Parser) -> None:
    """Add what a push can be told."""
    parser.add_argument("folder", metavar="FOLDER", help="a run, an adaptation or a classifier")
    parser.add_argument("repo", metavar="OWNER/NAME", help="where to; it is made if need be")
    parser.add_argument("--license", required=True, help="by the Hub's names, such as apache-2.0")
    parser.add_argument(
        "--results", metavar="FILE", help="rows of `trifocal eval` of it and of its base"
    )
    parser.add_argument(
        "--pictures", action="store_true", help="with a classifier's small example pictures"
    )
    parser.add_argument("--public", action="store_true", help="let everybody see a new repository")
    parser.add_argument("--revision", metavar="NAME", help="a branch")
    add_json(parser)
