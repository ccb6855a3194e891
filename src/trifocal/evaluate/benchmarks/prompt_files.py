"""Class names and prompts of zero-shot classification, from whoever wrote them down.

A text file (a line each), JSON (a list, a mapping from folder to name, or CLIP_benchmark's mapping
from data set to names), or ELEVATER's `prompts.py`, which is read and never run. Files of the usual
names are found at the root of the data or in the folder above it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trifocal.data.tables import not_text
from trifocal.errors import UserError, nearest
from trifocal.evaluate.benchmarks.named_sets import FAMILIES, NamedSet, key_in

DEFAULT_TEMPLATES = ("a photo of a {c}.",)
CLASSNAMES_FILE = "classnames.txt"
TEMPLATES_FILE = "zeroshot_classification_templates.txt"
# CLIP_benchmark's files for all data sets, and ELEVATER's.
ALL_CLASSNAMES = "en_classnames.json"
ALL_TEMPLATES = "en_zeroshot_classification_templates.json"
ELEVATER_FILE = "prompts.py"
_TABLES = ("class_map", "template_map")  # of ELEVATER's file
_MOST = 16 << 20

Texts = list[str] | dict[str, str]


@dataclass(frozen=True)
class Prompts:
    """Templates of one data set, and whose they are."""

    templates: list[str]
    whose: str  # "CLIP_benchmark's", "ELEVATER's", "own" or "default"


def load_names(path: Path, dataset: str) -> Texts:
    """Return class names of a file: a list, or by folder.

    Raises:
        UserError: it is missing, in none of the forms, or has no such data set.
    """
    return _load(path, dataset, _TABLES[0])


def names_beside(root: Path, dataset: str, family: str) -> tuple[Path, Texts] | None:
    """Return the class names in files of the usual names, and the file; None where there are none."""
    for path in _beside(root, family, CLASSNAMES_FILE, ALL_CLASSNAMES):
        if path.name == CLASSNAMES_FILE or _has(path, dataset, _TABLES[0]):
            return path, load_names(path, dataset)
    return None


def find_prompts(
    given: Sequence[str] | str | Path | None, root: Path, dataset: str, family: str
) -> Prompts:
    """Return the prompts that were given, or those in files of the usual names, or the default.

    Args:
        given: Templates, or a file of them.
        root: Where such files may lie.
        dataset: The data set's name, a key in files for several.
        family: Whose prompts are wanted, where both are there: a key of `FAMILIES`, or "".

    Raises:
        UserError: a file is missing, in none of the forms, or has no such data set.
    """
    if given is not None:
        if not isinstance(given, str | Path):
            return Prompts(list(given), "own")
        path = Path(given)
        return Prompts(_templates(path, dataset), _whose(path))
    for path in _beside(root, family, TEMPLATES_FILE, ALL_TEMPLATES):
        if path.name == TEMPLATES_FILE or _has(path, dataset, _TABLES[1]):
            return Prompts(_templates(path, dataset), _whose(path))
    if family:
        wanted = ELEVATER_FILE if family == "elevater" else f"{TEMPLATES_FILE} or {ALL_TEMPLATES}"
        raise UserError(
            f"there is no {wanted} with prompts of {dataset} in {root} or above it; put "
            f"{FAMILIES[family]} file there."
        )
    return Prompts(list(DEFAULT_TEMPLATES), "default")


def whose_prompts(prompts: Prompts, named: NamedSet) -> str:
    """Return whose prompts a set has, in words; a family's only where it has as many of them."""
    if prompts.whose in FAMILIES.values():
        count = dict(zip(FAMILIES.values(), named.templates, strict=True))[prompts.whose]
        return f"{prompts.whose} prompts" if count == len(prompts.templates) else "own prompts"
    return f"{prompts.whose} prompt{'s' * (len(prompts.templates) != 1)}"


def _whose(path: Path) -> str:
    if path.suffix.lower() == ".py":
        return FAMILIES["elevater"]
    theirs = path.name in (TEMPLATES_FILE, ALL_TEMPLATES)
    return FAMILIES["clip_benchmark"] if theirs else "own"


def _beside(root: Path, family: str, *names: str) -> list[Path]:
    """Return the files of these names, and ELEVATER's, at the root or in the folder above it."""
    order = {"elevater": (ELEVATER_FILE,), "clip_benchmark": names}.get(
        family, (*names, ELEVATER_FILE)
    )
    places = [folder / name for name in order for folder in (root, root.resolve().parent)]
    return [place for place in places if place.is_file()]


def _has(path: Path, dataset: str, table: str) -> bool:
    """Return whether a file for several data sets has this one."""
    try:
        content = _content(path, table)
    except UserError:
        return False
    return isinstance(content, dict) and key_in(list(content), dataset) is not None


def _templates(path: Path, dataset: str) -> list[str]:
    found = _load(path, dataset, _TABLES[1])
    if isinstance(found, dict):
        raise UserError(
            f"{path} names its texts ({', '.join(list(found)[:3])}); give prompts as a list, or a "
            "list for each data set."
        )
    return found


def _load(path: Path, dataset: str, table: str) -> Texts:
    content = _content(path.expanduser(), table)
    if isinstance(content, dict) and any(isinstance(value, list) for value in content.values()):
        key = key_in(list(content), dataset)
        if key is None:
            raise UserError(
                f"{path} has no data set {dataset!r}.{nearest(dataset, content)} "
                "Name one of its data sets."
            )
        content = content[key]
    strings = content.values() if isinstance(content, dict) else content
    if not isinstance(content, dict | list) or not all(isinstance(x, str) for x in strings):
        raise UserError(f"{path} must hold a list of texts, or one for each data set")
    return content


def _content(path: Path, table: str) -> Any:
    if not path.is_file():
        raise UserError(f"{path} not found; it should hold class names or templates")
    if path.stat().st_size > _MOST:
        raise UserError(f"{path} is larger than {_MOST >> 20} MB; it should hold short texts.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise not_text(path) from None
    if path.suffix.lower() == ".py":
        return _python_table(text, table, path)
    if path.suffix.lower() != ".json":
        return [line.strip() for line in text.splitlines() if line.strip()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error})") from error


def _python_table(text: str, table: str, path: Path) -> dict[str, list[str]]:
    """Return a mapping that a Python file writes out; lists may be named before and used in it."""
    values: dict[str, Any] = {}
    try:
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found = _written(node.value, values)
                if found is not None:
                    values[node.targets[0].id] = found
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(f"{path} is not a Python file; get it again.") from None
    content = values.get(table)
    if not isinstance(content, dict):
        raise UserError(f"{path} has no table {table}, as ELEVATER's prompts.py has; get it again.")
    return content


def _written(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return a written list of texts, or a mapping to such; None for anything else."""
    if isinstance(node, ast.Name):
        return values.get(node.id)
    if isinstance(node, ast.List | ast.Tuple):
        texts = [one.value for one in node.elts if isinstance(one, ast.Constant)]
        whole = len(texts) == len(node.elts) and all(isinstance(one, str) for one in texts)
        return texts if whole else None
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {
            key.value: found
            for key, value in pairs
            if isinstance(key, ast.Constant)
            and isinstance(key.value, str)
            and (found := _written(value, values)) is not None
        }
    return None
