"""The house stands: no module imports from a layer above its own, and no focus another focus."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import trifocal

PACKAGE = Path(trifocal.__file__).parent
FOCI = {"regions", "concepts", "composition"}
PARTS = {"world", "data", "features", "metrics", "losses", "tuning"}
LEVEL = {
    **dict.fromkeys(("errors", "files", "config", "progress", "version", "recipes"), 0),
    "clip": 1,
    **dict.fromkeys(PARTS, 2),
    **dict.fromkeys(FOCI, 3),
    "evaluate": 4,
    **dict.fromkeys(("train", "report"), 5),
    **dict.fromkeys(("cli", "apps", "__main__"), 6),
}


def area(module: str) -> str:
    """Return the part of the house that a dotted module name belongs to."""
    return module.split(".")[1]


def imports(source: str) -> list[str]:
    """Return the trifocal modules that a source text imports, at any depth of nesting."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found += [
                f"{node.module}.{alias.name}" if node.module == "trifocal" else node.module
                for alias in node.names
            ]
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append("relative")
    return [name for name in found if name.startswith("trifocal.") or name == "relative"]


def violations(module: str, imported: list[str]) -> list[str]:
    """Return a sentence for every import that reaches up or across."""
    here = area(module)
    found = []
    for name in imported:
        if name == "relative":
            found.append(f"{module} uses a relative import")
            continue
        there = area(name)
        if there not in LEVEL:
            continue  # a public name of the package itself, such as trifocal.__version__
        if LEVEL[there] > LEVEL[here]:
            found.append(f"{module} reaches up to {name}")
        if here in FOCI and there in FOCI and here != there:
            found.append(f"{module} reaches across to {name}")
    return found


MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_reaches_up_or_across(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert not violations(".".join(("trifocal", *parts)), imports(path.read_text()))


def test_the_check_sees_a_violation() -> None:
    upward = imports("def f():\n    from trifocal.train import engine\n")
    assert violations("trifocal.losses.contrastive", upward)
    across = imports("import trifocal.regions.rca")
    assert violations("trifocal.composition.fsc_clip", across)
    assert not violations("trifocal.train.engine", imports("from trifocal.losses import x"))


def test_every_area_has_a_level() -> None:
    areas = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert areas <= LEVEL.keys()
