"""The few-shot protocol: every fit once, in the file at once, and never by the test."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from tests.evaluate.few_shot.fakes import CLASSES, HEADS, ROWS, WIDTH, Mean, Source, Text
from trifocal.concepts.head import Head
from trifocal.concepts.support import Support
from trifocal.concepts.tasks.task import FewShotTask, TestSet
from trifocal.errors import UserError
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.rows import told_apart
from trifocal.evaluate.few_shot.run import run_few_shot
from trifocal.evaluate.records import append_results, read_results
from trifocal.features.in_training import InTraining
from trifocal.metrics.accuracy import accuracy, mean_per_class_recall
from trifocal.metrics.calibration import calibration_error
from trifocal.metrics.result import Result

METRICS = [
    "acc1",
    "mean_per_class_recall",
    "ece_uncalibrated",
    "ece",
    "trainable_parameters",
    "fit_seconds",
    "predict_seconds",
]


def methods(*names: str, **options: dict[str, Any]):
    return few_shot_methods(names or HEADS, HEADS, options)


def values(rows: list[Result], metric: str = "acc1") -> dict[tuple, float]:
    return {(r.benchmark, r.task, r.model, r.seed): r.value for r in rows if r.metric == metric}


def test_every_method_task_and_measure_has_a_row(tmp_path):
    file = tmp_path / "r.jsonl"
    sources = [Source("a"), Source("b", 0.5)]
    rows = run_few_shot(sources, methods(), (1, 4), (1, 2, 3), "few", results=file)
    assert len(rows) == 2 * 2 * 2 * 3 * len(METRICS)
    assert read_results(file) == rows
    first = rows[: len(METRICS)]
    assert [row.metric for row in first] == METRICS
    assert {row.key[:2] for row in first} == {("few_shot/a", "1-shot")}
    assert first[0].chance == 1 / CLASSES
    assert first[0].n == CLASSES * ROWS
    assert first[0].protocol == (
        "val: few (min(shots, 4) a class); views: as tested; backbone: fake; prompts: a photo of a {}.; "
        "selection: on support alone"
    )
    mean = next(row for row in rows if row.model == "mean")
    assert mean.protocol.endswith("selection: on validation")
    trained = values(rows, "trainable_parameters")
    assert trained["few_shot/a", "1-shot", "zero-shot", 1] == 0
    assert trained["few_shot/a", "1-shot", "mean", 1] == CLASSES * WIDTH


def test_values_are_those_of_the_head():
    source = Source()
    rows = run_few_shot([source], methods("mean"), (2,), (3,), "none")
    task = source.task(2, 3, "none")
    head = Mean(seed=3).fit(task.support, task.labels, task.class_text)
    test = task.tests["test"]
    logits = head.logits(test.features)
    assert rows[0].value == accuracy(logits, test.labels)
    assert rows[1].value == mean_per_class_recall(logits, test.labels)


def test_only_candidates_compete():
    source = Source(domains=("sketch",))
    rows = run_few_shot([source], methods("zero-shot"), (1,), (1,), "none")
    shifted = next(row for row in rows if row.task == "1-shot sketch")
    test = source.tests()["sketch"]
    task = source.task(1, 1, "none")
    logits = Text().fit(task.support, task.labels, task.class_text).logits(test.features)
    right = (logits[:, 3] > logits[:, 1]).long() * 2 + 1 == test.labels
    assert shifted.value == pytest.approx(float(right.double().mean()))
    assert shifted.chance == 0.5
    assert shifted.n == 2 * ROWS


def test_a_label_outside_the_candidates_is_refused():
    @dataclass
    class Wrong(Source):
        def tests(self) -> Mapping[str, TestSet]:
            own = TestSet(*self.cloud(2, 1), candidates=torch.tensor([0, 1]))
            return {"test": own}

    with pytest.raises(UserError, match=r"zero-shot on clouds, 1 shots: .* not among"):
        run_few_shot([Wrong()], methods("zero-shot"), (1,), (1,))


def test_new_classes_are_scored_by_their_own_texts():
    rows = run_few_shot([Source(base_to_new=True)], methods("mean"), (2,), (1,), "none")
    by_task = {row.task: row for row in rows if row.metric == "acc1"}
    assert by_task.keys() == {"2-shot base", "2-shot new"}
    assert by_task["2-shot new"].chance == 0.5
    assert by_task["2-shot new"].value > 0.6
    assert {r.task for r in rows if r.metric == "trainable_parameters"} == {"2-shot base"}


def test_calibration_is_of_the_heads_own_probabilities_and_no_reason_to_fit_again(tmp_path):
    file = tmp_path / "r.jsonl"
    rows = run_few_shot([Source()], methods("mean"), (2,), (3,), "none", results=file)
    by_metric = {row.metric: row.value for row in rows}
    task = Source().task(2, 3, "none")
    head = Mean(seed=3).fit(task.support, task.labels, task.class_text)
    test = task.tests["test"]
    expected = calibration_error(head.predict_proba(test.features), test.labels)
    assert by_metric["ece"] == by_metric["ece_uncalibrated"] == pytest.approx(expected)
    older = [row for row in rows if not row.metric.startswith("ece")]
    file.unlink()
    append_results(file, older)
    again = run_few_shot([Source()], methods("mean"), (2,), (3,), "none", results=file)
    assert again == read_results(file) == older


def test_a_draw_that_came_with_the_features_is_run_once():
    steps = []

    class Counting:
        def start(self, what: str, total: int) -> None:
            self.total = total

        def advance(self, count: int) -> None:
            steps.append(count)

    progress = Counting()
    sources = [Source(given=True), Source("drawn")]
    rows = run_few_shot(sources, methods(), (1,), (1, 2, 3), progress=progress)
    assert {row.seed for row in rows if row.benchmark == "few_shot/clouds"} == {None}
    assert len(values(rows)) == 2 + 2 * 3
    assert sum(steps) == progress.total == 2 * 3 * 2


def test_parameters_are_part_of_the_name():
    rows = run_few_shot([Source()], methods("mean", mean={"weight": 0.0}), (1,), (1,), "none")
    assert rows[0].model == "mean(weight=0.0)"
    with pytest.raises(UserError, match=r"no parameter 'wight'.*'weight'"):
        methods("mean", mean={"wight": 1})
    with pytest.raises(UserError, match=r"no few-shot method 'maen'.*'mean'"):
        methods("maen")
    with pytest.raises(UserError, match="not among"):
        methods("zero-shot", mean={"weight": 1})


# --- going on ------------------------------------------------------------------------------


@dataclass(eq=False)
class Counted(Mean):
    """Counts its fits."""

    def _fit(self, data: Support) -> None:
        FITS.append((data.shots, self.seed))
        if len(FITS) == STOP_AT:
            raise KeyboardInterrupt
        super()._fit(data)


FITS: list[tuple[int, int]] = []
STOP_AT = 0


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    global STOP_AT
    FITS.clear()
    STOP_AT = 0
    yield
    STOP_AT = 0


def test_a_stopped_run_goes_on(tmp_path: Path):
    global STOP_AT
    counted = few_shot_methods(["counted"], {"counted": Counted})
    whole = run_few_shot([Source()], counted, (1, 2), (1, 2))
    FITS.clear()
    file, STOP_AT = tmp_path / "r.jsonl", 3
    with pytest.raises(KeyboardInterrupt):
        run_few_shot([Source()], counted, (1, 2), (1, 2), results=file)
    assert len(read_results(file)) == 2 * len(METRICS)
    with file.open("a") as broken:
        broken.write('{"benchmark": "few_sh')  # as a kill leaves it
    STOP_AT = 0
    rows = run_few_shot([Source()], counted, (1, 2), (1, 2), results=file)
    assert FITS == [(1, 1), (1, 2), (2, 1), (2, 1), (2, 2)]  # none done is done again
    assert values(rows) == values(whole)
    assert read_results(file) == rows
    assert run_few_shot([Source()], counted, (1, 2), (1, 2), results=file) == rows
    assert len(FITS) == 5


@pytest.mark.parametrize(
    "other",
    [
        {"val_mode": "none"},
        {"source": Source(backbone="larger")},
        {"source": Source(templates=("itap of a {}.",))},
        {"source": Source(views=10)},
        {"source": Source(val_from="train")},
        {"options": {"counted": {"weight": 2.0}}},
    ],
)
def test_another_protocol_is_another_measurement(tmp_path: Path, other: dict[str, Any]):
    file, heads = tmp_path / "r.jsonl", {"counted": Counted}
    first = run_few_shot([Source()], few_shot_methods(heads, heads), (1,), (1,), results=file)
    again = run_few_shot(
        [other.get("source", Source())],
        few_shot_methods(heads, heads, other.get("options")),
        (1,),
        (1,),
        other.get("val_mode", "few"),
        results=file,
    )
    assert len(FITS) == 2
    assert read_results(file) == [*first, *again]


def test_a_domain_added_later_repeats_no_row(tmp_path: Path):
    file = tmp_path / "r.jsonl"
    first = run_few_shot([Source()], methods("mean"), (1,), (1,), results=file)
    both = run_few_shot([Source(domains=("x",))], methods("mean"), (1,), (1,), results=file)
    kept = read_results(file)
    assert kept[: len(first)] == first
    assert [row.task for row in kept[len(first) :]] == ["1-shot x"] * 4
    assert sorted(map(repr, both)) == sorted(map(repr, kept))


# --- nothing is chosen by the test ------------------------------------------------------------


class Closed(Mapping[str, TestSet]):
    """Tests that may not be opened while a head is being fitted."""

    fitting = False

    def __init__(self, tests: Mapping[str, TestSet]) -> None:
        self._tests = tests

    def __getitem__(self, name: str) -> TestSet:
        assert not Closed.fitting
        return self._tests[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tests)

    def __len__(self) -> int:
        return len(self._tests)


def reachable(*roots: Any) -> Iterator[Tensor]:
    """Yield every tensor that can be got to from objects, modules and types left out."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type) or type(one).__name__ in ("module", "function"):
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            yield one
        else:
            waiting += gc.get_referents(one)


