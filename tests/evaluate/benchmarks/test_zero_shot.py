"""Zero-shot classification: prompts, folders, names, and the score."""

from __future__ import annotations

import copy
import json
import logging
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.data.classes import prompts
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.zero_shot import (
    ClassItems,
    ZeroShot,
    as_trained,
    items_to_test,
    score_classes,
    zero_shot_classifier,
)
from trifocal.metrics.benchmark import Benchmark

NAMES = ["red ball", "umbrella", "two cats on a street"]
TEMPLATES = ["a photo of a {c}.", "an image of {}", "{c}"]


def test_classifier_is_the_normalized_mean_of_normalized_prompts(tiny_clip):
    got = zero_shot_classifier(tiny_clip, NAMES, TEMPLATES, batch_size=4)
    for row, name in zip(got, NAMES, strict=True):
        with torch.no_grad():
            each = torch.cat([tiny_clip.encode_text([t]).pooled for t in prompts(name, TEMPLATES)])
        expected = normalize(normalize(each, dim=1).mean(0), dim=0)
        assert torch.allclose(row, expected, atol=1e-5)


def test_classifier_needs_names_and_templates(tiny_clip):
    with pytest.raises(UserError, match="at least one class name"):
        zero_shot_classifier(tiny_clip, [], TEMPLATES)
    with pytest.raises(UserError, match="at least one"):
        zero_shot_classifier(tiny_clip, NAMES, [])


def test_rows_of_other_classes_or_labels_are_of_other_questions(tiny_clip):
    images = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)

    def asked(names=NAMES, labels=(0, 1, 2), templates=TEMPLATES):
        items = ClassItems("toy", images, labels, names, templates)
        return {row.asked for row in score_classes(tiny_clip, items)}

    same = asked()
    assert "" not in same
    assert len(same) == 1
    assert asked(templates=TEMPLATES[:1]) == same  # another way to ask the same
    assert asked(labels=(0, 1, 1)) != same
    assert asked(names=[*NAMES[:2], "ship"]) != same


def test_score_equals_a_loop_over_pictures(tiny_clip):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (30, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = [i % 3 for i in range(25)] + [0] * 5
    items = ClassItems("toy", images, labels, NAMES, TEMPLATES)
    rows = {row.metric: row for row in score_classes(tiny_clip, items)}
    classifier = zero_shot_classifier(tiny_clip, NAMES, TEMPLATES)
    with torch.no_grad():
        guesses = [
            int((classifier @ tiny_clip.encode_image(image[None]).pooled[0]).argmax())
            for image in images
        ]
    right = [guess == label for guess, label in zip(guesses, labels, strict=True)]
    assert rows["acc1"].value == pytest.approx(sum(right) / 30)
    recalls = [
        sum(r for r, label in zip(right, labels, strict=True) if label == k) / labels.count(k)
        for k in range(3)
    ]
    assert rows["mean_per_class_recall"].value == pytest.approx(sum(recalls) / 3)
    assert "acc5" not in rows  # with three classes it is always 1
    assert rows["acc1"].chance == pytest.approx(1 / 3)
    assert rows["acc1"].task == "zeroshot_classification"
    assert rows["acc1"].model == tiny_clip.name
    assert "3 prompts each" in rows["acc1"].protocol


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "shapes"
    for name, shade in (("AnnualCrop", 10), ("sea_lake", 200), ("ten-dogs", 90)):
        (root / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (9, 9), (shade, number, 0)).save(root / name / f"{number}.PNG")
    (root / ".cache").mkdir()
    return root


def test_a_folder_of_class_folders(folder):
    benchmark = ZeroShot()
    assert isinstance(benchmark, Benchmark)
    assert benchmark.check(folder) == []
    items = benchmark.items(folder)
    assert items.dataset == "shapes"
    assert list(items.classnames) == ["Annual Crop", "sea lake", "ten dogs"]
    assert list(items.labels) == [0, 0, 1, 1, 2, 2]
    assert list(items.templates) == ["a photo of a {c}."]


def test_files_of_clip_benchmarks_layout_are_used(folder):
    (folder / "classnames.txt").write_text("crops\nwater\ndogs\n")
    (folder / "zeroshot_classification_templates.txt").write_text("an aerial view of {c}\n\n{c}\n")
    items = ZeroShot().items(folder)
    assert list(items.classnames) == ["crops", "water", "dogs"]
    assert list(items.templates) == ["an aerial view of {c}", "{c}"]


def test_a_split_folder_is_found_with_its_names_beside_it(folder, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    folder.rename(root / "test")
    (root / "classnames.txt").write_text("a\nb\nc")
    items = ZeroShot().items(root)
    assert items.dataset == "data"
    assert list(items.classnames) == ["a", "b", "c"]
    assert len(items) == 6


def test_names_and_templates_from_json(folder, tmp_path):
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"shapes": ["x", "y", "z"], "other": ["q"]}))
    assert list(ZeroShot(classnames=names).items(folder).classnames) == ["x", "y", "z"]
    names.write_text(json.dumps({"AnnualCrop": "x", "sea_lake": "y", "ten-dogs": "z"}))
    assert list(ZeroShot(classnames=names).items(folder).classnames) == ["x", "y", "z"]
    names.write_text(json.dumps({"shape": ["x", "y", "z"]}))
    with pytest.raises(UserError, match=r"no data set 'shapes'\. Did you mean 'shape'"):
        ZeroShot(classnames=names).items(folder)
    items = ZeroShot("shape", classnames=names, templates=["{c}!"]).items(folder)
    assert (items.dataset, list(items.templates)) == ("shape", ["{c}!"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "2 class names for 3 class folders"),
        ({"AnnualCrop": "a", "sea_lakes": "b"}, "no class name for the folder 'sea_lake'"),
        ("nowhere.txt", r"nowhere\.txt not found"),
    ],
)
def test_names_that_do_not_fit_are_refused(folder, names, message):
    with pytest.raises(UserError, match=message):
        ZeroShot(classnames=names).items(folder)


