"""The options of `trifocal embed`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_bare_weights, add_device, add_json

ABOUT = """\
Embed pictures, as unit vectors of the joint space, for other programs. `trifocal search` keeps an
index of its own.
"""
EXAMPLES = """\
examples:
  trifocal embed photos --out photos.safetensors --model openai/clip-vit-base-patch32
  trifocal embed captions.csv "shards/{0000..0099}.tar" --out all.parquet --dtype float16
  torchrun --nproc-per-node 8 -m trifocal embed photos --out photos.safetensors
  trifocal embed photos --out photos.safetensors --ray --workers 16

However the work is shared, the bytes are the same. A run that was stopped goes on where it was.
NAME.safetensors holds `embeddings` (N, D), NAME.json beside it the names of the pictures and those
that cannot be read; NAME.parquet has the columns image and embedding. With --ray the pictures, and a
model in a folder, must lie at the same place on every machine.
"""


def add_options(parser: Parser) -> None:
    """Add what can be said of pictures and of how they are embedded."""
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="PICTURES",
        help="folders, tables of paths (.csv, .tsv, .jsonl, .txt), .tar shards, pictures",
    )
    add("--out", required=True, metavar="FILE", help="a .safetensors or .parquet file")
    add("--force", action="store_true", help="replace embeddings that are there")
    add(
        "--model",
        default="builtin",
        help="a name, a file, a folder or a run (default: %(default)s)",
    )
    add("--image-column", metavar="NAME", help="a table's column of paths")
    add(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the numbers (default: %(default)s)",
    )
    add("--batch-size", type=int, default=64, help="pictures in one pass (default: %(default)s)")
    add("--ray", action="store_true", help="share the work over a Ray cluster, or this machine")
    add("--workers", type=int, help="of --ray, each with a model of its own (default: 2)")
    add_json(parser)
    add_bare_weights(parser)
    add_device(parser)
