"""Results, recipes and their overrides, run folders, markers, and stores of parses."""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from tests.fuzz.reader import Reader, Seed, lines
from trifocal.apps.region_lists import Asked, _finished
from trifocal.apps.settings import parse_settings
from trifocal.composition.negatives.parse import Parse, Token
from trifocal.composition.negatives.store import ParseStore
from trifocal.composition.negatives.table import TableRow, _finished_rows
from trifocal.errors import UserError
from trifocal.evaluate.few_shot.rows import told_apart
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.evaluate.records import clip_benchmark_records, read_results
from trifocal.files import MARKER, check_file, check_folder, growing, kind_of, marker
from trifocal.metrics.result import Result
from trifocal.report.pictures import read_log
from trifocal.train.build import METHODS
from trifocal.train.checkpoints import FORMAT, Checkpoints
from trifocal.train.logs import read_lines
from trifocal.train.recipe import Recipe, load_recipe
from trifocal.train.run_folder import check_run_folder


def _results() -> list[Seed]:
    row = Result("world/kinds", "zeroshot_classification", "acc1", 0.5, 10, 0.1, 0, "p", "m")
    few = Result("few_shot/dtd", "4-shot", "acc1", 0.5, 10, None, 1, "val: none; views: 3", "tip")
    rows = [row.as_dict(), {**few.as_dict(), "ties": 2}, {**few.as_dict(), "task": "4-shot new"}]
    return [Seed({"r.jsonl": lines(*rows)})]


def _read_results(file: Path) -> list[Result]:
    rows = read_results(file)
    clip_benchmark_records(rows)
    Summary(told_apart(rows))
    return rows


def _check_results(rows: list[Result]) -> None:
    for row in rows:
        assert json.loads(json.dumps(row.as_dict(), allow_nan=False))
        assert row.shown


def _recipes() -> list[Seed]:
    methods: list[dict[str, Any]] = [
        {
            "name": "rca",
            "prompt": {"variant": "mix", "size": 224},
            "adapters": {"modules": ["mlp"]},
        },
        {"name": "fsc_clip", "negatives": ["swap"], "tuning": "lora", "lora": {"rank": 2}},
        {"name": "coop"},
    ]
    data: list[dict[str, Any]] = [
        {"source": "sherlock", "path": "a.json", "images": "~/x"},
        {"source": "captions", "path": "c.csv", "format": "auto"},
        {"source": "few-shot", "dataset": "dtd", "path": "d"},
    ]
    shared = {
        "optimizer": {"name": "adamw", "lr": 1e-4, "betas": [0.9, 0.98]},
        "schedule": {"epochs": 2, "warmup_steps": 1},
        "evaluation": ["world"],
        "seed": 1,
    }
    return [
        Seed(
            {
                "r.yaml": json.dumps(
                    {"name": "x", "model": {"name": "builtin"}, "method": m, "data": d, **shared}
                ).encode()
            }
        )
        for m, d in zip(methods, data, strict=True)
    ]


def _check_recipe(recipe: Recipe) -> None:
    assert recipe.name
    assert recipe.folder


def _overrides() -> list[Seed]:
    words = b"--name x\n--optimizer.lr 1e-4\n--data.source captions\n--data.path=c.csv\n--method\nfsc_clip\n--compile\n--method.gamma 2"
    return [Seed({"words.txt": words})]


def _read_overrides(file: Path) -> Recipe:
    words = file.read_text(errors="surrogateescape").split()
    return load_recipe(None, words, METHODS)


def _read_settings(file: Path) -> None:
    parse_settings(file.read_text(errors="surrogateescape").splitlines())


def _runs() -> list[Seed]:
    trainer = {"format": FORMAT, "step": 3, "epoch": 0, "best": None, "bad": {}}
    files = {
        "checkpoints/step-00000003/trainer.json": json.dumps(trainer).encode(),
        "environment.json": b'{"trifocal": "0.1.0"}',
        "metrics.jsonl": lines({"event": "train", "step": 1, "loss": 2.5}, {"step": 2}),
    }
    return [Seed({"here.txt": b"", **files}, changes=tuple(files))]


