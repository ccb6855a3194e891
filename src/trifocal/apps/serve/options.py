"""The options of `trifocal serve`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_bare_weights, add_device

ABOUT = """\
A page on this machine to try a model with: explain a region, fit a classifier to class folders,
compare captions of a photo, search. The same as a REST API; docs/serve.md has each request.
"""
EXAMPLES = """\
examples:
  trifocal serve                                      the built-in model and drawn pictures
  trifocal serve --model runs/mine --index photos.index
  trifocal serve --model openai/clip-vit-base-patch32 --examples photos --port 8000

Only this machine can reach it, unless --host says otherwise; there is no log-in, so put it behind
something that has one. No file of the server can be asked for, and no address is fetched.
"""


def add_options(parser: Parser) -> None:
    """Add what can be said of the page, and its limits."""
    add = parser.add_argument
    add(
        "--model",
        default="builtin",
        help="a name, a file, a folder or a run (default: %(default)s)",
    )
    add("--index", metavar="INDEX", help="what `trifocal search index` wrote with the same model")
    add("--bank", metavar="FILE", help="explanations to choose from, one a line")
    add("--examples", metavar="PICTURES", help="a folder of example pictures (default: drawn)")
    add(
        "--cut",
        type=float,
        default=3.8,  # search.background.CUT, which is slow to load
        help="deviations below which a search has found nothing (default: %(default)s)",
    )
    add("--host", default="127.0.0.1", help="who can reach it (default: %(default)s)")
    add("--port", type=int, default=7860, help="(default: %(default)s)")
    limits = parser.add_argument_group("limits")
    for name, default, what in (
        ("--max-mb", 10, "megabytes of a picture"),
        ("--max-megapixels", 24, "megapixels of a picture"),
        ("--max-texts", 256, "texts of a request"),
        ("--max-boxes", 32, "boxes of a request"),
        ("--max-archive-mb", 50, "megabytes of a classifier's pictures"),
        ("--max-pictures", 500, "pictures of a classifier"),
        ("--max-queue", 32, "requests that wait"),
        ("--at-once", 2, "requests that are worked on at a time"),
        ("--seconds", 30, "of a request"),
    ):
        limits.add_argument(
            name, type=int, default=default, metavar="N", help=f"{what} (default: %(default)s)"
        )
    add_bare_weights(parser)
    add_device(parser)
