"""The chapter on concepts: few-shot heads on the world's invented classes, and their reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch

from trifocal.apps.demo.concepts_reasons import reasons
from trifocal.apps.demo.steps import Steps
from trifocal.apps.demo.worded import Worded, mean_text
from trifocal.apps.few_shot.sources import world_source
from trifocal.bars import ProgressBars
from trifocal.clip import Clip, load_clip
from trifocal.concepts.concept_map import ConceptMap
from trifocal.concepts.head import Head
from trifocal.concepts.registry import HEADS
from trifocal.concepts.support import Support
from trifocal.concepts.tasks.picture_source import PictureSource
from trifocal.concepts.tasks.task import ValMode
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import told_apart
from trifocal.evaluate.few_shot.run import SHOTS, run_few_shot
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.report.concept_trust import trust_tables
from trifocal.report.concepts import (
    CONTROLS,
    MAP,
    NAMED,
    NAMELESS,
    TITLES,
    TOLD,
    overview,
    tour_chapter,
)
from trifocal.report.page import Chapter
from trifocal.report.table import Table
from trifocal.report.terminal import terminal_table
from trifocal.world import DOMAINS, FEW_SHOT_CLASSES, FEW_SHOT_TEMPLATES, WORLD_CONCEPTS


@dataclass(eq=False)
class Nameless(ConceptMap):
    """The concept map that is not told the texts of the classes."""

    def _fit(self, data: Support) -> None:
        super()._fit(replace(data, text=None))


METHODS: dict[str, Callable[..., Head]] = {
    **{name: HEADS[name] for name in ("zero-shot", "tip-adapter", "tip-adapter-f", "gda", MAP)},
    NAMELESS: Nameless,
    **{name: HEADS[name] for name in CONTROLS},
}
_TITLE = "concepts"
_DRAWS = 3  # of the support, at least: heads cost little
_VAL: ValMode = "few"


def step_count(seeds: int) -> int:
    """Return how many steps `run` tells of."""
    return 3


def run(folder: Path, seeds: int, steps: Steps) -> Chapter:
    """Fit heads at all numbers of shots, test them, and explain two answers of concept-map."""
    base, own = load_clip("builtin").eval(), folder / "concepts"
    cache, draws = own / "features", range(1, max(seeds, _DRAWS) + 1)
    with steps.step(_TITLE, "drawing classes that nobody has named before, and embedding them"):
        drawn = world_source(base, cache, SHOTS[-1], list(DOMAINS), {"cache": cache})
        for shots, draw in product(SHOTS, draws):
            drawn.task(shots, draw, _VAL)  # embeds what the tasks will ask for
        sources = worded(drawn, base)
    results = folder / "concepts.jsonl"
    results.unlink(missing_ok=True)  # fitting anew is quick, and true to the code as it is
    with (
        steps.step(_TITLE, "fitting heads to 1 to 16 pictures of each, and testing"),
        ProgressBars(steps.console) as bars,
        one_thread(),
    ):
        rows = run_few_shot(
            sources,
            few_shot_methods(METHODS, METHODS),
            SHOTS,
            draws,
            _VAL,
            results=results,
            progress=bars,
        )
    measured = told_apart(rows)
    summaries = {
        name: Summary(one for one in measured if one.place.dataset == name) for name in TITLES
    }
    _print(steps, overview(summaries))
    with steps.step(_TITLE, "asking for reasons, and whether they are true"):
        found = reasons(sources[0], drawn, base, own / "classifier")
        answers = Answers(measured, [results])
        chapter = tour_chapter(summaries, answers, found.pictures, found.commands, found.trust)
    _print(steps, trust_tables(found.trust))
    return chapter


def _print(steps: Steps, tables: Iterable[Table]) -> None:
    for table in tables:
        steps.console.print(terminal_table(table))
        steps.console.print()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: threads that share small matrices wait more than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def worded(drawn: PictureSource, base: Clip) -> list[Worded]:
    """Return the tasks twice: with the invented names of the classes, and with descriptions."""
    concept_text = mean_text(base, [[concept] for concept in WORLD_CONCEPTS])
    names = [[each.format(one.name) for each in FEW_SHOT_TEMPLATES] for one in FEW_SHOT_CLASSES]
    descriptions = [one.descriptions for one in FEW_SHOT_CLASSES]
    return [
        Worded(drawn, name, mean_text(base, texts), WORLD_CONCEPTS, concept_text, prompts)
        for name, texts, prompts in (
            (NAMED, names, FEW_SHOT_TEMPLATES),
            (TOLD, descriptions, ("two descriptions of a class",)),
        )
    ]
