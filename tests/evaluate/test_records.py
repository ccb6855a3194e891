"""Results files and CLIP_benchmark's records."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace

import pytest

from trifocal.errors import UserError
from trifocal.evaluate import records
from trifocal.evaluate.records import (
    ResultsFile,
    add_results,
    append_results,
    clip_benchmark_records,
    export_clip_benchmark,
    read_results,
    write_results,
)
from trifocal.metrics.result import Result

ROWS = [
    Result(
        "eurosat", "zeroshot_classification", "acc1", 0.5, 120, 0.1, None, "p", "ViT-B-32:openai"
    ),
    Result(
        "eurosat", "zeroshot_classification", "acc5", 0.9, 120, 0.5, None, "p", "ViT-B-32:openai"
    ),
    Result("sugarcrepe", "swap_obj", "acc", 0.6, 245, 0.5, None, "p", "ViT-B-32:openai"),
    Result("world/composition", "mean", "acc", 0.7, 70, 0.5, 0, "p", "runs/a b/model"),
]


def test_rows_survive_the_file(tmp_path):
    path = tmp_path / "deep" / "results.jsonl"
    append_results(path, ROWS[:1])
    append_results(path, ROWS[1:])
    assert read_results(path) == ROWS
    write_results(path, ROWS[2:])
    assert read_results(path) == ROWS[2:]


def test_a_line_cut_short_by_a_kill_is_mended(tmp_path):
    path = tmp_path / "results.jsonl"
    append_results(path, ROWS[:2])
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    append_results(path, ROWS[2:])
    assert read_results(path) == [ROWS[0], *ROWS[2:]]
    path.write_bytes(whole[:-1])  # a whole line that only lacks its end
    append_results(path, ROWS[2:])
    assert read_results(path) == ROWS


def test_unknown_fields_of_a_later_version_are_left_out(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({**ROWS[0].as_dict(), "mood": "good"}) + "\n\n")
    assert read_results(path) == ROWS[:1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "line 1 is not a result row: it lacks benchmark, task, metric, value, n"),
        ("[1]", "is not a result row"),
        (json.dumps(ROWS[0].as_dict()) + "\nhello", "line 2 is not JSON"),
    ],
)
def test_another_file_is_refused(tmp_path, content, message):
    path = tmp_path / "results.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_results(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.jsonl not found"):
        read_results(tmp_path / "none.jsonl")


def test_a_value_that_is_no_number_never_reaches_the_file(tmp_path):
    path = tmp_path / "results.jsonl"
    with pytest.raises(UserError, match="the row b t acc holds a number that is not finite"):
        append_results(path, [Result("b", "t", "acc", float("nan"), 1)])
    assert not path.exists() or not path.read_text()


def test_records_have_the_keys_and_names_of_clip_benchmark():
    records = clip_benchmark_records(ROWS)
    assert [
        {key: record[key] for key in ("dataset", "model", "pretrained", "task", "language")}
        for record in records
    ] == [
        {
            "dataset": "eurosat",
            "model": "ViT-B-32",
            "pretrained": "openai",
            "task": "zeroshot_classification",
            "language": "en",
        },
        {
            "dataset": "sugar_crepe/swap_obj",
            "model": "ViT-B-32",
            "pretrained": "openai",
            "task": "image_caption_selection",
            "language": "en",
        },
        {
            "dataset": "world/composition/mean",
            "model": "runs/a b/model",
            "pretrained": "",
            "task": "image_caption_selection",
            "language": "en",
        },
    ]
    assert records[0]["metrics"] == {"acc1": 0.5, "acc5": 0.9}
    assert records[1]["metrics"] == {"acc": 0.6}


def test_exported_files_make_clip_benchmarks_table(tmp_path):
    """Its `build` command flattens each file's metrics and writes the union of keys as CSV."""
    paths = export_clip_benchmark(tmp_path / "out", ROWS)
    assert len(set(paths)) == 3
    table = []
    for path in paths:
        data = json.loads(path.read_text())
        flat = {**data["metrics"], **data}
        del flat["metrics"]
        flat["model_fullname"] = flat["model"] + " " + flat["pretrained"]
        table.append(flat)
    target = tmp_path / "benchmark.csv"
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=sorted({key for row in table for key in row}))
        writer.writeheader()
        writer.writerows(table)
    with target.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert read[0]["acc1"] == "0.5"
    assert read[0]["model_fullname"] == "ViT-B-32 openai"


