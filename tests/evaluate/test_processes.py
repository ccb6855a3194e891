"""An evaluation in several processes gives the rows of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.commands import inputs, rows_of

EVAL = (
    "eval builtin sugarcrepe zero_shot retrieval --root photos --captions captions.csv --images . "
    "--device cpu --cache cache --out"
)


@pytest.mark.slow
def test_two_processes_give_the_same_rows_and_answers(tmp_path: Path) -> None:
    found = []
    for name, start in (
        ("one", []),
        ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]),
    ):
        folder = tmp_path / name
        folder.mkdir()
        inputs(folder)
        words = [sys.executable, *start, "-m", "trifocal", *EVAL.split(), "out.jsonl"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("replace_obj") == 1  # one process speaks
        found.append(rows_of(folder))
    (rows, beside), (others, theirs) = found
    assert rows == others
    assert beside.keys() == theirs.keys()
    marks = [name for name in beside if "-scores-" not in name]
    assert all(beside[name] == theirs[name] for name in marks)
