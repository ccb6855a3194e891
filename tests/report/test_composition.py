"""What the report says of a comparison."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, SugarCrepe
from trifocal.evaluate.benchmarks.retrieval import Retrieval
from trifocal.evaluate.benchmarks.world import World, world_suite
from trifocal.evaluate.curve import CurvePoint
from trifocal.features.questions import Question
from trifocal.metrics.intervals import Interval
from trifocal.metrics.result import Result
from trifocal.report import pictures
from trifocal.report.composition import composition_chapter, results_report
from trifocal.report.contender import Contender
from trifocal.report.map_quality import COLORS, THINGS, MapQuality
from trifocal.report.page import (
    Examples,
    HeatMaps,
    Highlights,
    Note,
    Plots,
    Report,
    render,
    write_report,
)
from trifocal.report.pictures import read_log
from trifocal.report.shown import Shown, photos_shown, shown_of, telling_words, world_shown
from trifocal.report.table import Table
from trifocal.world.vocabulary import KINDS

SMALL = {"classification": 30, "retrieval": 20, "composition": 4}


@pytest.fixture(autouse=True)
def maps_above_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the maps of models with random weights pass for good ones."""
    good = MapQuality(Interval(0.8, 0.75, 0.85), 0.7, 0.1, 99)
    monkeypatch.setattr(pictures, "world_map_quality", lambda _: {THINGS: good, COLORS: good})


def test_maps_at_chance_are_not_shown(monkeypatch: pytest.MonkeyPatch, tiny_clips) -> None:
    bad = MapQuality(Interval(0.52, 0.49, 0.55), 0.2, 0.1, 99)
    monkeypatch.setattr(pictures, "world_map_quality", lambda _: {THINGS: bad, COLORS: bad})
    shown = [question for question in shown_of(World(), ".", 32) if len(question.words) > 1]
    contenders = [Contender(clip.name, [], clip) for clip in tiny_clips]
    assert pictures.heat_maps(contenders, shown[:1]) is None


def test_maps_on_photos_are_shown_where_they_were_measured_above_chance(tiny_clips) -> None:
    photo = Image.new("RGB", (40, 30))
    asked = Shown(photo, photo, "s", "Two dogs run to a cup.", "No.", ("dogs", "run", "cup"))

    def contender(area: float | None) -> Contender:
        row = partial(Result, "word_maps", "dense", n=100, chance=0.2)
        rows = [row("box_auc", area), row("pointing", 0.5)] if area else []
        return Contender("m", [rows], tiny_clips[0])

    assert pictures.heat_maps([contender(None)], [asked]) is None
    assert pictures.heat_maps([contender(0.55)], [asked]) is None
    maps = pictures.heat_maps([contender(0.7)], [asked])
    assert maps is not None
    assert list(maps.items[0].words) == ["dogs", "cup"]
    assert "things on photos: area under the ROC curve 70 % (chance 50)" in maps.caption
    assert "inside 50 % (chance 20)" in maps.caption


@pytest.fixture(scope="module")
def rows(tiny_clips):
    return world_suite(tiny_clips[0], **SMALL)


def moved(rows, model, **tasks):
    """Rows with some values replaced: by task, or by the last part of the benchmark's name."""
    return [
        replace(
            row,
            model=model,
            value=tasks.get(row.task, tasks.get(row.benchmark.split("/")[-1], row.value)),
        )
        for row in rows
    ]


