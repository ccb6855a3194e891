"""The options of `trifocal search`."""

from __future__ import annotations

from typing import Any

from trifocal.apps.parser import Parser, add_bare_weights, add_box_format, add_device

ABOUT = """\
Find pictures among one's own by what they show. `index` embeds them once; the same command brings an
index up to date and embeds what is new. `query` ranks them, and says when nothing fits.
"""
EXAMPLES = """\
first steps:
  trifocal search index photos --out photos.index --model openai/clip-vit-base-patch32
  trifocal search query photos.index "two dogs in the snow"
  trifocal search query photos.index "a beach" --not people --html beach.html
  trifocal search query photos.index --image dog.jpg --box 40,60,120,80 --json
"""

_INDEX_EXAMPLES = """\
examples:
  trifocal search index photos --out photos.index
  trifocal search index captions.csv --image-column file --out photos.index
  trifocal search index "shards/{0000..0099}.tar" --out shards.index

A run that was stopped goes on where it was. Pictures that cannot be read are named and left out.
"""

_QUERY = """\
Rank the pictures of an index by how well they fit. Scores are cosines: compare those of one model
only. Whether anything fits is told by the deviation, by how many standard deviations the best picture
stands out from what 2,000 unrelated texts say of it; below --cut nothing does, and that is said.
"""

_QUERY_EXAMPLES = """\
examples:
  trifocal search query photos.index "a red boat" --top 5
  trifocal search query photos.index "a boat" --boxes --html boats.html
  trifocal search query photos.index "a dog left of a cat" --local
"""


def add_options(parser: Parser) -> None:
    """Add the two actions."""
    add_device(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    index: Parser = actions.add_parser(
        "index",
        help="embed pictures",
        description="Embed pictures into an index.",
        epilog=_INDEX_EXAMPLES,
    )
    _add_index(index)
    query: Parser = actions.add_parser(
        "query", help="rank them", description=_QUERY, epilog=_QUERY_EXAMPLES
    )
    _add_query(query)


def _add_index(parser: Parser) -> None:
    add: Any = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="PICTURES",
        help="folders, tables of paths (.csv, .tsv, .jsonl, .txt), .tar shards, pictures",
    )
    add("--out", required=True, metavar="INDEX", help="folder of the index")
    add(
        "--model",
        default="builtin",
        help="a name, a file, a folder or a run (default: %(default)s)",
    )
    add("--image-column", metavar="NAME", help="a table's column of paths")
    add("--batch-size", type=int, default=64, help="pictures in one pass (default: %(default)s)")
    add("--json", action="store_true", help="print JSON instead of words")
    add_bare_weights(parser)
    add_device(parser)


def _add_query(parser: Parser) -> None:
    add: Any = parser.add_argument
    add("index", metavar="INDEX", help="what `trifocal search index` wrote")
    add("text", nargs="?", default="", metavar="TEXT", help="what to look for")
    add("--image", metavar="PICTURE", help="look for what is like this picture")
    add(
        "--box",
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="of --image, only this part: left, top, width and height in pixels as it is shown",
    )
    add_box_format(parser)
    add(
        "--not",
        dest="without",
        action="append",
        default=[],
        metavar="TEXT",
        help="what is not wanted; may be given several times",
    )
    add("--top", type=int, default=10, help="how many (default: %(default)s)")
    add("--cut", type=float, help="deviations below which nothing fits (default: 3.8)")
    add(
        "--local",
        action="store_true",
        help="look at the first 50 also word by word: for a model tuned with FSC-CLIP's local loss",
    )
    add(
        "--boxes",
        action="store_true",
        help="mark the best place in each of the first 50, and let it count; of a small model a guess",
    )
    add("--exact", action="store_true", help="look at all pictures, also of a large index")
    add("--html", metavar="FILE", help="also write a page with the pictures")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--model", help="where the index's model is, if not where it was")
    add_bare_weights(parser)
    add_device(parser)
