"""The options of `trifocal classify`."""

from __future__ import annotations

from typing import Any

from trifocal.apps.parser import Parser, add_bare_weights, add_box_format, add_device, add_json

ABOUT = """\
A few-shot classifier of your own: ten photos a class, seconds on a CPU, and an answer to "because
of which concepts?".
"""
EXAMPLES = """\
first steps:
  trifocal classify fit photos --out runs/photos --model openai/clip-vit-base-patch32
  trifocal classify predict runs/photos new.jpg more/
  trifocal classify explain runs/photos new.jpg --out why.png
  trifocal classify evaluate runs/photos test-photos
"""

_FIT = """\
Fit a classifier to a folder with one folder of pictures for each class. A share of each class is
held out first, to say how good it is; what is written is then fitted to all of them.
"""

_FIT_EXAMPLES = """\
examples:
  trifocal classify fit photos --out runs/photos
  trifocal classify fit photos --out runs/photos --method tip-adapter --set alpha=2 --shots 16
  trifocal classify fit regions.jsonl --out runs/parts --model runs/rca

A list has a labeled region on each line, {"image": "a.jpg", "boxes": [[40, 60, 120, 80]],
"label": "cat"}, paths from its own folder; without "boxes" the whole picture is meant.
"""

_PREDICT = """\
Say what is in pictures. A classifier that was fitted to whole pictures is shown the crop of a
--box; one that was fitted to regions sees the box in its picture.
"""

_PREDICT_EXAMPLES = """\
examples:
  trifocal classify predict runs/photos new.jpg
  trifocal classify predict runs/photos folder --out predictions.jsonl --skip-bad
  trifocal classify predict runs/photos street.jpg --box 40,60,120,80 --json

With --out of a .jsonl, the same command goes on where an earlier one was stopped. PICTURES may also
be a .jsonl list of regions, {"image": "a.jpg", "boxes": [[40, 60, 120, 80]]} on each line.
"""

_EXPLAIN = """\
Say why a picture has its class: the concepts that speak for it and against it, with the support
images behind each. The contributions add up to the logit. Concepts are named where the picture
shows them, judged by their scores on other pictures; what has no name is "everything else". A
concept is "ungrounded" where its images hardly stand out for its name (z below 1).
"""

_EXPLAIN_EXAMPLES = """\
examples:
  trifocal classify explain runs/photos new.jpg
  trifocal classify explain runs/photos new.jpg --top 12 --out why.png
  trifocal classify explain runs/photos new.jpg --class River --against Highway
  trifocal classify explain runs/photos test-photos --html page.html
"""

_EVALUATE = """\
Compare the classifier with a folder of class folders that have its classes' names. All its classes
compete, whether the folder has them or not.
"""


