"""The options of `trifocal export`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_bare_weights, add_json

ABOUT = "Write a model, with what it was tuned to merged into it, in another library's format."
EXAMPLES = """\
examples:
  trifocal export runs/mine --to open_clip --out mine.safetensors
  trifocal export runs/mine --to transformers --out mine
  trifocal export runs/mine --to sentence-transformers --out mine
  trifocal export runs/photos --to onnx --out photos          a few-shot classifier, or both towers
"""


def add_options(parser: Parser) -> None:
    """Add what an export can be told."""
    parser.add_argument(
        "model", metavar="MODEL", help="a name, a file, a folder, a run, or a few-shot classifier"
    )
    formats = ("transformers", "open_clip", "sentence-transformers", "onnx")
    parser.add_argument("--to", required=True, choices=formats, help="whose format")
    parser.add_argument("--out", required=True, help="folder, or .pt/.safetensors file")
    parser.add_argument("--force", action="store_true", help="replace what an export wrote there")
    add_json(parser)
    add_bare_weights(parser)
