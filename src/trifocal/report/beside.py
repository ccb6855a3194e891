"""One's own models beside published ones: a row a model, a column a number that others have, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trifocal.evaluate.published.means import MEANS, MEANS_OF, Found, Key, find_mean, named_means
from trifocal.metrics.result import Result
from trifocal.report.table import Column, Entry, Row, Table

_HEADLINES = {("mean", "acc"), ("all", "group")}  # what is not said in a column's label


def beside_table(rows: Sequence[Result], published: Mapping[str, Mapping[Key, float]]) -> Table:
    """Return the table of own models, then of published ones.

    Columns are the numbers of one's own that somebody has published, and the named means that one's own
    models have all members of. A published mean is that of its members, or what its source printed.
    """
    own: dict[str, dict[Key, list[float]]] = {}
    for row in rows:
        own.setdefault(row.model, {}).setdefault(row.key, []).append(row.value)
    values = {
        model: {key: sum(runs) / len(runs) for key, runs in by_key.items()}
        for model, by_key in own.items()
    }
    for model, found in named_means(rows).items():
        values[model] |= {one.mean.key: one.value for one in found if one.value is not None}
    others = {model: _with_means(known) for model, known in published.items()}
    measured = dict.fromkeys(key for known in values.values() for key in known)
    keys = [key for key in measured if any(key in known for known in others.values())]
    body = [
        Row(model, [_entry(known, key) for key in keys], "strong")
        for model, known in values.items()
    ]
    body += [
        Row(model, [_entry(known, key) for key in keys])
        for model, known in others.items()
        if any(key in known for key in keys)
    ]  # fmt: skip
    columns = [Column(_label(key), hint=" · ".join(key)) for key in keys]
    return Table("Beside published models", "model", columns, body)


def missing_lines(rows: Sequence[Result]) -> list[str]:
    """Return a sentence for each named mean that a model has only a part of."""
    found: dict[str, Found] = {}
    for every in named_means(rows).values():
        for one in every:
            if one.missing:
                found.setdefault(one.mean.name, one)
    return [
        f"{name} is not computed: {len(one.missing)} of its members are not measured "
        f"({', '.join(one.missing)})"
        for name, one in found.items()
    ]


def _with_means(known: Mapping[Key, float]) -> dict[Key, float]:
    found = dict(known)
    for mean in MEANS.values():
        value = find_mean(mean, known).value
        if value is not None:
            found[mean.key] = value
    return found


def _entry(known: Mapping[Key, float], key: Key) -> Entry:
    return Entry(f"{100 * known[key]:.1f}" if key in known else "–")


def _label(key: Key) -> str:
    benchmark, task, metric = key
    if benchmark == MEANS_OF:
        return task
    words = [benchmark] if (task, metric) in _HEADLINES else [benchmark, task, metric]
    return " ".join(word for word in words if word != "acc")
