"""The options of `trifocal eval few-shot`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_bare_weights, add_device, add_json

ABOUT = """\
Fit few-shot methods to a few pictures of each class and test them, on every data set, number of
shots and seed. Methods select on validation pictures (--val) or on nothing, never on the test.
With --out, the same command goes on where an earlier one was stopped.
"""
EXAMPLES = """\
a data set is one of
  caltech101, imagenet, …   the eleven of CoOp, in their published layout below --root
  FOLDER                    a folder with one folder of pictures for each class
  pacs, domains:FOLDER      a folder of domains, each with the same class folders; each domain is
                            tested on in turn, and the others are fitted to
  world                     the few-shot classes of the built-in drawn world
  FILE.safetensors          ready features: train1, train2, … , val, test, each with ..._label

examples:
  trifocal eval few-shot --datasets world --shots 1,4,16 --report few-shot.html
  trifocal eval few-shot --datasets caltech101,dtd --root data --model openai/clip-vit-base-patch32 \\
    --methods zero-shot,gda,concept-map --out results.jsonl
  trifocal eval few-shot --datasets dtd --root data --methods tip-adapter --option tip-adapter.beta=3
"""


def add_options(parser: Parser) -> None:
    """Add what a comparison of few-shot methods can be told."""
    add = parser.add_argument
    add(
        "--methods",
        default="zero-shot,tip-adapter,tip-adapter-f,ccli,concept-map",
        metavar="NAMES",
        help="with commas (default: %(default)s); `all` for all there are",
    )
    add("--datasets", required=True, metavar="NAMES", help="with commas; see below")
    add("--root", help="folder that the data sets are in")
    add("--shots", default="1,2,4,8,16", metavar="NUMBERS", help="(default: %(default)s)")
    add("--seeds", default="1,2,3", metavar="NUMBERS", help="(default: %(default)s)")
    add(
        "--val",
        default="few",
        choices=("none", "few", "full"),
        help="validation pictures: none, min(shots, 4) a class, or all (default: %(default)s)",
    )
    add(
        "--val-from",
        default="val",
        choices=("val", "train"),
        help="what the `few` validation pictures are drawn from; `train` for ImageNet, which has "
        "no others (default: %(default)s)",
    )
    add("--model", default="builtin", help="backbone (default: %(default)s)")
    add(
        "--views",
        type=int,
        default=0,
        help="random views of each support picture; 0 for the one that is tested on "
        "(default: %(default)s; published recipes have 10)",
    )
    add("--vocabulary", metavar="FILE", help="text concepts of one's own, one on a line")
    add(
        "--option",
        action="append",
        default=[],
        metavar="METHOD.KEY=VALUE",
        help="a parameter of a method; may be given several times",
    )
    add("--domains", metavar="NAMES", help="shifted domains to test on too, with commas, or `all`")
    add(
        "--base-to-new",
        action="store_true",
        help="fit to half of the classes and test each half among its own",
    )
    add("--class-text", metavar="FILE:KEY", help="class texts of a feature file")
    add("--concept-text", metavar="FILE:KEYS", help="text concepts of a feature file")
    add("--class-names", metavar="FILE", help="class names of a feature file (JSON)")
    add("--skip-bad", action="store_true", help="leave out pictures that cannot be opened")
    add("--out", metavar="FILE", help="results file (JSON lines) to add to, or to go on from")
    add("--compare", nargs="*", default=[], metavar="FILE", help="results files to set beside")
    add("--baseline", metavar="METHOD", help="what others are compared with (default: concept-map)")
    add("--report", metavar="FILE", help="write a report.html here")
    add("--cache", metavar="DIR", help="where features are kept (default: a cache of the user's)")
    add_json(parser, "tables")
    add_bare_weights(parser)
    add_device(parser)
