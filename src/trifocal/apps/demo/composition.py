"""The tour on composition: the base, plain fine-tuning, NegCLIP and FSC-CLIP on the world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from trifocal.apps.demo.side_by_side import SideBySide
from trifocal.clip import load_clip
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.records import write_results
from trifocal.metrics.result import Result
from trifocal.report.composition import overview, tour_chapter
from trifocal.report.contender import Contender
from trifocal.report.page import Chapter
from trifocal.report.shown import world_shown
from trifocal.report.terminal import terminal_table
from trifocal.tuning import interpolate, load_model

RECIPE = Path(__file__).with_name("composition.yaml")
LABELS = {"finetune": "plain fine-tuning", "negclip": "NegCLIP", "fsc_clip": "FSC-CLIP"}
_ON_THE_WAY = (0.25, 0.5, 0.75)


def run(folder: Path, seeds: int, console: Console) -> Chapter:
    """Train the three methods, measure all four models, and return what the report says."""
    base = load_clip("builtin")
    start: list[Result] = []
    for seed in range(seeds):
        runs = {_run_name(name, seed): ["--method", name, "--seed", str(seed)] for name in LABELS}
        console.print(f"[bold]Composition[/bold]: training {', '.join(runs)} side by side")
        with SideBySide(RECIPE, runs, folder) as training:
            start = start or world_suite(base, name="base")  # while they warm up
            training.wait(console)
    console.print("[bold]Composition[/bold]: measuring")
    contenders = [Contender("base", [start], base)]
    contenders += [_contender(name, label, folder, seeds) for name, label in LABELS.items()]
    contenders[-1] = replace(contenders[-1], curve=_curve(contenders[0], contenders[-1]))
    rows = [row for contender in contenders for row in contender.rows]
    write_results(folder / "composition.jsonl", rows)
    console.print(terminal_table(overview(contenders)))
    return tour_chapter(contenders, world_shown(base.image_size))


def _run_name(name: str, seed: int) -> str:
    return f"{name}-{seed}"


def _contender(name: str, label: str, folder: Path, seeds: int) -> Contender:
    folders = [folder / _run_name(name, seed) for seed in range(seeds)]
    models = [load_model(run).eval() for run in folders]
    rows = [world_suite(model, name=label) for model in models]
    return Contender(label, rows, models[0], [run / "metrics.jsonl" for run in folders])


def _curve(base: Contender, tuned: Contender) -> list[CurvePoint]:
    """Measure models between the base and a contender's first run."""
    between = [
        CurvePoint(alpha, tuple(world_suite(interpolate(base.model, tuned.model, alpha))))
        for alpha in _ON_THE_WAY
    ]
    return [CurvePoint(0.0, tuple(base.runs[0])), *between, CurvePoint(1.0, tuple(tuned.runs[0]))]
