"""Exported files have the benchmarks' own formats and agree with the scene graphs."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trifocal.errors import UserError
from trifocal.world.abduction import abduction_items
from trifocal.world.boxes import pixel_box
from trifocal.world.composition import TASKS
from trifocal.world.draw import draw
from trifocal.world.export import ExportConfig, export_world
from trifocal.world.referring import referring_items
from trifocal.world.scene import Scene, make_scene
from trifocal.world.zero_shot import ZERO_SHOT

SMALL = ExportConfig(
    seed=1,
    size=(32, 48),
    train=3,
    val=2,
    test=2,
    captions=5,
    composition=4,
    zero_shot=6,
    abduction=4,
    referring=5,
    few_shot=1,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_world(tmp_path_factory.mktemp("world") / "out", SMALL)


def test_karpathy_captions(folder):
    content = json.loads((folder / "dataset_world.json").read_text())
    images = content["images"]
    assert [image["split"] for image in images] == ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    assert [image["imgid"] for image in images] == list(range(7))
    sentences = [sentence for image in images for sentence in image["sentences"]]
    assert [sentence["sentid"] for sentence in sentences] == list(range(35))
    for image in images:
        assert (folder / image["filepath"] / image["filename"]).is_file()
        assert image["sentids"] == [sentence["sentid"] for sentence in image["sentences"]]
        for sentence in image["sentences"]:
            assert sentence["imgid"] == image["imgid"]
            assert " ".join(sentence["tokens"]) == (
                sentence["raw"].lower().replace(",", "").rstrip(".")
            )


@pytest.mark.parametrize("task", TASKS)
def test_sugarcrepe_files(folder, task):
    rows = json.loads((folder / "sugarcrepe" / f"{task}.json").read_text())
    assert list(rows) == ["0", "1", "2", "3"]
    for row in rows.values():
        assert set(row) == {"filename", "caption", "negative_caption"}
        assert (folder / "images" / row["filename"]).is_file()


@pytest.mark.parametrize("task", ZERO_SHOT)
def test_class_folders(folder, task):
    root = folder / "zero_shot" / task
    names = (root / "classnames.txt").read_text().splitlines()
    folders = sorted(path.name for path in (root / "test").iterdir())
    assert [name.replace(" ", "_") for name in names] == folders
    assert len(list((root / "test").rglob("*.png"))) == 6
    templates = (root / "zeroshot_classification_templates.txt").read_text().splitlines()
    assert all("{c}" in template for template in templates)


def test_scene_graphs_and_pictures_agree(folder):
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    scenes = {row["id"]: row for row in map(json.loads, lines)}
    assert set(scenes) == {path.stem for path in (folder / "images").iterdir()}
    scene = make_scene(1, 1, "val")
    assert scenes[scene.id] == json.loads(json.dumps(scene.to_dict()))
    with Image.open(folder / "images" / f"{scene.id}.png") as image:
        assert image.tobytes() == draw(scene, (32, 48)).tobytes()


def _inside(path: Path, box: list[int], background: Image.Image) -> bool:
    """Say whether a box lies in the picture and differs from its background on every side."""
    left, top, width, height = box
    with Image.open(path) as image:
        assert (image.width, image.height) == (48, 32)
        assert left >= 0
        assert top >= 0
        assert left + width <= image.width
        assert top + height <= image.height
        found = np.asarray(image).astype(int) - np.asarray(background).astype(int)
    changed = np.abs(found).max(axis=2)[top : top + height, left : left + width] > 20
    return bool(changed[:, : width // 2].any() and changed[:, width // 2 :].any())


def _background(folder: Path, name: str) -> Image.Image:
    """Draw the scene of a picture without its things."""
    lines = (folder / "scenes.jsonl").read_text().splitlines()
    row = next(row for row in map(json.loads, lines) if row["id"] == Path(name).stem)
    empty = Scene(row["id"], (), row["place"], row["condition"], row["variant"])
    return draw(empty, (32, 48))


@pytest.mark.parametrize("split", ["train", "val"])
def test_sherlock_files(folder, split):
    rows = json.loads((folder / "sherlock" / f"sherlock_{split}.json").read_text())
    items = abduction_items(4, 1, split)
    assert [row["targets"] for row in rows] == [{"inference": item.inference} for item in items]
    assert len({row["instance_id"] for row in rows}) == len(rows)
    for row, item in zip(rows, items):
        assert re.fullmatch("[0-9a-f]{32}", row["instance_id"])
        assert row.get("split_idx") == (item.fold if split == "val" else None)
        inputs = row["inputs"]
        assert set(inputs) == {"image", "bboxes", "clue", "confidence", "obs_idx"}
        assert inputs["clue"] == item.clue
        assert inputs["confidence"] in (1.0, 2.0, 3.0)
        assert (inputs["image"]["width"], inputs["image"]["height"]) == (48, 32)
        url = inputs["image"]["url"]
        (box,) = inputs["bboxes"]
        box = [box[key] for key in ("left", "top", "width", "height")]
        assert box == list(pixel_box(item.box, 48, 32))
        assert all(isinstance(value, int) for value in box)
        assert _inside(folder / url, box, _background(folder, url))
        assert len(row["yolo_box"]) == len(item.proposals)
    per_image = Counter(row["inputs"]["image"]["url"] for row in rows)
    assert len(per_image) == 4
    last = max(row["inputs"]["obs_idx"] for row in rows)
    assert last == max(per_image.values()) - 1


def test_refcoco_files(folder):
    root = folder / "refcoco"
    instances = json.loads((root / "instances.json").read_text())
    refs = json.loads((root / "refs(world).json").read_text())
    detections = json.loads((root / "detections.json").read_text())
    images = {image["id"]: image for image in instances["images"]}
    annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
    names = {category["id"]: category["name"] for category in instances["categories"]}
    assert len(images) == 15
    assert len(annotations) == len(refs) == len(instances["annotations"])
    assert [ref["ref_id"] for ref in refs] == list(range(len(refs)))
    items = [i for split in ("train", "val", "test") for i in referring_items(5, 1, split)]
    for ref, item in zip(refs, items, strict=True):
        annotation, image = annotations[ref["ann_id"]], images[ref["image_id"]]
        assert annotation["image_id"] == image["id"]
        assert annotation["category_id"] == ref["category_id"]
        assert names[ref["category_id"]] == item.expression.kind
        assert ref["split"] in image["file_name"]
        assert ref["file_name"] == image["file_name"]
        assert annotation["bbox"] == list(pixel_box(item.box, 48, 32))
        path = folder / "images" / image["file_name"]
        assert _inside(path, annotation["bbox"], _background(folder, path.name))
        assert [sentence["sent"] for sentence in ref["sentences"]] == list(item.sentences)
        for sentence, number in zip(ref["sentences"], ref["sent_ids"], strict=True):
            assert sentence["sent_id"] == number
            assert " ".join(sentence["tokens"]) == sentence["sent"]
    numbers = [number for ref in refs for number in ref["sent_ids"]]
    assert numbers == list(range(3 * len(refs)))
    assert len(detections) == len(annotations) + 3 * len(images)
    assert {detection["image_id"] for detection in detections} == set(images)


def test_jpeg(tmp_path):
    config = ExportConfig(
        size=32,
        train=1,
        val=0,
        test=0,
        captions=1,
        composition=0,
        zero_shot=0,
        abduction=0,
        referring=0,
        few_shot=0,
        format="jpg",
    )
    folder = export_world(tmp_path / "out", config)
    (path,) = (folder / "images").iterdir()
    with Image.open(path) as image:
        assert image.format == "JPEG"


def test_nothing_is_overwritten_or_left_half_done(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="already has content"):
        export_world(tmp_path, SMALL)
    with pytest.raises(UserError, match="png or jpg"):
        export_world(tmp_path / "new", ExportConfig(format="gif"))
    with pytest.raises(UserError, match="train"):
        export_world(tmp_path / "new", ExportConfig(train=-1))
    with pytest.raises(UserError, match="16 to 4096"):
        export_world(tmp_path / "new", ExportConfig(size=2))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
