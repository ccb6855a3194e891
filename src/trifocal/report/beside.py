"""One's own models beside published ones: a row a model, a column a number that others have, too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from trifocal.evaluate.published.means import MEANS, MEANS_OF, Found, Key, find_mean, named_means
from trifocal.metrics.result import Result
from trifocal.report.table import Column, Entry, Row, Table

_HEADLINES = {("mean", "acc"), ("all", "group")}  # what is not said in a column's label
_TITLE = "Beside published models"
_WIDTH = 79  # of a terminal
# What a benchmark's protocol says where only a part of its data was asked.
_PART = re.compile(r"[\d,]+ of [\d,]+ \w+, whose \w+ are present|the first [\d,]+ of each part")


def beside_tables(
    rows: Sequence[Result], published: Mapping[str, Mapping[Key, float]], *, width: int = _WIDTH
) -> list[Table]:
    """Return tables of own models, then of published ones, each as wide as a terminal.

    Columns are the numbers of one's own that somebody has published, and the named means that one's own
    models have all members of. A published mean is that of its members, or what its source printed.
    """
    own = _values(rows)
    for model, found in named_means(rows).items():
        own[model] |= {one.mean.key: one.value for one in found if one.value is not None}
    others = {model: _with_means(known) for model, known in published.items()}
    measured = dict.fromkeys(key for known in own.values() for key in known)
    keys = [key for key in measured if any(key in known for known in others.values())]
    others = {model: known for model, known in others.items() if known.keys() & set(keys)}
    first = max(map(len, [*own, *others]), default=0)
    tables = []
    for part in _parts(keys, width - first):
        body = [Row(model, _entries(known, part), "strong") for model, known in own.items()]
        body += [
            Row(model, _entries(known, part))
            for model, known in others.items()
            if known.keys() & set(part)
        ]
        columns = [Column(_label(key), hint=" · ".join(key)) for key in part]
        tables.append(Table("" if tables else _TITLE, "model", columns, body))
    return tables


def notes(rows: Sequence[Result]) -> list[str]:
    """Return what a reader must know: what was measured on a part, and which means lack members."""
    partly = dict.fromkeys(row.benchmark for row in rows if _PART.search(row.protocol))
    found = [f"Measured on a part, and not comparable: {', '.join(partly)}."] if partly else []
    return found + _missing(rows)


def _missing(rows: Sequence[Result]) -> list[str]:
    """Return a sentence for each named mean that a model has only a part of."""
    found: dict[str, Found] = {}
    for every in named_means(rows).values():
        for one in every:
            if one.missing:
                found.setdefault(one.mean.name, one)
    return [
        f"{name} is not computed; not measured: {', '.join(one.missing)}."
        for name, one in found.items()
    ]


def _values(rows: Sequence[Result]) -> dict[str, dict[Key, float]]:
    """Return the value of each number of each model, the mean where there are several runs."""
    found: dict[str, dict[Key, list[float]]] = {}
    for row in rows:
        found.setdefault(row.model, {}).setdefault(row.key, []).append(row.value)
    return {
        model: {key: sum(runs) / len(runs) for key, runs in by_key.items()}
        for model, by_key in found.items()
    }


def _parts(keys: Sequence[Key], width: int) -> list[list[Key]]:
    """Return the columns in groups that are no wider, of one at least."""
    parts: list[list[Key]] = []
    used = width
    for key in keys:
        needed = 1 + max(4, *map(len, _label(key).split("\n")))
        if used + needed > width:
            parts.append([])
            used = 0
        parts[-1].append(key)
        used += needed
    return parts


def _with_means(known: Mapping[Key, float]) -> dict[Key, float]:
    found = dict(known)
    for mean in MEANS.values():
        value = find_mean(mean, known).value
        if value is not None:
            found[mean.key] = value
    return found


def _entries(known: Mapping[Key, float], keys: Sequence[Key]) -> list[Entry]:
    return [Entry(f"{100 * known[key]:.1f}" if key in known else "–") for key in keys]


def _label(key: Key) -> str:
    """Return benchmark, task and metric, each on a line, without what goes without saying."""
    benchmark, task, metric = key
    if benchmark == MEANS_OF:
        return task
    words = [benchmark] if (task, metric) in _HEADLINES else [benchmark, task, metric]
    return "\n".join(word for word in words if word != "acc")
