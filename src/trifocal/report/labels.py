"""What models are called where there is little room: the base "base", a long path by its end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from trifocal.metrics.result import Result

BASE = "base"
_LONGEST = 24  # characters of a relative path that is told as it is
_ON_THE_WAY = re.compile(r"(@[\d.]+)?$")  # what interpolation adds to a name


def labels(models: Iterable[str], base: str | None = None) -> dict[str, str]:
    """Return what each model is called, no two alike; of absolute and of long paths, the end.

    Args:
        models: Their full names.
        base: The one among them that training started from, if that is known.
    """
    names = list(dict.fromkeys(models))
    found = {name: "" if len(name) > _LONGEST or name.startswith("/") else name for name in names}
    if base in found and BASE not in names:
        found[base] = BASE
    for name in [name for name in names if not found[name]]:
        found[name] = _shortened(name, {found[other] for other in names if other != name}, names)
    return found


def relabeled(rows: Iterable[Result], shown: Mapping[str, str]) -> list[Result]:
    """Return rows under what their models are called."""
    return [row.of(shown.get(row.model, row.model)) for row in rows]


def full_names(shown: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is called otherwise than its name, with the name."""
    return [(label, name) for name, label in shown.items() if label != name]


def _shortened(name: str, taken: set[str], names: Sequence[str]) -> str:
    """Return the end of a path that tells it from the others; names without a "/" stay."""
    whole, way, _ = _ON_THE_WAY.split(name, maxsplit=1)
    parts = [part for part in whole.split("/") if part]
    least = 2 if PurePath(whole).suffix and len(parts) > 1 else 1  # a file is told with its folder
    for count in range(least, len(parts)):
        end = f"…/{'/'.join(parts[-count:])}{way or ''}"
        alike = [one for one in names if one != name and f"/{one}".endswith(end[1:])]
        if end not in taken and not alike:
            return end
    return name
