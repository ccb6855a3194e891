"""The house stands: every import leads down a floor, none across one, and none in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import trifocal

PACKAGE = Path(trifocal.__file__).parent
FLOORS = (
    ("errors", "version"),
    (
        "files",
        "config",
        "processes",
        "progress",
        "bars",
        "devices",
        "tally",
        "recipes",
        "plugins",
        "called",
    ),
    ("clip",),
    ("metrics", "losses"),
    ("data",),
    ("features", "tuning", "world"),
    ("regions", "concepts", "composition"),
    ("evaluate", "search"),
    ("train", "report"),
    ("api",),
    ("apps",),
    ("cli",),
)
LEVEL = {area: level for level, areas in enumerate(FLOORS) for area in areas}


def module_name(path: Path) -> str:
    """Return the dotted name of a source file or of a package's stub; a package has its own."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def area(module: str) -> str:
    """Return the part of the house that a dotted module name belongs to."""
    return module.split(".")[1]


def imports(source: str, package: str = "") -> Iterator[tuple[str, str]]:
    """Yield (module, name) of what a text imports from trifocal, at any depth of nesting.

    Args:
        source: the text.
        package: what relative imports start from; where it is "" they are named "relative".
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name[:9] == "trifocal.")
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = f"{package}.{module}" if package else "relative"
            if module == "relative" or module.split(".")[0] == "trifocal":
                yield from ((module, alias.name) for alias in node.names)


def violations(module: str, imported: Iterator[tuple[str, str]]) -> list[str]:
    """Return a sentence for every import that does not lead down."""
    here = area(module)
    found = []
    for name, what in imported:
        if name == "relative":
            found.append(f"{module} uses a relative import")
            continue
        there = what if name == "trifocal" else area(name)
        if there == here or there not in LEVEL:
            continue  # a neighbor, or a public name of the package itself
        if LEVEL[there] >= LEVEL[here]:
            way = "across" if LEVEL[there] == LEVEL[here] else "up"
            found.append(f"{module} reaches {way} to {name}")
    return found


def circle(texts: dict[str, str]) -> list[str]:
    """Return modules that import each other in a circle, the first one again at the end.

    Args:
        texts: sources by dotted name; a name in `trifocal.x` stands for the module `trifocal.x.name`
            if there is one, else for the package and all that it hands on.
    """
    graph: dict[str, set[str]] = {}
    for module, text in texts.items():
        found = {
            f"{name}.{what}" if f"{name}.{what}" in texts else name
            for name, what in imports(text, package=module)
        }
        graph[module] = found & texts.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_import_leads_down(path: Path) -> None:
    assert not violations(module_name(path), imports(path.read_text(encoding="utf-8")))


def test_there_is_no_circle() -> None:
    texts: dict[str, str] = {}
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]:
        name = module_name(path)
        texts[name] = texts.get(name, "") + "\n" + path.read_text(encoding="utf-8")
    assert not circle(texts)


def test_the_checks_see_what_they_should() -> None:
    upward = imports("def f():\n    from trifocal.train import engine\n")
    assert violations("trifocal.losses.contrastive", upward)
    assert violations("trifocal.composition.fsc_clip", imports("import trifocal.regions.rca"))
    assert violations("trifocal.data.loader", imports("from trifocal import tuning"))
    assert violations("trifocal.data.loader", imports("from . import samples"))
    assert not violations("trifocal.train.engine", imports("from trifocal.losses import x"))
    late = "def f():\n    from trifocal.a import c"
    assert circle({"trifocal.a.b": late, "trifocal.a.c": "from trifocal.a.b import f"})
    assert circle({"trifocal.a": "from .b import f", "trifocal.a.b": "from trifocal.a import g"})
    assert not circle({"trifocal.a.b": late, "trifocal.a.c": "import torch"})


def test_every_area_has_a_floor() -> None:
    areas = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert areas == LEVEL.keys()
