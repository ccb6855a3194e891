"""Files that version 0.1.0 wrote are read as that version read them.

`fixtures/v0_1` holds one of every kind, with what came of it then; its README.md says how they were
made. Each test works in a copy, since names in the files start from the fixtures' folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import REPOSITORY
from trifocal import load_model, region_encoder
from trifocal.cli import main
from trifocal.composition.negatives.store import ParseStore
from trifocal.concepts.head_files import load_head
from trifocal.concepts.registry import HEADS
from trifocal.data.captions import read_captions
from trifocal.data.regions import Region
from trifocal.evaluate.records import clip_benchmark_records, read_results
from trifocal.features.pictures import image_features
from trifocal.features.store import FeatureStore

OLD = REPOSITORY / "tests" / "fixtures" / "v0_1"
CPU = ("--device", "cpu")
READY = (
    *("--datasets", "features/ready.safetensors", "--shots", "1", "--seeds", "1"),
    *("--methods", "zero-shot,tip-adapter,concept-map"),
    *("--class-text", "features/texts.safetensors:classes"),
    *("--concept-text", "features/texts.safetensors:words"),
)
THEN = {"concept-map": "ccli"}  # what a method of today was called
COSTS = ("fit_seconds", "predict_seconds")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old files, which is also the current folder, and an empty cache."""
    folder = Path(shutil.copytree(OLD, tmp_path / "old"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def known(path: str) -> Any:
    """Return what a JSON file of the fixtures holds."""
    return json.loads((OLD / path).read_text())


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def same(found: Any, expected: Any) -> bool:
    """Tell whether all that was said then is said now; numbers may differ in the fifth place."""
    if isinstance(expected, dict):
        return all(key in found and same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    return found == expected


def lines(path: str | Path) -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


# --- models and runs --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(known("adaptations/expected.json")["texts"]))
def test_models_embed_as_they_did(name: str, old: Path) -> None:
    facts = known("adaptations/expected.json")
    tensors = load_file("adaptations/expected.safetensors")
    bare = {"tokenizer": "models/tiny"} if name.endswith(".safetensors") else {}
    clip = load_model(Path("adaptations", name).resolve(), **bare).eval()
    with torch.no_grad():
        pixels = torch.stack([clip.preprocess(Image.open(file)) for file in facts["pictures"]])
        close(clip.encode_image(pixels).pooled, tensors[f"{name}:image"])
        close(clip.encode_text(facts["texts"][name]).pooled, tensors[f"{name}:text"])
    if f"{name}:region" in tensors:
        encoder = region_encoder(clip)
        box = tuple(facts["box"])
        regions = [Region(Path(file), (box,)) for file in facts["pictures"]]
        close(encoder.encode_regions(regions), tensors[f"{name}:region"])
        texts = facts["texts"]["../run"]
        close(encoder.encode_inferences(texts), tensors[f"{name}:inference"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adamw", "muon", "msha", "sgd"])
def test_a_stopped_run_goes_on_as_if_it_never_was(name: str, old: Path) -> None:
    run = old / "stopped" / name
    begun = load_file(run / "checkpoints" / "step-00000002" / "model.safetensors")
    assert main(["train", str(run / "recipe.yaml")]) == 0
    made = load_file(run / "model" / "adapter.safetensors")
    whole = load_file(f"stopped/{name}-whole.safetensors")
    assert made.keys() == whole.keys()
    start = {key: begun[f"clip.network.{key}"] for key in whole}
    moved = torch.cat([(whole[key] - start[key]).flatten() for key in whole])
    found = torch.cat([(made[key] - start[key]).flatten() for key in whole])
    assert moved.norm() > 0
    # Another machine rounds otherwise, and AdamW makes a whole step of a gradient near zero.
    assert (found - moved).norm() < 0.01 * moved.norm()
    records = [line for line in lines(run / "metrics.jsonl") if line["event"] == "train"]
    assert [line["step"] for line in records] == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_run_that_ended_stays_as_it_is(old: Path) -> None:
    before = load_file("run/model/adapter.safetensors")
    measured = [line for line in lines("run/metrics.jsonl") if line["event"] in ("train", "eval")]
    assert main(["train", "run/recipe.yaml", "--negatives.parser", "textblob"]) == 0
    after = load_file("run/model/adapter.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    now = [line for line in lines("run/metrics.jsonl") if line["event"] in ("train", "eval")]
    assert now == measured


# --- recipes ----------------------------------------------------------------------------------


def leaves(mapping: dict[str, Any], start: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the settings of a recipe: where each stands, and its value."""
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from leaves(value, (*start, key))
        else:
            yield (*start, key), value


@pytest.mark.parametrize(
    "name", sorted(str(path.relative_to(OLD / "recipes")) for path in OLD.glob("recipes/*/*.yaml"))
)
def test_recipes_mean_what_they_meant(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(OLD / "recipes" / name), "--print"]) == 0
    now = dict(leaves(yaml.safe_load(capsys.readouterr().out)))
    then = dict(leaves(known("recipes/expected.json")[name]))
    stated = dict(leaves(yaml.safe_load((OLD / "recipes" / name).read_text())))
    # What does not apply to a recipe may be left out now, but nothing that it states.
    assert stated.keys() <= now.keys()
    assert {key: now[key] for key in now.keys() & then.keys()} == {
        key: then[key] for key in now.keys() & then.keys()
    }


@pytest.mark.slow
def test_every_old_recipe_is_a_recipe_still(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, recipe in known("recipes/expected.json").items():
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        assert main(["train", str(path), "--print"]) == 0, name
        now = dict(leaves(yaml.safe_load(capsys.readouterr().out)))
        then = dict(leaves(recipe))
        assert all(now[key] == then[key] for key in now.keys() & then.keys()), name


# --- heads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(known("heads/expected.json")))
def test_heads_answer_as_they_did(name: str) -> None:
    saved, tensors = (
        load_head(OLD / "heads" / name, HEADS),
        load_file(OLD / "heads/expected.safetensors"),
    )
    base, expected = saved.backbone.name, known("heads/expected.json")[name]
    rows = tensors[f"{base}:features"]
    close(saved.head.logits(rows), tensors[f"{name}:logits"])
    close(saved.head.new_logits(rows, tensors[f"{base}:new_text"]), tensors[f"{name}:new"])
    (found,) = saved.head.explain(rows[:1], top=4)
    assert found.label == expected["label"]
    assert found.logit == pytest.approx(expected["logit"], rel=1e-5, abs=1e-5)
    terms = [[t.kind, t.value, t.index, t.score, list(t.images), t.grounding] for t in found.terms]
    assert same(terms, expected["terms"])
    assert len(saved.classes) == tensors[f"{name}:logits"].shape[1]
    assert len(saved.images) == len(saved.labels) == len(saved.keys)


def test_heads_keep_their_pictures() -> None:
    for name in ("ccli", "ccli-tf", "ccli-full", "tip-adapter-f", "gda", "regions"):
        saved = load_head(OLD / "heads" / name, HEADS)
        for index in range(len(saved.images)):
            picture = saved.thumbnail(index)
            assert picture is not None
            assert picture.size == (96, 96)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("predict", ["predict", "heads/ccli", "asked"]),
        ("explain", ["explain", "heads/ccli", "asked/field/5.png"]),
        (
            "against",
            [
                "explain",
                "heads/ccli",
                "asked/field/5.png",
                "--class",
                "field",
                "--against",
                "beach",
            ],
        ),
        ("evaluate", ["evaluate", "heads/ccli", "asked"]),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_classifier_says_what_it_said(
    answer: str, words: list[str], old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", *words, "--json", *CPU]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = lines(OLD / "answers" / f"classify-{answer}.jsonl")
    for line in [*found, *expected]:
        line.pop("run", None)  # a hash of what decides an answer
        # Class texts and the remainder stood last; now all reasons are sorted by what they weigh.
        line.get("reasons", []).sort(key=lambda reason: (reason["kind"], reason["name"]))
    assert same(found, expected)


@pytest.mark.slow
def test_text_concepts_are_found_in_the_cache(old: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "trifocal" / "features"
    shutil.copytree("heads/concepts", cache)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    words = ["classify", "fit", "pictures", "--out", "again", "--views", "0", "--holdout", "0"]
    assert main([*words, "--vocabulary", "heads/words.txt", *CPU]) == 0
    assert len(before) == 1
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    formats = [json.loads(path.read_text())["format"] for path in cache.rglob("manifest.json")]
    assert formats.count("trifocal-concepts-1") == 1


# --- answers that grow ------------------------------------------------------------------------


BANK = ("--bank", "bank/bank.txt", "--model", "builtin")
GROWING = {
    "predicted.jsonl": ["classify", "predict", "heads/ccli", "asked"],
    "explained.jsonl": ["explain", "bank/regions.jsonl", *BANK],
}


@pytest.mark.parametrize("name", GROWING)
def test_a_list_of_answers_goes_on(name: str, old: Path) -> None:
    path = old / "answers" / name
    kept, *lost = path.read_text().splitlines(keepends=True)
    path.write_text(kept)
    assert main([*GROWING[name], "--out", str(path), *CPU]) == 0
    first, *added = path.read_text().splitlines(keepends=True)
    assert first == kept
    assert same(list(map(json.loads, added)), list(map(json.loads, lost)))


def test_a_classifier_of_regions_answers_about_a_box(old: Path) -> None:
    words = ["classify", "predict", "heads/regions", "asked/field/4.png", "--box", "8,6,24,20"]
    assert main([*words, "--out", "again.jsonl", *CPU]) == 0
    assert same(lines("again.jsonl"), lines(OLD / "answers" / "predicted-regions.jsonl"))


def test_a_bank_is_explained_from_its_cache(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache,) = Path("bank").glob("*.safetensors")
    time = cache.stat().st_mtime_ns
    words = ["explain", "asked/street/4.png", "--box", "8,6,24,20", "--json"]
    assert main([*words, *BANK, *CPU]) == 0
    assert same(json.loads(capsys.readouterr().out), known("answers/explain.json"))
    assert list(Path("bank").glob("*.safetensors")) == [cache]
    assert cache.stat().st_mtime_ns == time


# --- features ---------------------------------------------------------------------------------


@pytest.mark.parametrize("store", sorted(known("features/expected.json")["stores"]))
def test_features_are_where_they_were(store: str, old: Path) -> None:
    facts = known("features/expected.json")
    views = facts["stores"][store]["views"]
    found = FeatureStore(Path("features"), facts["stores"][store]["facts"])
    assert found.folder.name == store
    keys = [bytes.fromhex(key) for key in facts["keys"]]
    rows = found.find(keys)
    assert set(rows) == set(keys)
    kept = torch.stack([rows[key][0][rows[key][1]] for key in keys])
    files = [Path(file) for file in facts["pictures"]]
    made = image_features(load_model("builtin"), files, cache=None, views=views)
    close(made.features, kept)


# --- results ----------------------------------------------------------------------------------


def figures(path: str | Path) -> dict[tuple[Any, ...], float]:
    """Return the values of a results file by the old names, without those that are times."""
    return {
        (row.benchmark, row.task, row.metric, THEN.get(row.model, row.model), row.seed): row.value
        for row in read_results(path)
        if row.metric not in COSTS
    }


def test_results_are_read_and_exported() -> None:
    sizes = {"world": 23, "few_shot": 30, "classify": 2}
    for name, count in sizes.items():
        written = lines(OLD / "results" / f"{name}.jsonl")
        rows = read_results(OLD / "results" / f"{name}.jsonl")
        assert [row.as_dict() for row in rows] == written
        assert len(rows) == count
    records = clip_benchmark_records(read_results(OLD / "results/world.jsonl"))
    written = [json.loads(path.read_text()) for path in (OLD / "results").glob("clip_benchmark/*")]
    assert sorted(map(json.dumps, records)) == sorted(map(json.dumps, written))


@pytest.mark.slow
def test_few_shot_methods_score_what_they_scored(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "few-shot", *READY, "--out", "again.jsonl"]
    assert main([*words, "--compare", "results/few_shot.jsonl", *CPU]) == 0
    assert "world" in capsys.readouterr().out
    before, again = figures("results/few_shot.jsonl"), figures("again.jsonl")
    assert {key[3] for key in again} == {"zero-shot", "tip-adapter", "ccli"}
    measured = {key[2] for key in before if not key[2].startswith("ece")}
    again = {key: value for key, value in again.items() if key[2] in measured}
    assert same([again[key] for key in again], [before[key] for key in again])
    names = {path.name for path in Path("again.answers").iterdir()}
    assert len(names) == 3


@pytest.mark.slow
def test_few_shot_results_grow_behind_what_is_there(old: Path) -> None:
    path = old / "results" / "few_shot.jsonl"
    before = path.read_text()
    assert main(["eval", "few-shot", *READY, "--out", str(path), *CPU]) == 0
    assert path.read_text().startswith(before)
    assert len(list(path.with_name("few_shot.answers").iterdir())) >= 6


# --- negatives --------------------------------------------------------------------------------


def test_negatives_and_parses_are_read(old: Path) -> None:
    items = read_captions("negatives/negatives.tsv")
    assert [len(item.negatives) for item in items] == [6, 3]
    assert all(item.captions and item.image for item in items)
    expected = known("negatives/expected.json")
    with ParseStore("negatives/parses.sqlite") as store:
        assert len(store) == len(expected["parses"]) == 2
        for key, parse in expected["parses"].items():
            assert store.get_parse(key) == parse