def _read_run(file: Path) -> None:
    folder = file.parent
    for record in [*read_lines(folder / "metrics.jsonl"), *read_log(folder / "metrics.jsonl")]:
        assert isinstance(record, dict)
    checkpoints = Checkpoints(folder)
    for step in checkpoints.steps():
        assert isinstance(checkpoints.read(step), dict)
    check_run_folder(folder)


def _markers() -> list[Seed]:
    page = b'<meta name="generator" content="trifocal 0.1.0">'
    ours = json.dumps(marker("classifier", {"a.txt": 2})).encode()
    beside = json.dumps({"trifocal": marker("weights", {"w.pt": 4})}).encode()
    inner = {f"c/{name}": content for name, content in {MARKER: ours, "a.txt": b"ab"}.items()}
    return [Seed({"w.json": beside, "p.html": page, **inner}, {"w.pt": b"abcd"})]


def _read_markers(file: Path) -> None:
    folder = file.parent
    for name in ("w.json", "w.pt", "p.html"):
        assert isinstance(kind_of(folder / name), str)
    for name in ("w.json", "w.pt"):
        try:
            check_file(folder / name, "weights", force=True)
        except UserError:
            continue
    check_folder(folder / "c", "classifier", force=True)


def _parse() -> Parse:
    words = (("a", "DT", "DET"), ("dog", "NN", "NOUN"), ("runs", "VBZ", "VERB"))
    tokens, start = [], 0
    for word, tag, pos in words:
        tokens.append(Token(word, start, start + len(word), tag, pos, word, "", -1))
        start += len(word) + 1
    return Parse("a dog runs", tuple(tokens), ())


def _stores() -> list[Seed]:
    """A store of parses; and rows of it, whose content is packed anew behind each change."""
    file = sqlite3.connect(":memory:")
    for table in ("parses", "words"):
        file.execute(f"CREATE TABLE {table} (key TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID")
        content = zlib.compress(_parse().to_json().encode())
        file.execute(f"INSERT INTO {table} VALUES ('k', ?)", (content,))
    file.commit()
    return [Seed({"s.db": file.serialize()})]


def _read_store(file: Path) -> None:
    store = ParseStore(file)
    try:
        store.get_word("k")
        len(store)
        store.put_word("new", "{}")
    finally:
        store.close()


def _parses() -> list[Seed]:
    return [Seed({"p.json": _parse().to_json().encode()})]


def _answers() -> list[Seed]:
    facts = {"image": "a.png", "boxes": [[1, 2, 3, 4]], "id": 1}
    return [Seed({"a.jsonl": lines({"run": "r", **facts}, {"run": "r", "image": "b.png"})})]


def _read_answers(file: Path) -> set[str]:
    with growing(file) as lines:
        return _finished(lines, file, Asked("r", "explain", "others"))


def _read_rows(file: Path) -> list[TableRow]:
    with file.open("r+b") as handle:
        return _finished_rows(handle)


def _check_rows(rows: list[TableRow]) -> None:
    for row in rows:
        assert isinstance(row.title, str)
        assert isinstance(row.filepath, str)
        assert all(isinstance(text, str) for text in row.negatives)


READERS: dict[str, Reader] = {
    "results": Reader(_results, _read_results, _check_results),
    "recipes": Reader(_recipes, lambda file: load_recipe(file, (), METHODS), _check_recipe),
    "overrides": Reader(_overrides, _read_overrides, _check_recipe),
    "settings": Reader(
        lambda: [Seed({"words.txt": b"split=test\nfolds=[0, 1]\nvariant=mix\nshots=4"})],
        _read_settings,
    ),
    "run folders": Reader(_runs, _read_run),
    "markers": Reader(_markers, _read_markers),
    "parse stores": Reader(_stores, _read_store, after=("s.db-journal", "s.db-wal")),
    "stored parses": Reader(
        _parses,
        lambda file: Parse.from_json(file.read_text(errors="surrogateescape")),
        refusals=(ValueError,),
    ),
    "interrupted answers": Reader(_answers, _read_answers),
    "interrupted negatives": Reader(
        lambda: [Seed({"n.part": lines(["a dog", "a.png", ["a cat"]], ["x", "b.png", []])})],
        _read_rows,
        _check_rows,
    ),
}
