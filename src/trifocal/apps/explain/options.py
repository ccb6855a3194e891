"""The options of `trifocal explain`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_bare_weights, add_box_format, add_device

ABOUT = """\
Rank the explanations of a bank by how well they fit a region of a picture. The score is the cosine
of region and text: compare scores of one model only.

The bank is a .txt with an explanation on each line, a .jsonl with {"text": ...} on each, or an
annotation file in Sherlock's layout (.json). It is embedded once; the result is kept beside it.
"""
EXAMPLES = """\
examples:
  trifocal explain kitchen.jpg --box 40,60,120,80 --bank inferences.txt --model runs/rca
  trifocal explain kitchen.jpg --bank inferences.txt --model builtin --out explained.png
  trifocal explain regions.jsonl --bank inferences.txt --model runs/rca --out explained.jsonl

A list has a region on each line, {"image": "kitchen.jpg", "boxes": [[40, 60, 120, 80]], "id": "a"},
paths from its own folder, "boxes" and "id" optional; "box_format" says that boxes are not x, y,
width, height, and "width" and "height" in what size of picture they were measured. With --out of a .jsonl, the same command goes
on where an earlier one was stopped.
"""


def add_options(parser: Parser) -> None:
    """Add what can be said of a region and its explanations."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help="a picture, or a .jsonl list of regions")
    add(
        "--box",
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="left, top, width and height in pixels of the picture as it is shown; several boxes together mark one region "
        "(default: the whole picture)",
    )
    add_box_format(parser)
    add("--bank", required=True, metavar="FILE", help="what to choose from")
    add("--model", required=True, help="a name, a file, a folder or a run")
    add("--top", type=int, default=5, help="how many (default: %(default)s)")
    add("--json", action="store_true", help="print JSON instead of a table")
    add(
        "--out",
        help="draw the answer too (.png, .jpg, .webp); of a list: .jsonl, .json, .csv, .tsv",
    )
    add("--skip-bad", action="store_true", help="of a list, leave out what cannot be opened")
    add_bare_weights(parser)
    add_device(parser)
