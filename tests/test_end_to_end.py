"""From captions to a report, through the command line, on the world and on real photos."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

from trifocal.cli import main
from trifocal.evaluate.records import read_results

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPES = sorted((REPOSITORY / "src" / "trifocal" / "recipes").rglob("*.yaml"))
FEW = ["classification=64", "retrieval=50", "composition=8"]  # questions of the world
FAST = ["--schedule.steps", "2", "--batch_size", "8", "--workers", "0", "--log_every", "1"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_resolves(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(recipe), "--print"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["name"]
    if "batch_size" in recipe.read_text():
        assert shown["batch_size"] == yaml.safe_load(recipe.read_text())["batch_size"]


def test_fsc_clip_recipes_hold_the_published_weights() -> None:
    found = {}
    for path in (REPOSITORY / "src" / "trifocal" / "recipes" / "composition").glob(
        "fsc_clip-*ViT*.yaml"
    ):
        recipe = yaml.safe_load(path.read_text())
        method = recipe["method"]
        found[path.stem] = (method["global_weight"], method["local_weight"])
        lora = method.get("tuning") == "lora"
        assert recipe["optimizer"]["lr"] == (5e-5 if lora else 5e-6)
        assert (recipe["schedule"]["epochs"], recipe["schedule"]["warmup_steps"]) == (5, 50)
    assert len(found) == 12
    for stem, weights in found.items():
        if "L-14" in stem:
            # 0.5 and 0.5 on four processes whose gather weighs the contrastive loss by 1/4
            assert weights == (4 * 0.5, 4 * 0.5)
        else:
            wide = "B-16" in stem
            assert weights == (1.0 if "cc3m" in stem else 0.5, 0.5 if wide else 0.2)


@pytest.mark.parametrize("method", ["finetune", "negclip", "fsc_clip"])
def test_train_resume_evaluate_interpolate_export(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: tiny\nmethod: {method}\ndata: {{source: world, size: 64}}\n")
    words = ["train", str(recipe), "--output", str(tmp_path / "runs"), *FAST]
    if method != "finetune":
        words += ["--method.negatives", "[swap, shuffle]"]  # without WordNet
    assert main(words) == 0
    assert main(words) == 0  # finished already: nothing is done again
    run = tmp_path / "runs" / "tiny"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "train"] == [1, 2]

    results, report = tmp_path / "r.jsonl", tmp_path / "report.html"
    words = ["eval", str(run), "world", "--interpolate", "0,1", "--device", "cpu"]
    words += [word for few in FEW for word in ("--option", few)]
    assert main([*words, "--out", str(results), "--report", str(report)]) == 0
    assert len({row.model for row in read_results(results)}) == 2
    assert "<html" in report.read_text()
    assert "composition" in capsys.readouterr().out

    out = tmp_path / "exported.safetensors"
    assert main(["export", str(run), "--to", "open_clip", "--out", str(out)]) == 0
    assert out.is_file()


def test_lora_trains_and_loads(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: low\nmethod: {name: fsc_clip, tuning: lora, negatives: [swap]}\n"
        "data: {source: world, size: 64}\n"
    )
    assert main(["train", str(recipe), "--output", str(tmp_path), *FAST]) == 0
    assert (tmp_path / "low" / "model" / "adapter.json").is_file()
    out = tmp_path / "merged"
    words = ["export", str(tmp_path / "low"), "--to", "transformers", "--out", str(out)]
    assert main(words) == 0
    assert (out / "config.json").is_file()


@pytest.mark.slow
def test_real_photos_from_captions_to_report(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The built-in base on 260 COCO photos, then SugarCrepe where the photos are present."""
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for name in archive.namelist():
            if name.startswith("sugarcrepe/"):
                path = tmp_path / "sugarcrepe" / Path(name).name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(archive.read(name))
    images = real_data / "images"
    recipe = (
        REPOSITORY
        / "src"
        / "trifocal"
        / "recipes"
        / "composition"
        / "fsc_clip-captions-builtin.yaml"
    )
    words = ["train", str(recipe), "--data.path", str(images / "coco.json")]
    words += ["--data.images", str(images / "coco"), "--output", str(tmp_path / "runs")]
    assert main([*words, "--workers", "0", "--schedule.epochs", "1", "--name", "coco"]) == 0

    results, report = tmp_path / "results.jsonl", tmp_path / "report.html"
    words = ["eval", str(tmp_path / "runs" / "coco"), "sugarcrepe", "--base", "builtin"]
    words += ["--root", str(tmp_path), "--images", str(images / "coco"), "--available-only"]
    assert main([*words, "--out", str(results), "--report", str(report), "--device", "cpu"]) == 0
    means = [row for row in read_results(results) if row.task == "mean"]
    assert len(means) == 2
    assert all(350 <= row.n <= 450 for row in means)
    page = report.read_text()
    assert "<html" in page
    assert "mean little" in page
    assert page.count("<img") > 7  # a photo of each kind of question, and where words look


