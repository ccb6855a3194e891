"""Rows of other models as papers and authors printed them, each with its source.

A table is a CSV file beside this one: a model, what its weights are, where the row was printed, and then a
column for each measure, "benchmark/task/metric" with a value in percent. A column of `published_means`
is a mean that the source printed. A measure whose protocol we do not compute has a benchmark of its own
(`degla_paper`), so that it never stands beside one of ours.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from trifocal.errors import UserError, nearest
from trifocal.evaluate.published.means import Key

# Where two print a number of one model, the first of these counts.
TABLES = ("clip_b32", "fsc_clip", "read_clip", "clic", "bivlc", "negbench", "labclip", "degla")
_ABOUT = ("model", "weights", "source")
ALL = "published"


@dataclass(frozen=True)
class Published:
    """A row of a table.

    Attributes:
        model: The model's name; one with the same name in another table is the same.
        weights: Backbone and training data.
        source: Where the row was printed.
        values: Fractions by benchmark, task and metric.
    """

    model: str
    weights: str
    source: str
    values: dict[Key, float]


@cache
def published_table(name: str) -> tuple[Published, ...]:
    """Return the rows of one of `TABLES`."""
    text = files("trifocal.evaluate.published").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return tuple(_rows(text))


def _rows(text: str) -> Iterator[Published]:
    for row in csv.DictReader(text.splitlines(), strict=True):
        model, weights, source = (row.pop(name) for name in _ABOUT)
        values = {}
        for column, value in row.items():
            benchmark, task, metric = column.split("/")
            if value:
                values[benchmark, task, metric] = float(value) / 100
        yield Published(model, weights, source, values)


def published_models() -> dict[str, dict[Key, float]]:
    """Return all that is known of each model, in the order of the tables."""
    found: dict[str, dict[Key, float]] = {}
    for name in TABLES:
        for row in published_table(name):
            known = found.setdefault(row.model, {})
            for key, value in row.values.items():
                known.setdefault(key, value)
    return found


def chosen_models(names: Iterable[str]) -> dict[str, dict[Key, float]]:
    """Return some models by name; `ALL` stands for all of them.

    Raises:
        UserError: Nothing is known of one.
    """
    every, asked = published_models(), list(names)
    if ALL in asked:
        return every
    for name in asked:
        if name not in every:
            raise UserError(
                f"no published row is known of {name!r}.{nearest(name, every)} There are: "
                f"{', '.join(every)}; {ALL} stands for all."
            )
    return {name: every[name] for name in asked}
