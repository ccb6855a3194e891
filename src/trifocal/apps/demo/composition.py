"""The tour on composition: the base, plain fine-tuning, NegCLIP and FSC-CLIP on the world."""

from __future__ import annotations

from pathlib import Path

from trifocal.apps.demo.side_by_side import SideBySide
from trifocal.apps.demo.steps import Steps
from trifocal.apps.demo.swaps import Swaps, count_swaps
from trifocal.clip import Clip, load_clip
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.records import write_results
from trifocal.metrics.result import Result
from trifocal.report.composition_tour import COST, overview, tour_chapter
from trifocal.report.contender import Contender
from trifocal.report.equal_cost import EqualCost
from trifocal.report.page import Chapter
from trifocal.report.shown import world_shown
from trifocal.report.terminal import terminal_table
from trifocal.train.build import METHODS
from trifocal.train.recipe import load_recipe
from trifocal.tuning import interpolate, load_model
from trifocal.world.source import WorldData

_TITLE = "composition"
RECIPE = Path(__file__).with_name("composition.yaml")
RUNS = {
    "plain fine-tuning": ["--method", "finetune"],
    "NegCLIP": ["--method", "negclip"],
    "FSC-CLIP": ["--method", "fsc_clip"],
}
ALPHAS = (0.2, 0.4, 0.6, 0.8, 1.0)  # points of each way from the base to a model


def step_count(seeds: int) -> int:
    """Return how many steps `run` tells of."""
    return seeds + 2


def run(folder: Path, seeds: int, steps: Steps) -> Chapter:
    """Train the three methods, measure all models and the way to them, and return the chapter."""
    base = load_clip("builtin")
    start: list[Result] = []
    for seed in range(seeds):
        runs = {
            _folder(label, seed): [*options, "--seed", str(seed)] for label, options in RUNS.items()
        }
        with (
            steps.step(_TITLE, f"training {', '.join(RUNS)} side by side, seed {seed}"),
            SideBySide(RECIPE, runs, folder) as training,
        ):
            start = start or world_suite(base, name="base")  # while they warm up
            training.wait(steps.console)
    with steps.step(_TITLE, "measuring them, and models on the way from the base to them"):
        contenders = [Contender("base", [start], base)]
        contenders += [_contender(label, base, start, folder, seeds) for label in RUNS]
    rows = [row for contender in contenders for row in contender.rows]
    write_results(folder / "composition.jsonl", rows)
    with steps.step(_TITLE, "comparing them at equal cost, and asking them questions to show"):
        equal = EqualCost(contenders, COST)
        why = _swaps().told()
        chapter = tour_chapter(contenders, equal, world_shown(base.image_size), why)
    for table in overview(contenders, equal):
        steps.console.print(terminal_table(table))
        steps.console.print()
    return chapter


def _swaps() -> Swaps:
    """Return what swaps of the captions that are trained on say."""
    recipe = load_recipe(RECIPE, [], METHODS)
    assert isinstance(recipe.data, WorldData)
    return count_swaps(recipe.data.open((64, 64)), recipe.negatives.parser)


def _folder(label: str, seed: int) -> str:
    return f"{label.lower().replace(' ', '-')}-{seed}"


def _contender(label: str, base: Clip, start: list[Result], folder: Path, seeds: int) -> Contender:
    folders = [folder / _folder(label, seed) for seed in range(seeds)]
    models = [load_model(run).eval() for run in folders]
    curves = [_curve(base, start, model, label) for model in models]
    rows = [curve[-1].rows for curve in curves]
    return Contender(label, rows, models[0], [run / "metrics.jsonl" for run in folders], curves)


def _curve(base: Clip, start: list[Result], tuned: Clip, label: str) -> list[CurvePoint]:
    """Measure a model, and those between the base and it."""
    points = [
        CurvePoint(alpha, tuple(world_suite(interpolate(base, tuned, alpha), name=label)))
        for alpha in ALPHAS
    ]
    return [CurvePoint(0.0, tuple(start)), *points]
