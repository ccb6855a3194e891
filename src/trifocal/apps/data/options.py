"""The options of `trifocal data`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_json, add_settings

ABOUT = "Say what data a benchmark is missing, fetch data, write data in the field's formats."
EXAMPLES = """\
examples:
  trifocal data check sugarcrepe --root sugarcrepe --images coco/val2017
  trifocal data check all --root data
  trifocal data get sugarcrepe --root data
  trifocal data get zero_shot:eurosat --root data
  trifocal data get wordnet
  trifocal data prepare negatives captions.csv --out negatives.tsv
  trifocal data prepare shards captions.csv --images photos --out shards
  trifocal data prepare teacher captions.csv --encoder sentence-transformers/all-MiniLM-L6-v2 --out teacher
  trifocal data prepare world my-world --scenes 1000
"""


def add_options(parser: Parser) -> None:
    """Add the three actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say what a benchmark is missing")
    check.add_argument(
        "benchmark",
        help="a benchmark, composition, regions, a few-shot data set such as dtd, or all",
    )
    check.add_argument("--root", required=True, help="folder that holds the data")
    check.add_argument("--images", help="folder of the photos, where it is not in the root")
    check.add_argument(
        "--available-only", action="store_true", help="be content with the photos that are there"
    )
    add_settings(check)
    add_json(check)
    get = actions.add_parser("get", help="fetch what may be fetched of a benchmark's data")
    get.add_argument(
        "what", help="a benchmark, zero_shot:NAME, photos such as coco_val2017; wordnet"
    )
    get.add_argument("--root", default=".", help="folder that holds all data (default: here)")
    get.add_argument("--revision", help="commit, tag or branch of a data set on the Hub")
    prepare = actions.add_parser("prepare", help="write data in the field's formats")
    making = prepare.add_subparsers(dest="what", metavar="WHAT", required=True)
    _add_negatives(making.add_parser("negatives", help="captions → NegCLIP's table of negatives"))
    _add_shards(making.add_parser("shards", help="captions → WebDataset tars with the pictures"))
    _add_teacher(making.add_parser("teacher", help="captions → a table of their embeddings"))
    _add_world(making.add_parser("world", help="the built-in world in benchmark formats"))


def _add_negatives(parser: Parser) -> None:
    add = parser.add_argument
    add("captions", help="a caption table, Karpathy or COCO file")
    add("--out", required=True, help="the table to write (TSV)")
    add("--images", help="folder that image paths start from")
    add("--split", help="part of a Karpathy file")
    add("--kinds", default="swap,replace,shuffle", help="with commas (default: %(default)s)")
    add("--parser", default="auto", help="auto, spacy or textblob (default: %(default)s)")
    add("--count", type=int, default=3, help="negatives a caption and kind (default: %(default)s)")
    add("--seed", type=int, default=0, help="of all draws (default: %(default)s)")


def _add_shards(parser: Parser) -> None:
    add = parser.add_argument
    add("captions", help="a caption table, Karpathy or COCO file")
    add("--out", required=True, help="folder to write")
    add("--images", help="folder that image paths start from")
    add("--split", help="part of a Karpathy file")
    add("--per-shard", type=int, default=10_000, help="samples in a tar (default: %(default)s)")
    add("--force", action="store_true", help="replace shards that were written there")


def _add_teacher(parser: Parser) -> None:
    add = parser.add_argument
    add("captions", help="a caption table, Karpathy or COCO file")
    add("--encoder", required=True, help="a sentence-transformers model: a folder or a Hub id")
    add("--out", required=True, help="folder to write")
    add("--split", help="part of a Karpathy file")
    add("--force", action="store_true", help="replace a table that was written there")


def _add_world(parser: Parser) -> None:
    add = parser.add_argument
    add("out", help="folder to write")
    add("--force", action="store_true", help="replace a world that is there")
    add("--scenes", type=int, default=1000, help="to train on (default: %(default)s)")
    add("--tests", type=int, default=250, help="composition tests a subset (default: %(default)s)")
    add("--size", type=int, default=256, help="picture side in pixels (default: %(default)s)")
    add("--seed", type=int, default=0, help="of all draws (default: %(default)s)")
