"""The options of `trifocal eval`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_bare_weights, add_device, add_json, add_settings

ABOUT = "Score models on benchmarks, side by side, with what they gained and what it cost."
EXAMPLES = """\
examples:
  trifocal eval builtin world
  trifocal eval runs/mine sugarcrepe --root sugarcrepe --images coco/val2017 --base ViT-B-32:openai
  trifocal eval ViT-B-32:openai,runs/mine composition --root data --out all.jsonl --table all.tex
  trifocal eval runs/mine composition --root data --beside CLIP NegCLIP FSC-CLIP
  trifocal eval runs/mine world --interpolate 0,0.1,...,1 --report curve.html

`trifocal list benchmarks` names the benchmarks, `trifocal data check` says what one of them is
missing. For few-shot methods there is `trifocal eval few-shot`.
"""


def add_options(parser: Parser) -> None:
    """Add what an evaluation can be told."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a name, a file, a folder or a run; several with commas")
    add(
        "benchmarks",
        nargs="+",
        metavar="BENCHMARK",
        help="what to score on; or composition, regions, costs, all: of those what has its data",
    )
    add("--root", help="folder that holds the data")
    add("--images", help="folder of the photos, where it is not in the root")
    add("--captions", help="caption file of the retrieval benchmark")
    add("--available-only", action="store_true", help="score the rows whose photos are there")
    add("--limit", type=int, metavar="N", help="ask the first N items of each part alone")
    add_settings(parser)
    add("--out", help="results file (JSON lines) to add the rows to")
    add("--table", metavar="FILE", help="write the table as .md or .tex, or the rows as .csv")
    add("--ray", action="store_true", help="let workers of a Ray cluster embed the pictures")
    add("--workers", type=int, metavar="N", help="of --ray, each with the model (default: 2)")
    add("--cache", metavar="DIR", help="where embeddings are kept (default: a cache of the user's)")
    add("--compare", nargs="*", default=[], help="results files to set beside")
    add(
        "--beside",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="published models to set beside; published: all that are known",
    )
    add("--report", help="write a report.html here")
    add(
        "--no-costs",
        action="store_true",
        help="with --report and --base, do not score zero-shot and retrieval sets of the root, too",
    )
    add("--base", default=None, help="the model that training started from")
    add("--interpolate", metavar="ALPHAS", help="WiSE-FT: 0,0.1,...,1 between --base and MODEL")
    add("--clip-benchmark", metavar="DIR", help="also write its JSON records")
    add_json(parser, "tables")
    add_bare_weights(parser)
    add_device(parser)
