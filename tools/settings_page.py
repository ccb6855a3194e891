"""Write docs/settings.md: every setting of recipes, benchmarks and heads, from where it is defined.

    python tools/settings_page.py docs/settings.md

What a setting means is read from the class's `Attributes:` (or `Args:`), or from the comment beside
or above the field, so the page cannot say anything else than the code.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from trifocal import config
from trifocal.concepts.head_registry import HEADS
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.train.build import METHODS
from trifocal.train.embeddings import EmbeddingsRecipe
from trifocal.train.optimizer import Optimizer
from trifocal.train.recipe import ModelRecipe, NegativesRecipe, Recipe, ScheduleRecipe
from trifocal.train.sources import Data

_ENTRY = re.compile(r"^    ([\w, ]+?)(?: \([^)]*\))?:\s+(.*(?:\n {6,}.*)*)", re.MULTILINE)
_SECTIONS = ("model", "method", "data", "negatives", "optimizer", "schedule", "embeddings")
_INTRODUCTION = """\
# Settings

Every setting by name, with its default. Written by `python tools/settings_page.py docs/settings.md` from the classes
that read them. Those of a recipe stand in its YAML file or behind `trifocal train`, with dots: `--optimizer.lr 1e-5`;
`trifocal train RECIPE --print` shows what a recipe sets. Those of a benchmark are given as `--option KEY=VALUE`, those
of a head as `--set KEY=VALUE`.
"""


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, "## Recipes\n", _table(Recipe, apart=_SECTIONS)]
    for name, section in (
        ("model", ModelRecipe),
        ("negatives", NegativesRecipe),
        ("schedule", ScheduleRecipe),
        ("embeddings", EmbeddingsRecipe),
    ):
        parts += [f"### {name}\n", _table(section, f"{name}.")]
    for name, union in (("data", Data), ("optimizer", Optimizer)):
        tag, kinds = config.kinds_of(union)
        for kind, section in kinds.items():
            parts += [f"### {name}, {tag}: {kind}\n", _table(section, f"{name}.", (tag,))]
    parts.append("## Methods\n")
    for name, (section, _) in METHODS.items():
        parts += [f"### {name}\n", _table(section, "method.")]
    parts.append("## Benchmarks\n")
    for name, benchmark in BENCHMARKS.items():
        parts += [f"### {name}\n", _table(benchmark)]
    parts.append("## Heads\n")
    for name, head in HEADS.items():
        if not isinstance(head, partial):
            parts += [f"### {name}\n", _parameters(head)]
    return "\n".join(parts)


def _table(owner: type, prefix: str = "", apart: Collection[str] = ()) -> str:
    """Return a dataclass's fields as a table, those of sections inside it, too.

    Args:
        owner: The dataclass.
        prefix: What stands before the fields' names.
        apart: Fields that are told elsewhere.
    """
    rows = list(_rows(owner, prefix, apart))
    return _written(rows) if rows else "It has none.\n"


def _rows(owner: type, prefix: str, apart: Collection[str] = ()) -> Iterator[tuple[str, str, str]]:
    meanings, hints = _meanings(owner), typing.get_type_hints(owner)
    for field in fields(owner):
        if not field.init or field.name in apart:
            continue
        inner, meaning = _section(hints[field.name]), meanings.get(field.name, "")
        name = f"{prefix}{field.name}"
        if inner is None:
            yield f"`{name}`", _default(field), f"{_choices(hints[field.name])}{meaning}"
            continue
        if field.default is None:
            yield f"`{name}`", "`null`", meaning or _line((inner.__doc__ or "").split("\n")[0])
        yield from _rows(inner, f"{name}.")


def _section(hint: Any) -> type | None:
    """Return the dataclass that a field holds, if it does."""
    options = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    found = [one for one in options if isinstance(one, type) and is_dataclass(one)]
    return found[0] if len(found) == 1 else None


def _choices(hint: Any) -> str:
    options = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    words = [
        word
        for one in options
        if typing.get_origin(one) is Literal
        for word in typing.get_args(one)
    ]
    return f"One of {', '.join(f'`{word}`' for word in words)}. " if len(words) > 1 else ""


def _parameters(head: Any) -> str:
    """Return the parameters of a head as a table."""
    meanings = _meanings(head)
    rows = [
        (f"`{name}`", _shown(one.default), meanings.get(name, ""))
        for name, one in inspect.signature(head).parameters.items()
        if one.default is not inspect.Parameter.empty
    ]
    return _written(rows) if rows else "It has none.\n"


def _written(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for row in rows:
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    return "\n".join([*lines, ""])


def _default(field: Any) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "must be given"
    return _shown(config.default_of(field))


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return f"`{'null' if value is None else str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.6g}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, Mapping):
        return f"`{dict(value)}`"
    return f"`{value}`" if str(value) else '`""`'


def _meanings(owner: Any) -> dict[str, str]:
    """Return what is said of the fields of a class and of those that it derives from, by name."""
    found: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.split(".")[0] == "trifocal":
            found |= {
                **_commented(base),
                **_documented(base.__doc__),
                **_documented(base.__init__.__doc__),
            }
    return found


def _documented(text: str | None) -> dict[str, str]:
    """Return the entries of a docstring's lists, by name."""
    found = {}
    for section in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        if re.match(r"(Attributes|Args):", section):
            for names, meaning in _ENTRY.findall(section):
                for name in names.split(","):
                    found[name.strip()] = _line(meaning)
    return found


def _commented(owner: type) -> dict[str, str]:
    """Return the comments beside the fields of a class, or above them, by name."""
    try:
        lines = textwrap.dedent(inspect.getsource(owner)).splitlines()
    except (OSError, TypeError):
        return {}
    (body,) = ast.parse("\n".join(lines)).body
    found = {}
    for node in getattr(body, "body", []):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        beside = re.search(r"\s#\s(.*)$", lines[(node.end_lineno or node.lineno) - 1])
        above, at = [], node.lineno - 2
        while at >= 0 and lines[at].strip().startswith("#"):
            above.insert(0, lines[at].strip().lstrip("# "))
            at -= 1
        if beside or above:
            found[node.target.id] = _line(" ".join(above) or (beside[1] if beside else ""))
    return found


def _line(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