def add_options(parser: Parser) -> None:
    """Add the four actions."""
    add_device(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_fit(actions)

    predict = _parser(actions, "predict", "say what is in pictures", _PREDICT, _PREDICT_EXAMPLES)
    _classifier(predict)
    predict.add_argument(
        "images", nargs="+", metavar="PICTURES", help="pictures, folders or .jsonl lists"
    )
    _box(predict)
    predict.add_argument("--top", type=int, default=3, help="how many classes (default: 3)")
    predict.add_argument(
        "--none-of-these",
        type=float,
        metavar="RATE",
        help="call a picture none of these where so small a share of pictures of its classes look as "
        "little like one, such as 0.05: the rate of false alarms",
    )
    predict.add_argument("--json", action="store_true", help="print JSON lines")
    predict.add_argument(
        "--out", metavar="FILE", help="write here (.jsonl, which can be resumed; .json, .csv, .tsv)"
    )
    predict.add_argument(
        "--skip-bad", action="store_true", help="leave out pictures that cannot be opened"
    )
    _backbone(predict, chosen=False)

    explain = _parser(actions, "explain", "say why a picture has its class", _EXPLAIN,
                      _EXPLAIN_EXAMPLES)  # fmt: skip
    _classifier(explain)
    explain.add_argument(
        "image", metavar="PICTURE", help="the picture, or with --html a folder of class folders"
    )
    explain.add_argument(
        "--class", dest="about", metavar="NAME", help="explain this class (default: the likeliest)"
    )
    explain.add_argument(
        "--against", metavar="NAME", help="explain why it is the class and not this one"
    )
    _box(explain)
    explain.add_argument("--top", type=int, default=8, help="how many concepts (default: 8)")
    explain.add_argument("--json", action="store_true", help="print JSON instead of a table")
    explain.add_argument("--out", metavar="FILE", help="also draw the answer (.png, .jpg, .webp)")
    explain.add_argument(
        "--html",
        metavar="FILE",
        help="write a page about a folder: confusions, classes, the worst mistakes with reasons",
    )
    _backbone(explain, chosen=False)

    evaluate = _parser(actions, "evaluate", "score it on a folder of class folders", _EVALUATE, "")
    _classifier(evaluate)
    evaluate.add_argument("folder", metavar="FOLDER", help="class folders, or a list as for fit")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of tables")
    evaluate.add_argument("--out", metavar="FILE", help="results file (JSON lines) to add rows to")
    evaluate.add_argument(
        "--csv", metavar="FILE", help="write a row a picture: its label, the answer, probabilities"
    )
    evaluate.add_argument(
        "--html", metavar="FILE", help="write a page: confusions, classes, the worst mistakes"
    )
    _most_left_out(evaluate)
    _backbone(evaluate, chosen=False)


def _add_fit(actions: Any) -> None:
    fit = _parser(actions, "fit", "fit a classifier to class folders", _FIT, _FIT_EXAMPLES)
    fit.add_argument("folder", metavar="FOLDER", help="class folders, or a .jsonl list of regions")
    fit.add_argument("--out", required=True, metavar="MODEL", help="folder to write")
    fit.add_argument("--force", action="store_true", help="replace a classifier that is there")
    fit.add_argument("--method", default="concept-map", help="the head (default: %(default)s)")
    fit.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of the method, e.g. alpha=2; may be given several times",
    )
    fit.add_argument("--vocabulary", metavar="FILE", help="text concepts, one a line")
    fit.add_argument("--shots", type=int, help="pictures of a class to fit to (default: all)")
    fit.add_argument(
        "--views",
        type=int,
        help="random views of each support picture, 0 for the plain one (default: 10)",
    )
    fit.add_argument(
        "--template",
        action="append",
        metavar="TEXT",
        help='prompt with "{}" for the class; several are averaged (default: "a photo of a {}.")',
    )
    fit.add_argument(
        "--names", metavar="FILE", help="class names for the prompts: .json or one a line"
    )
    fit.add_argument(
        "--holdout",
        type=float,
        default=0.2,
        help="share of each class to measure on (default: %(default)s); with --shots, all others, "
        "100 a class at most",
    )
    add_json(fit)
    fit.add_argument("--seed", type=int, default=1, help="of all draws (default: %(default)s)")
    _most_left_out(fit)
    _backbone(fit, chosen=True)


def _parser(actions: Any, name: str, summary: str, about: str, examples: str) -> Parser:
    return actions.add_parser(name, help=summary, description=about, epilog=examples)


def _classifier(parser: Parser) -> None:
    parser.add_argument("classifier", metavar="MODEL", help="what `trifocal classify fit` wrote")


def _box(parser: Parser) -> None:
    parser.add_argument(
        "--box",
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="left, top, width and height in pixels of the picture as it is shown (default: the "
        "whole picture)",
    )
    add_box_format(parser)


def _most_left_out(parser: Parser) -> None:
    parser.add_argument(
        "--most-left-out",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="of the pictures may be broken; they are named and left out (default: %(default)s)",
    )


def _backbone(parser: Parser, *, chosen: bool) -> None:
    """Add what says which backbone, and where it runs."""
    if chosen:
        parser.add_argument(
            "--model",
            default="builtin",
            help="the backbone: builtin, a Hub id, an open_clip name, a run (default: %(default)s)",
        )
    else:
        parser.add_argument("--model", help="where its backbone is, if not where it was")
        parser.add_argument(
            "--force", action="store_true", help="take a backbone with other weights"
        )
    add_bare_weights(parser)
    add_device(parser)
