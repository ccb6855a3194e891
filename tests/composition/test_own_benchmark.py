"""The benchmark that docs/extend.md adds in one file works as it stands there."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

from tests.composition.benchmarks.color_model import ColorModel, paint
from tests.conftest import REPOSITORY
from trifocal.evaluate.runner import Job, evaluate
from trifocal.metrics.benchmark import Benchmark


def test_a_benchmark_is_one_file(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "extend.md").read_text(encoding="utf-8")
    section = text.partition("## A benchmark, in one file")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    (tmp_path / "counting.py").write_text(found[1])
    counting = runpy.run_path(str(tmp_path / "counting.py"), run_name="counting")["Counting"]
    benchmark = counting(available_only=True)
    assert isinstance(benchmark, Benchmark)
    assert "counts.jsonl is missing" in str(benchmark.check(tmp_path)[0])
    paint(tmp_path / "photos", "red", "blue")
    entries = [
        {"image": "red.png", "true": "a red dog", "false": "a blue dog", "count": 1},
        {"image": "blue.png", "true": "nine red dogs", "false": "nine blue dogs", "count": 9},
        {"image": "gone.png", "true": "a dog", "false": "a cat", "count": 1},
    ]
    (tmp_path / "counts.jsonl").write_text("\n".join(map(json.dumps, entries)))
    rows = evaluate(ColorModel(), [Job(benchmark, tmp_path)])  # pyright: ignore[reportArgumentType]
    assert {row.task: row.value for row in rows} == {"few": 1.0, "many": 0.0, "mean": 0.5}
    assert "2 of 3 items" in rows[0].protocol
    assert all(row.chance == 0.5 and row.blind is not None for row in rows)
