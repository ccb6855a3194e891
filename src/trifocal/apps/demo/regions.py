"""The tour on regions: the frozen base, full fine-tuning and RCA on the world's abduction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trifocal.apps.demo.side_by_side import SideBySide
from trifocal.apps.demo.steps import Steps
from trifocal.clip import load_clip
from trifocal.clip.encoder import Encoder
from trifocal.data.regions import Region
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.evaluate.benchmarks.world_regions import PICTURE, world_regions
from trifocal.evaluate.records import write_results
from trifocal.metrics.result import Result
from trifocal.regions.encoder import ZERO_SHOT, region_encoder
from trifocal.regions.prompts import PromptConfig
from trifocal.report.contender import Contender
from trifocal.report.page import Chapter
from trifocal.report.regions import ShownRegion, overview, tour_chapter
from trifocal.report.terminal import terminal_table
from trifocal.train.logs import read_lines
from trifocal.tuning import load_model
from trifocal.world import MEANINGS, abduction_items, draw, inference_wordings

_TITLE = "regions"
RECIPE = Path(__file__).with_name("regions.yaml")
# The rates were chosen on validation scenes. Adapters start at nothing, so theirs is larger.
_ADAPTERS = ["--method", "rca", "--method.adapters.drop_path", "0", "--optimizer.lr", "1.5e-2"]
RUNS = {
    "fine-tuning": ["--method", "region_finetune"],
    "RCA, strict": [*_ADAPTERS, "--method.trains", "strict_frozen"],
    "RCA": [*_ADAPTERS, "--method.edge_lr", "2e-3"],
}
FROZEN = {
    "base, slots apart": ZERO_SHOT,
    "base, highlighted": PromptConfig("cpt", layout="separate", prefix=False, period=False),
}
_SCENES = 100  # five folds of 48 regions
_WHOLE: dict[str, Any] = {"classification": 256, "retrieval": 250, "composition": 1}
_SHOWN = 4


def step_count(seeds: int) -> int:
    """Return how many steps `run` tells of."""
    return seeds + 2


def run(folder: Path, seeds: int, steps: Steps) -> Chapter:
    """Train, measure all models, and return what the report says."""
    base = load_clip("builtin")
    frozen: dict[str, list[Result]] = {}
    for seed in range(seeds):
        runs = {
            _folder(label, seed): [*options, "--seed", str(seed)] for label, options in RUNS.items()
        }
        with (
            steps.step(_TITLE, f"training {', '.join(RUNS)} side by side, seed {seed}"),
            SideBySide(RECIPE, runs, folder) as training,
        ):
            if not frozen:  # while they warm up
                frozen = _measure_frozen(base)
            training.wait(steps.console)
    with steps.step(_TITLE, "measuring them on regions and on whole pictures"):
        best = max(FROZEN, key=lambda label: _value(frozen[label], "P@1"))
        contenders = [Contender(best, [frozen[best]], region_encoder(base, FROZEN[best]))]
        contenders += [Contender(name, [rows]) for name, rows in frozen.items() if name != best]
        contenders += [_contender(label, folder, seeds) for label in RUNS]
    write_results(folder / "regions.jsonl", [row for one in contenders for row in one.rows])
    trained = {label: _trained(folder / _folder(label, 0)) for label in RUNS}
    steps.console.print(terminal_table(overview(contenders, trained)))
    with steps.step(_TITLE, "asking them about some regions to show"):
        return tour_chapter(contenders, trained, *_shown())


def _folder(label: str, seed: int) -> str:
    return f"{label.lower().replace(',', '').replace(' ', '-')}-{seed}"


def _measure_frozen(base: Encoder) -> dict[str, list[Result]]:
    """Return what the base does, shown regions in each way."""
    whole = world_suite(base, **_WHOLE)
    return {
        label: [
            *world_regions(region_encoder(base, prompt), name=label, scenes=_SCENES),
            *(row.of(label) for row in whole),
        ]
        for label, prompt in FROZEN.items()
    }


def _measure(model: Encoder, label: str) -> list[Result]:
    """Return what a model does on regions, and what it still does on whole pictures."""
    whole = world_suite(model, name=label, **_WHOLE)
    return [*world_regions(model, name=label, scenes=_SCENES), *whole]


def _value(rows: list[Result], metric: str) -> float:
    return next(row.value for row in rows if row.metric == metric)


def _contender(label: str, folder: Path, seeds: int) -> Contender:
    folders = [folder / _folder(label, seed) for seed in range(seeds)]
    models = [load_model(run).eval() for run in folders]
    rows = [_measure(model, label) for model in models]
    return Contender(label, rows, models[0], [run / "metrics.jsonl" for run in folders])


def _trained(run: Path) -> int:
    """Return how many parameters a run trained."""
    return next((r["trained"] for r in read_lines(run / "metrics.jsonl") if "trained" in r), 0)


def _shown() -> tuple[list[ShownRegion], list[str]]:
    """Return the first regions of the test scenes, and one wording of every explanation."""
    bank = {meaning: inference_wordings(*meaning)[0] for meaning in MEANINGS}
    shown = []
    for item in abduction_items(20)[: 3 * _SHOWN : 3]:
        picture = draw(item.scene.scene, PICTURE)
        region = item.region_item(picture).region
        right = bank[item.instance.meaning]
        shown.append(ShownRegion(Region(picture, region.boxes), right, frozenset({right})))
    return shown, list(bank.values())