def test_negatives_are_written_ahead_and_read(tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text('image,caption\na.jpg,"a red ball left of a small blue cup"\n')
    out = tmp_path / "negatives.tsv"
    words = ["data", "prepare", "negatives", str(table), "--out", str(out), "--parser", "textblob"]
    assert main([*words, "--kinds", "swap,shuffle"]) == 0
    header, row = out.read_text().splitlines()
    assert header.split("\t")[1:4] == ["title", "filepath", "neg_caption"]
    assert "cup" in row


def test_the_world_is_exported(tmp_path: Path) -> None:
    words = ["data", "prepare", "world", str(tmp_path / "w"), "--scenes", "10", "--tests", "3"]
    assert main([*words, "--size", "48"]) == 0
    assert main(["data", "check", "sugarcrepe", "--root", str(tmp_path / "w")]) in (0, 1)
    assert (tmp_path / "w" / "dataset_world.json").is_file()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("image,caption\nmissing.jpg,a dog\n", "missing.jpg"),
        ("picture_number,words_said\n1,a dog\n", "picture_number"),
    ],
)
def test_a_bad_caption_table_is_one_sentence(
    lines: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.csv").write_text(lines)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\nmethod: finetune\ndata: {source: captions, path: c.csv}\n")
    words = ["train", str(recipe), "--data.path", str(tmp_path / "c.csv")]
    assert main([*words, "--output", str(tmp_path), *FAST]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world as files."""
    folder = tmp_path_factory.mktemp("exported") / "world"
    words = ["data", "prepare", "world", str(folder), "--scenes", "100", "--tests", "1"]
    assert main([*words, "--size", "96"]) == 0
    return folder


@pytest.mark.parametrize(
    "method",
    [
        ["rca"],
        ["rca", "--method.trains", "strict_frozen", "--method.positions", "tile"],
        ["region_finetune", "--method.prompt.layout", "side_by_side"],
        ["region_lora", "--method.loss", "triple"],
        ["region_prompts", "--method.loss", "wrong_region", "--method.prompt.variant", "r-ctx"],
    ],
    ids=lambda words: words[0] + "".join(words[2::2]),
)
def test_regions_from_files_to_explanations(
    method: list[str], exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: tiny\nmethod: {{name: rca}}\ndata: {{source: sherlock, "
        f"path: {exported}/sherlock/sherlock_train.json, images: {exported}}}\n"
    )
    words = ["train", str(recipe), "--output", str(tmp_path), "--method", *method, *FAST]
    assert main(words) == 0
    run, results = str(tmp_path / "tiny"), tmp_path / "r.jsonl"
    words = ["eval", run, "sherlock", "refcoco", "--root", str(exported), "--out", str(results)]
    assert main([*words, "--option", "folds=[0]", "--device", "cpu"]) == 0
    rows = {(row.task, row.metric): row for row in read_results(results)}
    assert ("retrieval", "im2txt") in rows
    assert ("localization", "Auto-Box") in rows
    assert rows["localization", "Auto-Box oracle"].value > 0.9
    bank = tmp_path / "bank.txt"
    bank.write_text("the crew rows at the race\nall rest at the fire\n")
    picture = next((exported / "images").glob("world-abduction-*"))
    capsys.readouterr()
    words = ["explain", str(picture), "--box", "10,10,40,40", "--bank", str(bank), "--model", run]
    assert main([*words, "--json", "--device", "cpu"]) == 0
    assert "the crew rows at the race" in capsys.readouterr().out


def test_a_method_on_regions_wants_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: tiny\nmethod: rca\ndata: {source: world, size: 64}\n")
    assert main(["train", str(recipe), "--output", str(tmp_path), *FAST]) == 2
    assert "'rca' learns from regions, but data.source 'world' has captions" in (
        capsys.readouterr().err
    )


def test_regions_of_real_photos(real_data: Path, tmp_path: Path) -> None:
    """Annotated photos in Sherlock's layout: things as clues, captions as inferences."""
    content = json.loads((real_data / "images" / "coco.json").read_text())
    entries = []
    for photo in content["images"]:
        name = photo["file_name"]
        for number, (box, caption) in enumerate(zip(photo["boxes"], photo["captions"][:2])):
            left, top, width, height = (round(side) for side in box["bbox"])
            entries.append(
                {
                    "instance_id": f"{name}-{number}",
                    "split_idx": 0,
                    "inputs": {
                        "image": {
                            "url": f"coco/{name}",
                            "width": photo["width"],
                            "height": photo["height"],
                        },
                        "bboxes": [
                            {"left": left, "top": top, "width": max(width, 1),
                             "height": max(height, 1)}
                        ],
                        "clue": content["categories"][str(box["category_id"])],
                        "confidence": 3.0,
                        "obs_idx": number,
                    },
                    "targets": {"inference": caption},
                }
            )  # fmt: skip
    (tmp_path / "sherlock_val.json").write_text(json.dumps(entries[:200]))
    recipe = REPOSITORY / "src" / "trifocal" / "recipes" / "regions" / "rca-sherlock-ViT-B-16.yaml"
    words = ["train", str(recipe), "--model.name", "builtin", "--method.prompt.size", "48"]
    words += ["--data.path", str(tmp_path / "sherlock_val.json"), "--output", str(tmp_path)]
    words += ["--data.images", str(real_data / "images"), "--name", "real", *FAST]
    assert main([*words, "--gradient_cache", "4", "--data.draft", "true"]) == 0
    run, results = tmp_path / "real", tmp_path / "results.jsonl"
    words = ["eval", f"builtin,{run}", "sherlock", "--root", str(tmp_path), "--device", "cpu"]
    words += ["--images", str(real_data / "images"), "--out", str(results)]
    assert main([*words, "--report", str(tmp_path / "report.html")]) == 0
    rows = [row for row in read_results(results) if row.metric == "im2txt"]
    assert [row.n for row in rows] == [200, 200]
    assert all(1 <= row.value <= 200 for row in rows)
    assert "GT-Box" in (tmp_path / "report.html").read_text()


CLASSES = {
    "coop": ["--method.tokens", "4"],
    "coop-words": ["--method.words", "a picture of a"],
    "coop-class_specific": ["--method.class_specific", "true"],
    "clip_lora": ["--method.template", "a picture of a {}."],
}


@pytest.mark.parametrize("method", CLASSES)
def test_classes_from_a_folder_to_new_classes(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few pictures of each class, then zero-shot on the test folder, and on other classes."""
    for place in ("zoo/train", "zoo/test", "new/test"):
        names = ("red", "green", "light_blue") if place[0] == "z" else ("yellow", "black")
        for number, name in enumerate(names):
            folder = tmp_path / place / name
            folder.mkdir(parents=True)
            for n in range(4):
                shade = n + 8 * place.endswith("test")  # no test picture is a copy
                color = tuple(200 * (channel == number) + shade for channel in range(3))
                Image.new("RGB", (40, 50), color).save(folder / f"{n}.png")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: tiny\nmethod: {method.partition('-')[0]}\n"
        f"data: {{source: few-shot, path: {tmp_path}/zoo, shots: 3, seed: 1, crop: [0.5, 1.0]}}\n"
        "optimizer: {name: sgd, lr: 0.01}\nevaluation: [few_shot]\n"
    )
    words = ["train", str(recipe), "--output", str(tmp_path / "runs"), *FAST]
    words += [*CLASSES[method], "--schedule.by_epoch", "true", "--schedule.warmup_epochs", "1"]
    assert main(words) == 0
    run, results = tmp_path / "runs" / "tiny", tmp_path / "r.jsonl"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (measured,) = [line for line in lines if line["event"] == "eval"]
    words = ["eval", str(run), "zero_shot", "--device", "cpu", "--out", str(results)]
    assert main([*words, "--root", str(tmp_path / "zoo")]) == 0
    (row,) = [row for row in read_results(results) if row.metric == "acc1"]
    assert row.n == 12
    assert row.value == pytest.approx(measured["few_shot/zeroshot_classification/acc1"])
    capsys.readouterr()
    status = main([*words, "--root", str(tmp_path / "new")])
    assert status == (2 if method == "coop-class_specific" else 0)
    if status:
        assert "only the 3 classes that were learned have a context" in capsys.readouterr().err


def test_a_method_on_classes_wants_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: tiny\nmethod: coop\ndata: {source: world, size: 64}\n")
    assert main(["train", str(recipe), "--output", str(tmp_path), *FAST]) == 2
    said = capsys.readouterr().err
    assert "'coop' learns from classes, but data.source 'world' has captions" in said


def test_a_batch_larger_than_the_shots_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = REPOSITORY / "src" / "trifocal" / "recipes" / "concepts" / "clip_lora-world.yaml"
    words = ["train", str(recipe), "--data.shots", "1", "--output", str(tmp_path)]
    assert main(words) == 2
    assert "the data have 24 samples, fewer than one batch of 32; set batch_size to 24" in (
        capsys.readouterr().err
    )
