"""The command line: it parses, calls and prints.

Heavy modules are imported by the command that needs them, so that `trifocal --help` is instant.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from trifocal.apps.classify.options import add_classify
from trifocal.apps.few_shot.options import COMMAND as FEW_SHOT
from trifocal.apps.few_shot.options import add_few_shot
from trifocal.errors import Stopped, UserError, nearest
from trifocal.version import __version__

_EPILOG = """\
first steps:
  trifocal demo                                   an offline tour with a report to look at
  trifocal train recipes/composition/fsc_clip-coco-ViT-B-32.yaml --print
  trifocal eval builtin world
"""

_EXPLAIN = """\
Rank the explanations of a bank by how well they fit a region of a picture. The score is the cosine
of region and text: compare scores of one model only.

The bank is a .txt with an explanation on each line, a .jsonl with {"text": ...} on each, or an
annotation file in Sherlock's layout (.json). It is embedded once; the result is kept beside it.
"""

_EXPLAIN_EXAMPLES = """\
examples:
  trifocal explain kitchen.jpg --box 40,60,120,80 --bank inferences.txt --model runs/rca
  trifocal explain kitchen.jpg --bank inferences.txt --model builtin --out explained.png
  trifocal explain regions.jsonl --bank inferences.txt --model runs/rca --out explained.jsonl