def test_models_that_differ_only_in_punctuation_do_not_share_a_file(tmp_path):
    rows = [ROWS[2].of("a/b"), ROWS[2].of("a b")]
    assert len(set(export_clip_benchmark(tmp_path, rows))) == 2


def test_a_file_of_something_else_is_left_as_it_is(tmp_path):
    for content in ('{"image": "x"}\n', "notes, without an end", '{"benchmark": 1}\n', "\x00"):
        path = tmp_path / "mine.jsonl"
        path.write_text(content)
        for write in (append_results, add_results, write_results):
            with pytest.raises(UserError, match="line 1 is no row"):
                write(path, ROWS)
        assert path.read_text() == content
    for name, message in (("a.csv", "end its name in .jsonl"), ("a", "end its name in .jsonl")):
        with pytest.raises(UserError, match=message):
            append_results(tmp_path / name, ROWS)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        append_results(tmp_path / "folder.jsonl", ROWS)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.jsonl", "folder.jsonl"}


def test_a_file_that_another_process_makes_meanwhile_is_one_to_add_to(tmp_path, monkeypatch):
    path = tmp_path / "r.jsonl"

    def check(*_):  # the other process was faster than this look
        path.touch()
        raise UserError("it is there already")

    monkeypatch.setattr(records, "check_file", check)
    assert add_results(path, ROWS) == len(ROWS)


def test_a_row_is_added_once(tmp_path, caplog):
    path, cost = tmp_path / "r.jsonl", Result("few_shot", "t", "fit_seconds", 1.5, 3)
    rows = [*ROWS, cost]
    assert add_results(path, rows) == len(rows)
    later = [replace(row, seconds=9.0) for row in ROWS] + [replace(cost, value=2.5)]
    assert add_results(path, later) == 0
    assert read_results(path) == rows
    assert not caplog.records or caplog.records[-1].levelname == "INFO"
    other = replace(ROWS[0], value=0.25)
    assert add_results(path, [other, ROWS[1], ROWS[0].of("another")]) == 2
    assert read_results(path) == [*rows, other, ROWS[0].of("another")]
    assert "twice now, with different values" in caplog.text


def test_lines_that_came_or_went_meanwhile_are_seen(tmp_path):
    path = tmp_path / "r.jsonl"
    file = ResultsFile(path)
    assert file.add(ROWS[:1]) == 1
    append_results(path, ROWS[1:2])  # by another process
    assert file.add(ROWS) == len(ROWS) - 2
    assert read_results(path) == ROWS
    write_results(path, ROWS[1:])  # by hand
    assert file.add(ROWS) == 1
    with path.open("a") as torn:
        torn.write('{"benchmark": "x')
    assert file.add([ROWS[0].of("another")]) == 1
    assert read_results(path) == [*ROWS[1:], ROWS[0], ROWS[0].of("another")]


def test_records_of_others_are_kept(tmp_path):
    first = export_clip_benchmark(tmp_path, ROWS)
    assert export_clip_benchmark(tmp_path, ROWS) == first  # ours are written anew
    theirs = '{"dataset": "x", "metrics": {"acc1": 0.5}}'
    first[0].write_text(theirs)
    again = export_clip_benchmark(tmp_path, ROWS)
    assert first[0].read_text() == theirs
    assert again[0].name == f"{first[0].stem}_2.json"
    assert again[1:] == first[1:]


def test_two_processes_add_the_same_rows_once(tmp_path):
    file, rows = tmp_path / "r.jsonl", [replace(ROWS[0], seed=seed) for seed in range(20)]
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                for one in rows:
                    add_results(file, [one])
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert sorted(row.seed for row in read_results(file)) == list(range(20))
