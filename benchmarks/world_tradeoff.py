"""What chose the settings of the tour's first chapter: composition bought, and at what price.

    OMP_NUM_THREADS=1 python benchmarks/world_tradeoff.py runs/tradeoff [--seeds 0 1]

Fine-tuning on a narrow part of the world (10 of 24 kinds, relations in a fifth of the captions)
has something to lose: what the base knows of everything else. Each method gets the same number of
settings and the same steps. A run is judged by its WiSE-FT curve on *validation* scenes: how much
composition it has where zero-shot accuracy or retrieval, whichever does first, has lost so many
points (on average they lose little, since recall on captions of this world grows meanwhile).
What is there already is not trained again; one line a setting, the best ones first. The tour takes
of each method the setting that has most at a price of two points.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from trifocal.apps.demo.composition import RECIPE
from trifocal.clip import Clip, load_clip
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.price import GAINED, at_price, lost
from trifocal.evaluate.summary import part_of, summarize
from trifocal.metrics.result import Result
from trifocal.report.composition_tour import COST
from trifocal.train.build import METHODS, run
from trifocal.train.logs import read_lines
from trifocal.train.recipe import load_recipe
from trifocal.tuning import interpolate, load_model

ALPHAS = (0.25, 0.5, 0.75, 1.0)
CHOSEN_AT = 2.0
PRICES = (0.0, 1.0, CHOSEN_AT, 4.0)  # points of zero-shot accuracy or retrieval
LOW, MIDDLE, HIGH = 5e-4, 1e-3, 1.5e-3


def _setting(method: str, rate: float, **options: object) -> list[str]:
    words = ["--method", method, "--optimizer.lr", f"{rate}"]
    return words + [word for name in options for word in (f"--method.{name}", f"{options[name]}")]


# Three of each method: its published form at two rates and a variant of it, or a third rate.
SETTINGS = {
    "finetune, low rate": _setting("finetune", LOW),
    "finetune, middle rate": _setting("finetune", MIDDLE),
    "finetune, high rate": _setting("finetune", HIGH),
    "negclip, low rate": _setting("negclip", LOW, negatives="[swap]"),
    "negclip, high rate": _setting("negclip", HIGH, negatives="[swap]"),
    "negclip, high rate, shuffled, too": _setting("negclip", HIGH, negatives="[swap, shuffle]"),
    "fsc_clip, low rate": _setting("fsc_clip", LOW, global_weight=0.5, local_weight=0.2),
    "fsc_clip, high rate": _setting("fsc_clip", HIGH, global_weight=0.5, local_weight=0.2),
    "fsc_clip, high rate, 4 x weights": _setting(
        "fsc_clip", HIGH, global_weight=2.0, local_weight=0.8
    ),
}

Point = dict[str, Any]  # alpha, and the rows of the world's tests


def main() -> None:
    """Train what is missing, and print what composition each setting buys at each price."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the runs and of points.jsonl")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    record = arguments.folder / "points.jsonl"
    base = load_clip("builtin")
    start = {"alpha": 0.0, "rows": _rows(base)}
    for seed in arguments.seeds:
        for name, options in SETTINGS.items():
            if any((one["name"], one["seed"]) == (name, seed) for one in read_lines(record)):
                continue
            points = [start, *_trained(name, options, seed, arguments.folder, base)]
            with record.open("a") as file:
                file.write(json.dumps({"name": name, "seed": seed, "points": points}) + "\n")
    Console().print(_table(read_lines(record)))


def _trained(name: str, options: list[str], seed: int, folder: Path, base: Clip) -> list[Point]:
    """Train one setting; return its curve on validation scenes, without the base."""
    own = ["--seed", str(seed), "--name", f"{name.replace(',', '').replace(' ', '-')}-{seed}"]
    recipe = load_recipe(RECIPE, [*options, *own, "--output", str(folder)], METHODS)
    run(recipe)
    model = load_model(recipe.folder).eval()
    return [{"alpha": a, "rows": _rows(interpolate(base, model, a))} for a in ALPHAS]


def _rows(model: Clip) -> list[dict[str, Any]]:
    return [row.as_dict() for row in world_suite(model, split="val") if part_of(row)]


def _curve(points: list[Point]) -> list[CurvePoint]:
    return [
        CurvePoint(point["alpha"], tuple(Result(**row) for row in point["rows"]))
        for point in points
    ]


def _table(runs: list[dict]) -> Table:
    table = Table(title="composition on validation scenes, % right, by what it costs elsewhere")
    for column in ("setting", "runs", *(f"-{price:g}" for price in PRICES), "end", "cost there"):
        table.add_column(column)
    rows = []
    for name in dict.fromkeys(one["name"] for one in runs):
        curves = [_curve(one["points"]) for one in runs if one["name"] == name]
        bought = [100 * mean(at_price(c, p / 100, COST) for c in curves) for p in PRICES]
        end = 100 * mean(summarize(curve[-1].rows)[GAINED] for curve in curves)
        cost = 100 * mean(lost(curve, COST) for curve in curves)
        rows.append((bought[PRICES.index(CHOSEN_AT)], name, len(curves), bought, end, cost))
    for _, name, count, bought, end, cost in sorted(rows, reverse=True):
        table.add_row(name, str(count), *(f"{b:.1f}" for b in bought), f"{end:.1f}", f"{cost:.1f}")
    return table


if __name__ == "__main__":
    main()