@dataclass(eq=False)
class Spy(Mean):
    """Notes the state it learned, and looks for more rows than it was given."""

    def fit(self, *given: Any, **named: Any):
        Closed.fitting = True
        sizes = {len(tensor) for tensor in reachable(given, named, vars(self)) if tensor.ndim}
        assert CLASSES * ROWS not in sizes
        try:
            return super().fit(*given, **named)
        finally:
            Closed.fitting = False

    def _fit(self, data: Support) -> None:
        super()._fit(data)
        STATES.append({**self.state()[0], "weight": torch.tensor(self.weight_)})


STATES: list[dict[str, Tensor]] = []


@dataclass
class Shuffled(Source):
    """The same data with other test labels."""

    shift: int = 0

    def task(self, *asked: Any, **named: Any) -> FewShotTask:
        task = super().task(*asked, **named)
        tests = {
            name: replace(test, labels=(test.labels + self.shift) % CLASSES)
            for name, test in task.tests.items()
        }
        return replace(task, tests=Closed(tests))


@pytest.mark.parametrize("val_mode", ["none", "few", "full"])
def test_test_labels_change_no_fitted_state(val_mode):
    STATES.clear()
    spies = few_shot_methods(["spy"], {"spy": Spy})
    scores = []
    for shift in (0, 1):
        rows = run_few_shot([Shuffled(shift=shift)], spies, (1, 4), (1, 2), val_mode)
        scores.append(list(values(rows).values()))
    assert scores[0] != scores[1]
    half = len(STATES) // 2
    assert half == 4
    for before, after in zip(STATES[:half], STATES[half:], strict=True):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_spy_sees_a_test_within_reach():
    task = Source().task(1, 1, "few")
    with pytest.raises(AssertionError):
        Spy().fit(task.support, task.labels, val=(task.tests["test"].features, task.labels))


