"""JSON lines that survive kills, and quiet off a terminal."""

from __future__ import annotations

import json
import logging

from trifocal.train.logs import RunLog, read_lines, rewind_lines


def test_lines_and_their_rewinding(tmp_path):
    log = RunLog(tmp_path, total=9)
    log.event("start", 0, device="cpu")
    for step in range(1, 6):
        log.scalars("train", step, {"loss": 1.0 / step, "lr": float("nan")}, epoch=0.5)
    log.close()
    path = tmp_path / "metrics.jsonl"
    with path.open("a") as file:
        file.write('{"event": "train", "st')  # a kill in the middle of a line
    records = read_lines(path)
    assert [record["step"] for record in records] == [0, 1, 2, 3, 4, 5]
    assert records[2] == {"event": "train", "step": 2, "epoch": 0.5, "loss": 0.5, "lr": None}
    RunLog(tmp_path, total=9, start=3).close()
    assert [record["step"] for record in read_lines(path)] == [0, 1, 2, 3]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_rewinding_nothing(tmp_path):
    rewind_lines(tmp_path / "none.jsonl", 3)
    assert not (tmp_path / "none.jsonl").exists()


def test_other_processes_write_nothing(tmp_path):
    log = RunLog(tmp_path, total=9, active=False)
    log.event("start", 0)
    log.scalars("train", 1, {"loss": 1.0})
    log.skipped([{"id": "x"}])
    log.progress(9)
    log.close()
    assert not list(tmp_path.iterdir())


def test_a_line_goes_to_the_logger(tmp_path, caplog, capsys):
    with caplog.at_level(logging.INFO):
        log = RunLog(tmp_path, total=4)
        for step in range(1, 5):
            log.progress(step, f"loss {step}")
        log.close()
    assert [record.getMessage() for record in caplog.records] == [
        "step 4 of 4, 0:00:00 left  loss 4"
    ]
    assert capsys.readouterr() == ("", "")
