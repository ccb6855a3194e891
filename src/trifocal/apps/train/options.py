"""The options of `trifocal train`."""

from __future__ import annotations

from trifocal.apps.parser import Parser, add_device, add_json

ABOUT = """\
Train a recipe. Every field of it is an option: --optimizer.lr 1e-5, --batch_size 64,
--method.gamma 0. A run that was interrupted goes on when the same command is given again.
"""
EXAMPLES = """\
examples:
  trifocal train rca-world-builtin
  trifocal train fsc_clip-coco-ViT-B-32 --print
  trifocal train fsc_clip-coco-ViT-B-32 --data.path captions.csv --data.images photos --name mine
  trifocal train my-recipe.yaml --optimizer.lr 1e-5

`trifocal list recipes` names those that ship with trifocal.
"""


def add_options(parser: Parser) -> None:
    """Add what a training can be told besides the fields of its recipe."""
    parser.free = True
    recipe = parser.add_argument("recipe", help="a recipe that ships with trifocal, or a YAML file")
    recipe.completer = _recipes  # type: ignore[attr-defined] - where argcomplete looks
    parser.add_argument("--print", action="store_true", dest="show", help="show the full recipe")
    parser.add_argument(
        "--fresh", action="store_true", help="start over; the earlier run is kept as NAME.old-1"
    )
    parser.add_argument(
        "--no-resume", action="store_true", help="refuse to go on with an earlier run"
    )
    add_json(parser)
    add_device(parser)


def _recipes(prefix: str, **_: object) -> list[str]:
    """Return what the shell offers for a recipe: names and files."""
    from argcomplete.completers import FilesCompleter

    from trifocal.recipes import shipped_recipes

    return [*shipped_recipes(), *FilesCompleter(("yaml",))(prefix)]