A list has a region on each line, {"image": "kitchen.jpg", "boxes": [[40, 60, 120, 80]], "id": "a"},
paths from its own folder, "boxes" and "id" optional. With --out, the same command goes on where an
earlier one was stopped.
"""

_OPTION: dict[str, Any] = {
    "action": "append",
    "default": [],
    "metavar": "KEY=VALUE",
    "help": "another setting of the benchmark, e.g. split=test; may be given several times",
}


def _parser() -> tuple[argparse.ArgumentParser, dict[str, Callable[[argparse.Namespace], int]]]:
    parser = argparse.ArgumentParser(
        prog="trifocal",
        description="Three finer focal lengths for a pre-trained CLIP.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trifocal {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and debug messages")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="offline tour on the built-in world: report.html")
    demo.add_argument("chapters", nargs="*", help="chapters to run (default: all)")
    demo.add_argument(
        "--out", default="runs/demo", help="folder of the tour (default: %(default)s)"
    )
    demo.add_argument("--seeds", type=int, default=1, help="runs of every method (default: 1)")

    train = commands.add_parser(
        "train",
        help="train a recipe; run it again to resume",
        description="Train a recipe. Every field of it is an option: --optimizer.lr 1e-5, "
        "--batch_size 64, --method.gamma 0. A run that was interrupted goes on when the same "
        "command is given again.",
    )
    train.add_argument("recipe", help="a YAML file (see recipes/)")
    train.add_argument("--print", action="store_true", dest="show", help="show the full recipe")
    train.add_argument("--fresh", action="store_true", help="refuse to resume an earlier run")

    evaluate = commands.add_parser(
        "eval",
        help="score models on benchmarks, side by side",
        epilog=f"For few-shot methods there is `trifocal {FEW_SHOT}`.",
    )
    evaluate.add_argument("model", help="a name, a file, a folder or a run; several with commas")
    evaluate.add_argument("benchmarks", nargs="+", metavar="BENCHMARK")
    evaluate.add_argument("--root", help="folder that holds the data")
    evaluate.add_argument("--images", help="folder of the photos, where it is not in the root")
    evaluate.add_argument("--captions", help="caption file of the retrieval benchmark")
    evaluate.add_argument(
        "--available-only", action="store_true", help="score the rows whose photos are there"
    )
    evaluate.add_argument("--option", **_OPTION)
    evaluate.add_argument("--out", help="results file (JSON lines) to add the rows to")
    evaluate.add_argument("--compare", nargs="*", default=[], help="results files to set beside")
    evaluate.add_argument("--report", help="write a report.html here")
    evaluate.add_argument("--base", default=None, help="the model that training started from")
    evaluate.add_argument(
        "--interpolate", metavar="ALPHAS", help="WiSE-FT: 0,0.1,...,1 between --base and MODEL"
    )
    evaluate.add_argument("--activation", choices=("gelu", "quick_gelu"), help="of bare weights")
    evaluate.add_argument("--tokenizer", help="vocabulary for weights that carry none")
    evaluate.add_argument("--device", default="auto", help="cpu, cuda, mps (default: %(default)s)")
    evaluate.add_argument("--clip-benchmark", metavar="DIR", help="also write its JSON records")

    add_few_shot(commands)

    data = commands.add_parser("data", help="check and prepare data")
    actions = data.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say what a benchmark is missing")
    check.add_argument("benchmark")
    check.add_argument("--root", required=True)
    check.add_argument("--images")
    check.add_argument("--option", **_OPTION)
    prepare = actions.add_parser("prepare", help="write data in the field's formats")
    making = prepare.add_subparsers(dest="what", metavar="WHAT", required=True)
    negatives = making.add_parser("negatives", help="captions → NegCLIP's table of negatives")
    negatives.add_argument("captions", help="a caption table, Karpathy or COCO file")
    negatives.add_argument("--out", required=True, help="the table to write (TSV)")
    negatives.add_argument("--images", help="folder that image paths start from")
    negatives.add_argument("--split", help="part of a Karpathy file")
    negatives.add_argument("--kinds", default="swap,replace,shuffle")
    negatives.add_argument("--parser", default="auto", help="auto, spacy or textblob")
    negatives.add_argument("--count", type=int, default=3, help="negatives a caption and kind")
    negatives.add_argument("--seed", type=int, default=0)
    world = making.add_parser("world", help="the built-in world in benchmark formats")
    world.add_argument("out", help="folder to write")
    world.add_argument("--scenes", type=int, default=1000)
    world.add_argument("--tests", type=int, default=250, help="composition tests a subset")
    world.add_argument("--size", type=int, default=256, help="picture side in pixels")
    world.add_argument("--seed", type=int, default=0)

    explain = commands.add_parser(
        "explain",
        help="likely explanations of a region of a picture, ranked",
        description=_EXPLAIN,
        epilog=_EXPLAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("image", metavar="IMAGE", help="a picture, or a .jsonl list of regions")
    explain.add_argument(
        "--box",
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="left, top, width and height in pixels; several boxes together mark one region "
        "(default: the whole picture)",
    )
    explain.add_argument("--bank", required=True, metavar="FILE", help="what to choose from")
    explain.add_argument("--model", required=True, help="a name, a file, a folder or a run")
    explain.add_argument("--top", type=int, default=5, help="how many (default: %(default)s)")
    explain.add_argument("--json", action="store_true", help="print JSON instead of a table")
    explain.add_argument(
        "--out", help="also draw the answer (.png, .jpg, .webp); of a list, the file of its lines"
    )
    explain.add_argument(
        "--skip-bad", action="store_true", help="of a list, leave out what cannot be opened"
    )
    explain.add_argument("--device", default="auto", help="cpu, cuda, mps (default: %(default)s)")
    explain.add_argument("--activation", choices=("gelu", "quick_gelu"), help="of bare weights")
    explain.add_argument("--tokenizer", help="vocabulary for weights that carry none")

    add_classify(commands)

    export = commands.add_parser("export", help="write a model in another library's format")
    export.add_argument("model")
    export.add_argument("--to", required=True, choices=("transformers", "open_clip"))
    export.add_argument("--out", required=True, help="folder, or .pt/.safetensors file")
    export.add_argument("--activation", choices=("gelu", "quick_gelu"))
    export.add_argument("--tokenizer")

    handlers = {
        "demo": _demo,
        "train": _train,
        "eval": _eval,
        FEW_SHOT: _eval_few_shot,
        "data": _data,
        "explain": _explain,
        "classify": _classify,
        "export": _export,
    }
    return parser, handlers


def _demo(arguments: argparse.Namespace) -> int:
    from trifocal.apps.demo import run_demo

    run_demo(arguments.chapters, arguments.out, seeds=arguments.seeds)
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from trifocal.config import to_yaml
    from trifocal.train import load_recipe
    from trifocal.train.build import METHODS, run
    from trifocal.train.sources import samples_of

    recipe = load_recipe(arguments.recipe, arguments.overrides, METHODS)
    if arguments.show:
        print(to_yaml(recipe), end="")
        return 0
    outcome = run(recipe, resume="never" if arguments.fresh else "auto")
    test = {"regions": "world_regions", "captions": "world"}.get(samples_of(recipe.data))
    if test is None:
        test = f"zero_shot --root {recipe.data.path or 'FOLDER'}"
    print(
        f"The model is in {outcome.folder / 'model'}; next: trifocal eval {outcome.folder} {test}"
    )
    return 0


def _eval(arguments: argparse.Namespace) -> int:
    from trifocal.apps.eval.command import run_eval

    run_eval(arguments)
    return 0


def _eval_few_shot(arguments: argparse.Namespace) -> int:
    from trifocal.apps.few_shot.command import run_eval_few_shot

    run_eval_few_shot(arguments)
    return 0


def _data(arguments: argparse.Namespace) -> int:
    from trifocal.apps.data import command as preparing

    if arguments.action == "check":
        return preparing.check(
            arguments.benchmark, arguments.root, arguments.images, arguments.option
        )
    if arguments.what == "negatives":
        preparing.negatives(arguments)
    else:
        preparing.world(arguments)
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    from trifocal.apps.explain.command import run_explain

    run_explain(arguments)
    return 0


def _classify(arguments: argparse.Namespace) -> int:
    from trifocal.apps.classify.command import run_classify

    run_classify(arguments)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from trifocal.clip import save_open_clip, save_pretrained
    from trifocal.tuning import load_model

    clip = load_model(
        arguments.model, activation=arguments.activation, tokenizer=arguments.tokenizer
    )
    write = save_pretrained if arguments.to == "transformers" else save_open_clip
    write(clip, arguments.out)
    print(f"{arguments.model} is in {arguments.out}")
    return 0


def _joined(words: Sequence[str]) -> list[str]:
    """Return what was typed with a command of two words as the one word that it is parsed as."""
    first = next((i for i, word in enumerate(words) if not word.startswith("-")), 0)
    if list(words[first : first + 2]) == FEW_SHOT.split():
        return [*words[:first], FEW_SHOT, *words[first + 2 :]]
    return list(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for a user's error, 130/143 when stopped."""
    parser, handlers = _parser()
    arguments, rest = parser.parse_known_args(_joined(sys.argv[1:] if argv is None else argv))
    arguments.overrides = rest
    logging.basicConfig(
        level=logging.DEBUG if arguments.debug else logging.INFO, format="%(message)s"
    )
    for noisy in ("httpx", "matplotlib", "PIL", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if rest and arguments.command != "train":
            known = ["--root", "--images", "--out", "--base", "--interpolate", "--seeds"]
            known += ["--box", "--bank", "--model", "--top", "--json", "--device"]
            known += ["--method", "--shots", "--views", "--vocabulary", "--template", "--names"]
            known += [
                "--holdout",
                "--seed",
                "--set",
                "--class",
                "--against",
                "--force",
                "--skip-bad",
            ]
            known += ["--methods", "--datasets", "--val", "--option", "--domains", "--base-to-new"]
            known += ["--baseline", "--compare", "--report", "--cache", "--concept-text"]
            raise UserError(f"unknown option {rest[0]!r}.{nearest(rest[0], known)}")
        return handlers[arguments.command](arguments)
    except UserError as error:
        if arguments.debug:
            raise
        print(f"trifocal: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"trifocal: {stopped}", file=sys.stderr)
        return stopped.status
    except KeyboardInterrupt:
        print("trifocal: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