@pytest.fixture
def contenders(rows, tiny_clips, tmp_path):
    before = moved(rows, "b", mean=0.5, swap=0.5, kinds=0.9, colors=0.9, retrieval=0.6)
    after = [
        moved(rows, "a", mean=0.8 + d, swap=0.9, kinds=0.89, colors=0.89, retrieval=0.61)
        for d in (0.0, 0.01, -0.01)
    ]
    log = tmp_path / "metrics.jsonl"
    lines = [
        {
            "event": "train",
            "step": s,
            "loss": 3 / s,
            "contrastive": 2 / s,
            "local_negative": 1 / s,
            "lr": 1e-4,
        }
        for s in (1, 2, 3)
    ] + [{"event": "eval", "step": 3, "world/composition": 0.5}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "tr')
    curve = [CurvePoint(a, tuple(moved(rows, "c", mean=0.5 + 0.3 * a))) for a in (0, 0.5, 1)]
    return [
        Contender("base <b>", [before], tiny_clips[0]),
        Contender("tuned", after, tiny_clips[1], [log], [curve]),
    ]


def block(chapter, kind):
    return next(found for found in chapter.blocks if isinstance(found, kind))


def test_a_chapter_has_everything(contenders):
    shown = world_shown((32, 32))
    chapter = composition_chapter(contenders, shown=shown, remark="Drawn.", mapped=2)
    assert chapter.label == "on the built-in drawn world"
    assert "tuned against base <b>, in points: composition +30.0" in chapter.lead
    kinds = [type(found) for found in chapter.blocks]
    assert kinds == [Highlights, Note, Table, Plots, Plots, Plots, Examples, HeatMaps]
    assert len(block(chapter, HeatMaps).items) == 2
    html = render(Report("t", "s", [chapter]))
    assert "base &lt;b&gt;" in html
    assert "<b>" not in html


def test_large_numbers_compare_with_the_base(contenders):
    items = block(composition_chapter(contenders), Highlights).items
    assert [(item.value, item.tone) for item in items] == [
        ("80.0 %", "gain"),
        ("89.0 %", ""),  # one point of sixty pictures is noise
        ("61.0 %", ""),
    ]
    assert items[0].detail == "+30.0 points against base <b> (50.0 %)"


def test_the_main_table_shows_gain_and_cost(contenders):
    table = block(composition_chapter(contenders), Table)
    assert table.groups == [("what is to be gained", 4), ("what it must not cost", 4)]
    assert [column.label for column in table.columns] == [
        "replace", "swap", "add", "mean", "kinds", "colors", "image R@1", "text R@1",
    ]  # fmt: skip
    assert [row.label for row in table.rows] == ["base <b>", "tuned", "chance"]
    swap = table.rows[1].entries[1]
    assert (swap.value, swap.change) == ("90.0", "+40.0")
    kinds = table.rows[1].entries[4]
    assert (kinds.change, kinds.tone) == ("−1.0", "flat")  # within the noise of 30 pictures
    chance = f"{100 / len(KINDS):.1f}"
    assert [entry.value for entry in table.rows[-1].entries][:5] == ["50.0"] * 4 + [chance]
    assert "Mean of 3 runs" in table.caption


def test_losses_are_drawn_term_by_term(contenders):
    training = next(
        b for b in composition_chapter(contenders).blocks if getattr(b, "title", "") == "Training"
    )
    assert [plot.summary for plot in training.plots] == [
        "contrastive loss by step",
        "local negative loss by step",
    ]


def test_logs_with_broken_lines_and_missing_logs(contenders, tmp_path, caplog):
    records = read_log(contenders[1].logs[0])
    assert [record["step"] for record in records] == [1, 2, 3]
    assert read_log(tmp_path / "none.jsonl") == []
    assert "has no training records" in caplog.text


def test_one_model_alone_is_a_report_too(rows):
    chapter = composition_chapter([Contender("base", [rows])])
    assert chapter.lead == "base in numbers."
    assert not any(
        isinstance(found, Plots) and found.title == "Gained and lost" for found in chapter.blocks
    )
    assert render(Report("t", "s", [chapter]))


def test_an_unknown_featured_model_is_an_error(contenders):
    with pytest.raises(ValueError, match="'other' is none of"):
        composition_chapter(contenders, featured="other")


def test_a_report_from_results_alone(rows):
    real = [replace(row, benchmark="sugarcrepe", model="A") for row in rows if row.metric == "acc"]
    report = results_report([*moved(rows, "A"), *moved(rows, "B", mean=0.9), *real])
    (chapter,) = report.chapters
    assert "world/…" in chapter.label  # not all of it is the world's
    labels = [column.label for column in block(chapter, Table).columns]
    assert labels[:2] == ["composition", "sugarcrepe"]  # of several benchmarks the headlines
    assert report.facts[0].entries[0][0] == "world/kinds"
    assert "A, B" in report.summary
    assert "sugarcrepe · mean · acc" in render(report)


def test_a_report_of_a_curve(rows):
    curve = [CurvePoint(a, tuple(moved(rows, f"m@{a:g}", mean=0.5 + a / 4))) for a in (0, 0.5, 1)]
    flat = [row for point in curve for row in point.rows]
    report = results_report(flat, {"m": curve})
    labels = [row.label for row in block(report.chapters[0], Table).rows]
    assert labels == ["base", "m, α = 1", "chance"]
    plots = next(b for b in report.chapters[0].blocks if isinstance(b, Plots))
    assert "WiSE-FT" in plots.caption


def test_a_report_of_results_shows_pictures_and_losses(rows, tiny_clips, tmp_path):
    log = tmp_path / "metrics.jsonl"
    log.write_text(
        "".join(f'{{"event": "train", "step": {s}, "contrastive": 1.0}}\n' for s in (1, 2))
    )
    known = {
        "base": "A",
        "models": {"A": tiny_clips[0], "B": tiny_clips[1]},
        "logs": {"B": log},
        "shown": shown_of(World(), ".", 32),
    }
    two = [*moved(rows, "A"), *moved(rows, "B")]
    curve = [CurvePoint(a, tuple(moved(rows, f"B@{a:g}"))) for a in (0, 1)]
    on_curve = [row for point in curve for row in point.rows]
    for report in (results_report(two, **known), results_report(on_curve, {"B": curve}, **known)):
        chapter = report.chapters[0]
        assert len(block(chapter, Examples).items) == len(SUBSETS)
        assert block(chapter, HeatMaps)
        assert any(b.title == "Training" for b in chapter.blocks if isinstance(b, Plots))


def test_other_benchmarks_have_no_examples():
    assert shown_of(Retrieval(), ".", 32) == []


def test_results_without_anything_known_are_still_shown():
    report = results_report([Result("sherlock", "val", "im2txt", 19.5, 100, model="m")])
    assert "19.50" in render(report)


def test_examples_are_the_first_and_no_scene_twice():
    shown = world_shown(32, each=2)
    assert len(shown) == 14
    pictures = [question.picture.numpy().tobytes() for question in shown]
    assert len(set(pictures)) == 14
    assert all(question.caption != question.negative for question in shown)
    assert world_shown(32)[0].caption == world_shown(32, each=2)[0].caption
    assert all(
        set(q.words) <= set(q.caption.lower().replace(".", "").replace(",", "").split())
        for q in shown
    )


def test_telling_words():
    caption = "There is a man in a blue shirt, riding on the wave that a man rides!"
    assert telling_words(caption) == ("man", "blue", "shirt", "riding", "wave", "rides")
    assert telling_words(caption, 2) == ("shirt", "riding")
    assert telling_words("a to in") == ()


def test_photos_are_shown_once(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(2)]
    for path in paths:
        Image.new("RGB", (40, 20)).save(path)
    items = [Question("swap_obj", (paths[n // 2],), ("a horse", "a cart")) for n in range(4)]
    assert len(photos_shown(items, each=3)) == 2
    with pytest.raises(TypeError, match="from files"):
        photos_shown([replace(items[0], images=(Image.new("RGB", (2, 2)),))])


def test_a_report_on_real_photos(real_data, tmp_path, tiny_clips):
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for subset in SUBSETS:
            (tmp_path / f"{subset}.json").write_bytes(archive.read(f"sugarcrepe/{subset}.json"))
    benchmark = SugarCrepe(images=real_data / "images" / "coco", available_only=True)
    items = benchmark.items(tmp_path)
    contenders = [Contender(clip.name, [benchmark.score(clip, items)], clip) for clip in tiny_clips]
    shown = photos_shown(items.items)
    chapter = composition_chapter(contenders, shown=shown, mapped=1)
    assert chapter.label == ""
    assert len(block(chapter, Examples).items) == 7
    # Of photos nobody knows where things are, so their maps cannot be measured.
    assert not any(isinstance(one, HeatMaps) for one in chapter.blocks)
    path = write_report(tmp_path / "report.html", Report("Photos", "s", [chapter]))
    assert 50_000 < Path(path).stat().st_size < 3_000_000
