"""The runner: checks first, keeps every result at once."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from trifocal.bars import ProgressBars
from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, SugarCrepe
from trifocal.composition.benchmarks.sugarcrepe_pp import PARTS
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.retrieval import Retrieval
from trifocal.evaluate.benchmarks.zero_shot import ZeroShot
from trifocal.evaluate.records import read_results
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.evaluate.runner import Job, check_effect, evaluate, make_job, make_plan, members
from trifocal.metrics.benchmark import Benchmark, Missing, require
from trifocal.metrics.result import Result


@dataclass
class Toy:
    name: str = "toy"
    source: str = "here"
    lacks: str = ""
    fails: bool = False
    calls: int = 0

    def check(self, root):
        return [Missing(self.lacks, "put it there")] if self.lacks else []

    def items(self, root):
        require(self.check(root), self.name)
        return [1, 2, 3]

    def score(self, model, items, *, progress=None):
        self.calls += 1
        if self.fails:
            raise RuntimeError("no more memory")
        return [Result(self.name, "t", "acc", 0.5, len(items), model=model)]


def test_every_benchmark_keeps_the_contract():
    for name, factory in BENCHMARKS.items():
        benchmark = factory()
        assert isinstance(benchmark, Benchmark)
        assert benchmark.name == name
        assert benchmark.source


def test_results_are_kept_as_each_benchmark_ends(tmp_path):
    out = tmp_path / "results.jsonl"
    jobs = [Job(Toy("first"), tmp_path), Job(Toy("second", fails=True), tmp_path)]
    with pytest.raises(RuntimeError):
        evaluate("m", jobs, results=out)
    assert [row.benchmark for row in read_results(out)] == ["first"]


def test_nothing_is_scored_before_all_data_are_there(tmp_path):
    first, second = Toy("first"), Toy("second", lacks="photos")
    with pytest.raises(UserError, match="second cannot run; photos is missing"):
        evaluate("m", [Job(first, tmp_path), Job(second, tmp_path)])
    assert first.calls == 0


def test_the_name_can_be_given(tmp_path):
    assert evaluate("m", [Job(Toy(), tmp_path)])[0].model == "m"
    assert evaluate("m", [Job(Toy(), tmp_path)], name="mine")[0].model == "mine"


def test_jobs_from_the_command_line(tmp_path):
    (tmp_path / "eurosat").mkdir()
    (tmp_path / "sugarcrepe").mkdir()
    job = make_job("zero_shot:eurosat", tmp_path, images=None, available_only=True)
    assert isinstance(job.benchmark, ZeroShot)
    assert (job.benchmark.dataset, job.root) == ("eurosat", tmp_path / "eurosat")
    job = make_job("sugarcrepe", tmp_path, images="photos", available_only=True)
    assert isinstance(job.benchmark, SugarCrepe)
    assert (job.benchmark.images, job.benchmark.available_only) == ("photos", True)
    assert job.root == tmp_path / "sugarcrepe"
    job = make_job("retrieval", tmp_path)
    assert isinstance(job.benchmark, Retrieval)
    assert job.root == tmp_path
    assert make_job("world").benchmark.items(Path("nowhere"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sugarcrep", {}, "no benchmark 'sugarcrep'. Did you mean 'sugarcrepe'"),
        ("sugarcrepe", {"image": "x"}, "no benchmark has a setting 'image'. Did you mean 'images'"),
        ("world:eurosat", {}, "world has no data sets to choose from"),
    ],
)
def test_wrong_names_are_answered_with_the_right_ones(name, options, message):
    with pytest.raises(UserError) as caught:
        make_job(name, **options)
    assert message in str(caught.value)


def test_progress_bars_show_on_a_terminal_and_are_silent_elsewhere(monkeypatch):
    for terminal, rank, shown in ((True, "0", True), (False, "0", False), (True, "1", False)):
        monkeypatch.setenv("RANK", rank)
        stream = io.StringIO()
        with ProgressBars(Console(file=stream, force_terminal=terminal, width=80)) as bars:
            bars.start("pictures", 4)
            bars.advance(2)
            bars.start("texts", 2)
        assert ("texts" in stream.getvalue()) is shown


def test_a_part_of_a_job_has_bars_of_its_own():
    stream = io.StringIO()
    with ProgressBars(Console(file=stream, force_terminal=True, width=80)) as bars:
        bars.start("whole", 2)
        inner = ProgressBars(within=bars)
        inner.start("part", 3)
        inner.start("next part", 3)
        bars.advance(1)
    last = stream.getvalue().rpartition("whole")
    assert "1/2" in last[2]
    assert "next part" in last[2]


def test_real_sugarcrepe_rows_whose_photos_are_present(real_data, tmp_path, tiny_clip):
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for subset in SUBSETS:
            (tmp_path / f"{subset}.json").write_bytes(archive.read(f"sugarcrepe/{subset}.json"))
    job = make_job(
        "sugarcrepe", tmp_path, images=real_data / "images" / "coco", available_only=True
    )
    rows = {row.task: row for row in evaluate(tiny_clip, [job])}
    assert set(rows) == {*SUBSETS, "replace", "swap", "add", "mean"}
    assert rows["mean"].n == 399
    assert "399 of 7511 items" in rows["mean"].protocol
    groups = [rows[name].value for name in ("replace", "swap", "add")]
    assert rows["mean"].value == pytest.approx(sum(groups) / 3)
    micro = sum(rows[s].value * rows[s].n for s in ("swap_obj", "swap_att"))
    assert rows["swap"].value == pytest.approx(micro / rows["swap"].n)
    assert 0.3 < rows["mean"].value < 0.7  # random weights know nothing


def test_a_setting_that_has_no_effect_is_refused_or_said(caplog):
    with pytest.raises(UserError, match="captions has no effect on world, sugarcrepe"):
        check_effect([make_job("world"), make_job("sugarcrepe")], ["captions"])
    check_effect([make_job("retrieval"), make_job("zero_shot:dtd")], ["captions"])
    assert "captions is not read by zero_shot" in caplog.text


def test_of_a_group_what_has_its_data_is_run(tmp_path, caplog):
    for subset in PARTS:
        entry = {"filename": "a.png", "caption": "a", "caption2": "b", "negative_caption": "c"}
        (tmp_path / "sugarcrepe_pp").mkdir(exist_ok=True)
        (tmp_path / "sugarcrepe_pp" / f"{subset}.json").write_text(json.dumps([entry]))
    (tmp_path / "sugarcrepe_pp" / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "sugarcrepe_pp" / "images" / "a.png")
    plan = make_plan(["composition"], tmp_path)
    assert [job.benchmark.name for job in plan.jobs] == ["sugarcrepe_pp"]
    assert "sugarcrepe" in plan.absent
    plan.tell()
    assert "not run: sugarcrepe (" in caplog.text
    with pytest.raises(UserError, match="no benchmark of regions has its data"):
        make_plan(["regions"], tmp_path)
    with pytest.raises(UserError, match="sugarcrepe cannot run"):
        evaluate("m", make_plan(["sugarcrepe", "composition"], tmp_path).jobs)


def test_sets_of_a_group_are_the_folders_below_theirs(tmp_path):
    for name in ("zero_shot/pets", "zero_shot/.hidden", "retrieval/flickr"):
        (tmp_path / name).mkdir(parents=True)
    found = members("all", tmp_path)
    assert "zero_shot:pets" in found
    assert "retrieval:flickr" in found
    assert not any("hidden" in name for name in found)
    assert make_job("zero_shot:pets", tmp_path).root == tmp_path / "zero_shot" / "pets"