def test_a_head_is_fitted_once_and_never_asked_before():
    """Nothing is fitted after a test was opened: no second choice can follow the first score."""
    order: list[str] = []

    @dataclass(eq=False)
    class Logged(Mean):
        def _fit(self, data: Support) -> None:
            order.append("fit")
            super()._fit(data)

        def logits(self, features: Tensor) -> Tensor:
            order.append("logits")
            return super().logits(features)

    logged = few_shot_methods(["x"], {"x": Logged})
    run_few_shot([Source(domains=("sketch",))], logged, (1,), (1, 2))
    assert order == ["fit", "logits", "logits"] * 2


def test_heads_get_scale_and_seed():
    seen = []

    @dataclass(eq=False)
    class Told(Text):
        def _fit(self, data: Support) -> None:
            seen.append((self.scale, self.seed))
            super()._fit(data)

    run_few_shot([Source()], few_shot_methods(["x"], {"x": Told}), (1,), (1, 5))
    assert seen == [(100.0, 1), (100.0, 5)]


def test_a_head_before_the_projection_gets_such_features_and_the_projection():
    asked = []

    @dataclass
    class Two(Source):
        def task(self, *given: Any, before_projection: bool = False) -> FewShotTask:
            asked.append(before_projection)
            task = super().task(*given)
            return replace(task, projection=torch.eye(WIDTH)) if before_projection else task

    @dataclass(eq=False)
    class Before(Text):
        wants_projection: ClassVar[bool] = True

        def fit(self, *given: Any, projection: Tensor, **named: Any):
            assert torch.equal(projection, torch.eye(WIDTH))
            return super().fit(*given, **named)

    heads = {"before": Before, "text": Text, "mean": Mean}
    rows = run_few_shot([Two()], few_shot_methods(heads, heads), (1,), (1, 2))
    assert asked == [True, False] * 2  # each is made once a task
    assert len(values(rows)) == 6


def test_what_a_head_lacks_is_said_with_its_place():
    @dataclass
    class Wordless(Source):
        def task(self, *asked: Any, **named: Any) -> FewShotTask:
            return replace(super().task(*asked, **named), class_text=None)

    with pytest.raises(UserError, match=r"zero-shot on clouds, 1 shots: Text needs class_text"):
        run_few_shot([Wordless()], methods("zero-shot"), (1,), (1,))


def test_a_head_may_be_any_callable_that_makes_one():
    def make() -> Head:
        return Mean(weight=3.0)

    rows = run_few_shot([Source()], few_shot_methods(["m"], {"m": make}), (1,), (1,))
    assert rows[0].model == "m"


def test_rows_say_which_test_pictures_were_in_training():
    @dataclass
    class Trained(Source):
        def tests(self) -> Mapping[str, TestSet]:
            tests = super().tests()
            return {"test": replace(tests["test"], training=InTraining(3, 20))}

    rows = run_few_shot([Trained()], methods("mean"), (1,), (1,), "none")
    about = [row for row in rows if row.metric in ("acc1", "mean_per_class_recall")]
    assert {row.protocol.rpartition("; ")[2] for row in about} == {
        "3 of the 20 pictures were in training"
    }
    assert all(row.account == {"seen_in_training": 3} for row in about)
    assert all(row.account is None for row in rows if row not in about)
    assert [one.method for one in told_apart(rows)] == ["mean"] * len(rows)
