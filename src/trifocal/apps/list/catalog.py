"""What there is, by name, each with a line on what it is, from where it is defined."""

from __future__ import annotations

import sys
from functools import partial
from itertools import takewhile
from typing import Any

from trifocal.recipes import shipped_recipes


def benchmarks() -> dict[str, str]:
    """Return the benchmarks of `trifocal eval`."""
    from trifocal.evaluate.registry import BENCHMARKS

    return {name: _first(_module(kind)) for name, kind in BENCHMARKS.items()}


def methods() -> dict[str, str]:
    """Return the methods that train inside the backbone."""
    from trifocal.train.build import METHODS

    return {name: _first(kind) for name, (_, kind) in METHODS.items()}


def heads() -> dict[str, str]:
    """Return the few-shot heads; one that is another with a setting is told by that."""
    from trifocal.concepts.head_registry import HEADS

    names = {kind: name for name, kind in HEADS.items()}
    found: dict[str, str] = {}
    for name, kind in HEADS.items():
        if isinstance(kind, partial):
            settings = ", ".join(f"{key}={value}" for key, value in kind.keywords.items())
            found[name] = f"{names[kind.func]} with {settings}"
            continue
        assert isinstance(kind, type)
        # A head has its own file, which says more; one that extends another lies in that one's.
        found[name] = _first(kind if kind.__base__ in names else _module(kind))
    return found


def models() -> dict[str, str]:
    """Return the published weights that are known by a short name, and the model that is shipped."""
    from trifocal.clip.names import PUBLISHED

    found = {"builtin": "the tiny CLIP that ships with trifocal, trained on its drawn world"}
    for (architecture, tag), weights in PUBLISHED.items():
        found[f"{architecture}:{tag}"] = f"{weights.repo} ({weights.activation})"
    return found


def recipes() -> dict[str, str]:
    """Return the recipes that ship with the package."""
    found: dict[str, str] = {}
    for name, file in shipped_recipes().items():
        comment = takewhile(lambda line: line.startswith("#"), file.read_text().splitlines())
        found[name] = _sentence(" ".join(line.removeprefix("#").strip() for line in comment))
    return found


def _module(kind: type) -> Any:
    return sys.modules[kind.__module__]


def _first(described: Any) -> str:
    """Return the first sentence of a docstring."""
    return _sentence(" ".join((described.__doc__ or "").partition("\n\n")[0].split()))


def _sentence(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".")
