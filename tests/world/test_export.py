"""Exported files have the benchmarks' own formats and agree with the scene graphs."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from trifocal.errors import UserError
from trifocal.world.composition import TASKS
from trifocal.world.draw import draw
from trifocal.world.export import ExportConfig, export_world
from trifocal.world.scene import make_scene
from trifocal.world.zero_shot import ZERO_SHOT

SMALL = ExportConfig(
    seed=1, size=32, train=3, val=2, test=2, captions=5, composition=4, zero_shot=6
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
        assert image.tobytes() == draw(scene, 32).tobytes()


def test_jpeg(tmp_path):
    config = ExportConfig(
        size=32, train=1, val=0, test=0, captions=1, composition=0, zero_shot=0, format="jpg"
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
