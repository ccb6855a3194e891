"""Training recipes that ship with the package: `<focus>/<method>-<data>-<backbone>.yaml`."""

from __future__ import annotations

from pathlib import Path, PurePath

from trifocal.errors import UserError, nearest

_FOLDER = Path(__file__).parent


def shipped_recipes() -> dict[str, Path]:
    """Return the files of the recipes by their names, such as "fsc_clip-coco-ViT-B-32"."""
    return {file.stem: file for file in sorted(_FOLDER.glob("*/*.yaml"))}


def find_recipe(name: str) -> Path:
    """Return the file of a recipe.

    Args:
        name: A path; where there is no such file, the name of a recipe that ships with the package,
            with ".yaml" or without, with its focus's folder before it or without.

    Raises:
        UserError: there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = shipped_recipes()
    wanted = PurePath(name.removesuffix(".yaml"))
    file = shipped.get(wanted.name)
    if file and f"/recipes/{file.parent.name}/{file.stem}".endswith(f"/{wanted.as_posix()}"):
        return file
    raise UserError(
        f"cannot find the recipe {name!r}, neither as a file nor among those that ship with "
        f"trifocal (see `trifocal list recipes`).{nearest(wanted.name, shipped)}"
    )
