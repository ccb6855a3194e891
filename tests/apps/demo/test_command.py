"""The tour, shortened, and what it does when a run fails or is to stop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from tests.forked import Forked
from trifocal.apps.classify.classifier import load_classifier
from trifocal.apps.demo import composition, concepts, concepts_reasons, regions, side_by_side
from trifocal.apps.demo.command import run_demo
from trifocal.apps.demo.side_by_side import SideBySide
from trifocal.apps.few_shot import sources as few_shot_sources
from trifocal.apps.region_lists import GivenRegion
from trifocal.errors import Stopped, UserError
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.report.concepts import NAMELESS, TITLES


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs need not import what this process has; a test below starts true ones."""
    popen = SimpleNamespace(Popen=Forked, DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr(side_by_side, "subprocess", popen)


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tour's recipe with three small steps, and few questions."""
    recipe = yaml.safe_load(composition.RECIPE.read_text())
    recipe["schedule"] = {"warmup_steps": 1, "steps": 3}
    recipe.update(batch_size=8, log_every=1)
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr(composition, "RECIPE", path)
    monkeypatch.setattr(composition, "ALPHAS", (0.5, 1.0))
    few = partial(world_suite, classification=32, retrieval=32, composition=10)
    monkeypatch.setattr(composition, "world_suite", few)
    return path


def test_an_unknown_chapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no chapter 'compositon'\. Did you mean 'composition'"):
        run_demo(["compositon"], str(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_the_tour_ends_in_a_report(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run_demo(["composition"], str(tmp_path / "tour"))
    page = report.read_text(encoding="utf-8")
    for said in (*composition.RUNS, "trifocal demo composition", "At equal cost", "<svg"):
        assert said in page
    printed = capsys.readouterr().out
    assert [f"Step {n} of 3, composition" in printed for n in (1, 2, 3)] == [True] * 3
    assert len(re.findall(r"done in \d+ s", printed)) == 3
    rows = [json.loads(line) for line in (tmp_path / "tour/composition.jsonl").open()]
    assert {row["model"] for row in rows} == {"base", *composition.RUNS}
    changed = (tmp_path / "tour/composition.jsonl").stat().st_mtime_ns
    trained = (tmp_path / "tour/fsc-clip-0/checkpoints").stat().st_mtime_ns
    run_demo(["composition"], str(tmp_path / "tour"))  # what is there is taken up, not made again
    assert (tmp_path / "tour/fsc-clip-0/checkpoints").stat().st_mtime_ns == trained
    assert (tmp_path / "tour/composition.jsonl").stat().st_mtime_ns > changed


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_the_chapter_on_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = yaml.safe_load(regions.RECIPE.read_text())
    recipe["schedule"] = {"warmup_steps": 1, "steps": 3}
    recipe.update(batch_size=8, log_every=1)
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr(regions, "RECIPE", path)
    monkeypatch.setattr(regions, "_SCENES", 20)
    few = {"classification": 32, "retrieval": 32, "composition": 1}
    monkeypatch.setattr(regions, "_WHOLE", few)
    page = run_demo(["regions"], str(tmp_path / "tour")).read_text(encoding="utf-8")
    for said in (
        *regions.RUNS,
        *regions.FROZEN,
        "GT-Box",
        "175 K",
        "<svg",
        "trifocal demo regions",
    ):
        assert said in page
    assert "Step 3 of 3, regions" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "tour/regions.jsonl").open()]
    assert {row["model"] for row in rows} == {*regions.RUNS, *regions.FROZEN}
    assert {row["benchmark"] for row in rows} >= {"world/regions", "world/kinds", "world/retrieval"}


@pytest.mark.slow
def test_the_chapter_on_concepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(few_shot_sources, "_PER_CLASS", 4)
    monkeypatch.setattr(concepts, "_DRAWS", 2)
    for module in (concepts, concepts_reasons):
        monkeypatch.setattr(module, "SHOTS", (1, 2))
    tour = tmp_path / "tour"
    page = run_demo(["concepts"], str(tour)).read_text(encoding="utf-8")
    for said in (*concepts.METHODS, *TITLES.values(), "sketch", "48 test pictures", "logit of"):
        assert said in page
    assert "Step 3 of 3, concepts" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tour / "concepts.jsonl").open()]
    assert {row["model"] for row in rows} == set(concepts.METHODS)
    assert {row["benchmark"] for row in rows} == {f"few_shot/{name}" for name in TITLES}
    assert {row["seed"] for row in rows} == {1, 2}
    scores = {
        (row["benchmark"], row["task"], row["seed"]): row["value"]
        for row in rows
        if row["model"] == NAMELESS and row["metric"] == "acc1"
    }
    for (benchmark, task, seed), value in scores.items():
        if benchmark.endswith("names"):  # one that reads no class texts does not care which
            assert scores["few_shot/world/told", task, seed] == value

    picture = next((tour / "concepts/world").rglob("*-test-*.png"))
    classifier = load_classifier(tour / "concepts/classifier")  # it can be asked for more
    because = classifier.explain(GivenRegion(picture, ()))
    total = sum(reason.term.value for reason in because.reasons)
    assert total == pytest.approx(because.logit, abs=1e-3)
    drawn = picture.stat().st_mtime_ns
    monkeypatch.setattr(concepts, "_DRAWS", 1)
    run_demo(["concepts"], str(tour))  # what was drawn is not drawn again
    assert picture.stat().st_mtime_ns == drawn


@pytest.mark.slow
def test_a_run_that_fails_says_why(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def popen(words: list[str], **given: Any) -> Any:  # the one that fails is a true process
        return (subprocess.Popen if "bad" in words else Forked)(words, **given)

    only = SimpleNamespace(Popen=popen, DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr(side_by_side, "subprocess", only)
    runs = {"good": ["--method", "finetune"], "bad": ["--method", "fsc_clop"]}
    with (
        pytest.raises(UserError, match=r"the run bad failed: .*fsc_clop.*bad\.log"),
        SideBySide(short, runs, tmp_path) as training,
    ):
        training.wait(Console(quiet=True))


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_it_stops_its_runs_when_it_is_stopped(short: Path, tmp_path: Path) -> None:
    long = ["--method", "finetune", "--schedule.steps", "1000000"]
    log = tmp_path / "long" / "metrics.jsonl"

    def stop() -> None:
        while not log.is_file() or '"train"' not in log.read_text():
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    with (
        pytest.raises(Stopped) as stopped,
        SideBySide(short, {"long": long}, tmp_path) as training,
    ):
        training.wait(Console(quiet=True))
    assert stopped.value.status == 143
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "checkpoint"
