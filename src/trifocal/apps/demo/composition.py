"""The chapter on composition: the base, plain fine-tuning, NegCLIP and FSC-CLIP on the world."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from trifocal.clip import load_clip
from trifocal.evaluate.contender import SUMMARY_NAMES, Contender
from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.page import Chapter
from trifocal.evaluate.records import write_results
from trifocal.evaluate.report import composition_chapter
from trifocal.evaluate.shown import world_shown
from trifocal.evaluate.table import signed
from trifocal.evaluate.world import world_suite
from trifocal.metrics.result import Result
from trifocal.train import load_recipe
from trifocal.train.build import METHODS
from trifocal.train.build import run as run_recipe
from trifocal.tuning import interpolate, load_model

RECIPE = Path(__file__).with_name("composition.yaml")
LABELS = {"finetune": "plain fine-tuning", "negclip": "NegCLIP", "fsc_clip": "FSC-CLIP"}
_ON_THE_WAY = (0.25, 0.5, 0.75)

_LEAD = (
    "Four models look at drawn scenes: the shipped base, and the same base after a short training "
    "on new scenes and captions in three ways. Plain fine-tuning sees the captions only. NegCLIP "
    "and FSC-CLIP also see distortions of them (phrases swapped, words shuffled) and learn to tell "
    "the true caption. All train on the same batches in the same order."
)
_REMARK = (
    "A minute is short: on this base it does not teach word order, and the changes below are "
    "mostly within noise. Longer runs are a recipe away. The rule-made distortions need no download; replacing words needs WordNet, and where that is "
    "absent the other kinds go on alone."
)


def run(folder: Path, seeds: int, console: Console) -> Chapter:
    """Train the three methods, measure all four models, and return what the report says."""
    base = load_clip("builtin")
    console.print("[bold]Composition[/bold]: measuring the base")
    start = world_suite(base, name="base")
    contenders = [Contender("base", [start], base)]
    for name, label in LABELS.items():
        console.print(f"[bold]Composition[/bold]: training {label}")
        contenders.append(_contender(name, label, folder, seeds, base, start))
    rows = [row for contender in contenders for row in contender.rows]
    write_results(folder / "composition.jsonl", rows)
    console.print(_overview(contenders))
    return composition_chapter(
        contenders, lead=_LEAD, shown=world_shown(base.image_size), remark=_REMARK
    )


def _contender(name: str, label: str, folder: Path, seeds: int, base, start) -> Contender:
    runs: list[list[Result]] = []
    logs, models = [], []
    for seed in range(seeds):
        words = ["--method", name, "--name", f"{name}-{seed}", "--seed", str(seed)]
        recipe = load_recipe(RECIPE, [*words, "--output", str(folder)], METHODS)
        outcome = run_recipe(recipe)
        models.append(load_model(outcome.folder).eval())
        runs.append(world_suite(models[-1], name=label))
        logs.append(Path(outcome.folder) / "metrics.jsonl")
    curve: list[CurvePoint] = []
    if name == "fsc_clip":
        between = [
            CurvePoint(alpha, tuple(world_suite(interpolate(base, models[0], alpha))))
            for alpha in _ON_THE_WAY
        ]
        curve = [CurvePoint(0.0, tuple(start)), *between, CurvePoint(1.0, tuple(runs[0]))]
    return Contender(label, runs, models[0], logs, curve)


def _overview(contenders: list[Contender]) -> Table:
    """Return what fits into a terminal; the report has the rest."""
    table = Table(title="On the built-in drawn world, in %", title_justify="left")
    table.add_column("model")
    for label in SUMMARY_NAMES.values():
        table.add_column(label, justify="right")
    base = contenders[0].summary()
    for contender in contenders:
        summary, cells = contender.summary(), []
        for name in SUMMARY_NAMES:
            value = summary[name].value
            change = signed(value - base[name].value)
            cells.append(f"{value:.1f}" + ("" if contender is contenders[0] else f" {change}"))
        table.add_row(contender.label, *cells)
    return table