@pytest.mark.parametrize("content", ["3", "[1, 2]", "{", '{"a": 1}', '{"a": "a {c}"}'])
def test_json_of_another_form_is_refused(folder, tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"bad\.json"):
        ZeroShot(templates=path).items(folder)


def test_missing_data_is_named(folder, tmp_path):
    (missing,) = ZeroShot().check(tmp_path / "nowhere")
    assert "nowhere is missing: put one folder per class there" in str(missing)
    (folder / "empty").mkdir()
    (missing,) = ZeroShot().check(folder)
    assert "empty is missing: put its pictures" in str(missing)
    with pytest.raises(UserError, match="zero_shot cannot run"):
        ZeroShot().items(folder)


def test_real_eurosat_with_published_names(real_data, tmp_path, tiny_clip):
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for name in ("en_classnames", "en_zeroshot_classification_templates"):
            (tmp_path / f"{name}.json").write_bytes(archive.read(f"zeroshot/{name}.json"))
    benchmark = ZeroShot(
        "eurosat",
        classnames=tmp_path / "en_classnames.json",
        templates=tmp_path / "en_zeroshot_classification_templates.json",
    )
    items = benchmark.items(real_data / "images" / "eurosat" / "2750")
    assert (len(items), len(items.classnames), len(items.templates)) == (120, 10, 3)
    assert items.classnames[0] == "annual crop land"
    rows = benchmark.score(tiny_clip, items)
    assert [row.metric for row in rows] == ["acc1", "acc5", "mean_per_class_recall"]
    assert rows[0].value == pytest.approx(rows[2].value)  # twelve pictures of every class


@pytest.mark.parametrize(
    ("below", "classes", "least"),
    [("pacs/PACS/photo", 7, 40), ("caltech101/101_ObjectCategories", 100, 290)],
)
def test_real_class_folders(real_data, below, classes, least):
    items = ZeroShot().items(real_data / "images" / below)
    assert len(items.classnames) >= classes
    assert len(items) >= least


def test_a_model_that_was_trained_on_classes_keeps_to_its_prompt(tiny_clip, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / name / "a.png")
    (tmp_path / "zeroshot_classification_templates.txt").write_text("a file's {c}\n")
    items = ZeroShot().items(tmp_path)
    model = copy.copy(tiny_clip)
    assert as_trained(model, items) is items
    model.conventions = {"classes": {"template": "a {}!"}}
    assert as_trained(model, items).templates == ["a {}!"]
    asked = []
    model.tokenize = lambda texts: asked.extend(texts) or tiny_clip.tokenize(texts)
    ZeroShot().score(model, items)
    assert asked == ["a cat!", "a dog!"]
    asked.clear()
    chosen = ZeroShot(templates=["my {}"])
    chosen.score(model, chosen.items(tmp_path))
    assert asked == ["my cat", "my dog"]


def test_test_pictures_of_a_data_set(tmp_path):
    pair = (LabeledImage("a.png", 1), LabeledImage("b.png", 0))
    dataset = ImageClasses("toy", tmp_path, ("cat", "dog"), ("a {}",), pair, (), pair)
    items = items_to_test(dataset)
    assert items.labels == [1, 0]
    assert items.images == [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(UserError, match="toy has no test pictures"):
        items_to_test(replace(dataset, test=()))


# -- names and pictures that mislead --------------------------------------------------------------


def test_names_go_to_numbered_folders_in_natural_order(cases, caplog):
    benchmark = ZeroShot(classnames=cases / "numeric_names.txt")
    with caplog.at_level(logging.INFO):
        items = benchmark.items(cases / "numeric")
    named = {
        Path(str(image)).parent.name: items.classnames[label]
        for image, label in zip(items.images, items.labels)
    }
    assert named["2"] == "green circle"
    assert named["10"] == "green square again"
    assert (
        "names the classes in their order: 0 -> red circle, 1 -> blue circle, 2 ->" in caplog.text
    )


def test_hidden_pictures_are_left_out_and_said(cases, tiny_clip):
    items = ZeroShot().items(cases / "hidden")
    assert len(items) == 16
    assert items.account is not None
    assert items.account["passed_over"] == {"hidden": 4}
    assert score_classes(tiny_clip, items)[0].account == items.account


def test_copies_are_said_in_the_row(folder, tiny_clip):
    shutil.copy(folder / "sea_lake" / "0.PNG", folder / "sea_lake" / "again.PNG")
    row = score_classes(tiny_clip, ZeroShot().items(folder))[0]
    assert row.account is not None
    assert (row.account["occur_again"], row.n) == (1, 7)
    assert "1 of the pictures are copies of others" in row.protocol


def test_pictures_that_are_not_read_are_an_error(folder):
    (folder / "sea_lake" / "a.tiff").touch()
    with pytest.raises(UserError, match=r"1 of 7 .*sea_lake/a.tiff.* the option most_left_out"):
        ZeroShot().items(folder)
    items = ZeroShot(most_left_out=0.5).items(folder)
    assert items.account is not None
    assert items.account["used"] == 6


def test_wordnet_ids_are_named_by_their_list_or_said(tmp_path, caplog):
    for name in ("n01440764", "n01443537"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / name / "a.png")
    ZeroShot().items(tmp_path)
    assert "named by WordNet ids (n01440764, ...), which mean nothing in a prompt" in caplog.text
    (tmp_path / "classnames.txt").write_text("n01443537 goldfish\nn01440764 tench\n")
    assert list(ZeroShot().items(tmp_path).classnames) == ["tench", "goldfish"]


def test_two_classes_of_one_name_are_refused(folder):
    with pytest.raises(UserError, match="'AnnualCrop' and 'ten-dogs' have the same name"):
        ZeroShot(classnames=["a dog", "b", "A  dog"]).items(folder)
    (folder / "sea-lake").mkdir()
    shutil.copy(folder / "sea_lake" / "0.PNG", folder / "sea-lake")
    with pytest.raises(UserError, match="'sea-lake' and 'sea_lake' have the same name"):
        ZeroShot().items(folder)
