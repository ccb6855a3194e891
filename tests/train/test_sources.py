"""From a recipe's data section to samples, on a drawn world, on tables, on shards, on photos."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.train.support import batching, recipe, tiny_clip
from trifocal import config
from trifocal.composition.baselines import Finetune
from trifocal.concepts.few_shot_data import FewShotData
from trifocal.data.captions import CaptionData, read_captions
from trifocal.data.shards import ShardData, write_shards
from trifocal.data.sherlock import SherlockData
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.world_regions import WorldRegions
from trifocal.train import train
from trifocal.train.build import build_evaluators, few_shot_items
from trifocal.train.logs import read_lines
from trifocal.train.recipe import Recipe
from trifocal.world.abduction import WorldAbductionData
from trifocal.world.few_shot_source import WorldFewShotData
from trifocal.world.referring import WorldReferringData
from trifocal.world.source import WorldData


@pytest.fixture
def table(tmp_path):
    lines = ["image,caption,split"]
    for n in range(24):
        array = np.random.default_rng(n).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(array).save(tmp_path / f"{n}.jpg")
        lines.append(f"{n}.jpg,a small cat {n},{('train', 'val')[n % 2]}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    return path


def section(**data):
    """Read a recipe's section."""
    return config.build(Recipe, {"data": data}).data


def first(source):
    return source.sample(0, np.random.default_rng(0))


def test_the_world():
    source = WorldData(size=7, seed=3).open((24, 32))
    assert len(source) == 7
    assert first(source).image.shape == (3, 24, 32)


def test_a_table_and_its_shards(table):
    source = CaptionData(path=str(table), split="val").open((16, 16))
    assert len(source) == 12
    assert first(source).caption == "a small cat 1"
    write_shards(read_captions(table), table.parent / "shards", per_shard=10)
    pattern = str(table.parent / "shards" / "{00000..00002}.tar")
    shards = ShardData(path=pattern, draft=True).open((16, 16))
    assert len(shards) == 24
    assert first(shards).image.size == (30, 20)
    with pytest.raises(UserError, match=r"data\.captions is 'each'; it must be one of 'random'"):
        section(source="shards", path=pattern, captions="each")


def test_missing_pictures(table):
    (table.parent / "3.jpg").unlink()
    data = CaptionData(path=str(table))
    with pytest.raises(UserError, match=r"1 image files are missing \(.*3.jpg\); set data.images"):
        data.open((16, 16))
    skipping = CaptionData(path=str(table), missing="skip")
    assert len(skipping.open((16, 16))) == 23


def test_no_path():
    with pytest.raises(UserError, match="so set data"):
        section(source="captions")


def test_training_on_files_with_one_of_them_broken(table, tmp_path):
    (table.parent / "5.jpg").write_bytes(b"\xff\xd8 broken")
    data = CaptionData(path=str(table), bad_image_share=0.1)
    made = recipe(tmp_path / "runs", data=data, steps=6, workers=1)
    method = Finetune(tiny_clip())
    train(method, data.open((16, 16)), batching(method), made)
    skipped = read_lines(tmp_path / "runs" / "t" / "skipped.jsonl")
    assert [line["id"] for line in skipped] == ["5.jpg"]


def test_training_on_real_photos(real_data, tmp_path):
    images = real_data / "images"
    if not (images / "coco.json").is_file():
        pytest.skip("no COCO photos in the real data")
    data = CaptionData(path=str(images / "coco.json"), images=str(images / "coco"), draft=True)
    source = data.open((16, 16))
    method, made = Finetune(tiny_clip()), recipe(tmp_path, data=data, steps=4, workers=1)
    train(method, source, batching(method), made)
    lines = read_lines(tmp_path / "t" / "metrics.jsonl")
    assert [line["step"] for line in lines if line["event"] == "train"] == [1, 2, 3, 4]
    assert not (tmp_path / "t" / "skipped.jsonl").exists()


@pytest.mark.parametrize("kind", [WorldAbductionData, WorldReferringData])
def test_the_worlds_regions(kind):
    source = kind(size=5, seed=3).open((32, 32))
    assert len(source) == 5
    sample = first(source)
    assert sample.image.size == (96, 96)
    assert sample.boxes
    assert sample.inference
    assert sample.clue


@pytest.fixture
def annotated(tmp_path):
    Image.new("RGB", (60, 40), (9, 9, 9)).save(tmp_path / "a.png")
    entries = [
        {
            "instance_id": str(number),
            "inputs": {
                "image": {"url": f"{name}.png", "width": 120, "height": 80},
                "bboxes": [{"left": 20, "top": 10, "width": 40, "height": 30}],
                "clue": "a thing",
                "confidence": 3.0,
                "obs_idx": 0,
            },
            "targets": {"inference": "it was left"},
        }
        for number, name in enumerate("ab")
    ]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(entries))
    return path


def test_a_file_in_sherlocks_layout(annotated):
    recipe = SherlockData(path=str(annotated), missing="skip")
    source = recipe.open((32, 32))
    assert len(source) == 1
    assert first(source).boxes == ((10, 5, 20, 15),)  # the photo is half of what was annotated
    with pytest.raises(UserError, match=r"b\.png"):
        SherlockData(path=str(annotated)).open((32, 32))


def test_the_worlds_regions_are_judged_by_validation_scenes(monkeypatch):
    asked = []
    monkeypatch.setattr(
        WorldRegions, "score", lambda self, *_, **__: asked.append((self.split, self.scenes)) or []
    )
    evaluators = build_evaluators(Recipe(evaluation=("world_regions",)))
    assert evaluators["world_regions"](None) == {}
    assert asked[0][0] == "val"


@pytest.fixture
def classes(tmp_path):
    """A folder of class folders, four training and two test pictures each."""
    for number, name in enumerate(("cat", "small_dog", "emu")):
        for part, count in (("train", 4), ("test", 2)):
            (tmp_path / "zoo" / part / name).mkdir(parents=True)
            for n in range(count):
                shade = np.full((20, 24, 3), 60 * number + 10 * count + n, dtype=np.uint8)
                Image.fromarray(shade).save(tmp_path / "zoo" / part / name / f"{n}.png")
    return tmp_path / "zoo"


def drawn(**options):
    source = FewShotData(**options).open((16, 16))
    return source, [(source.labels[n], file.name) for n, file in enumerate(source.files)]


def test_a_few_shot_draw_from_class_folders(classes):
    source, first_draw = drawn(path=str(classes), shots=2, seed=1)
    assert [label for label, _ in first_draw] == [0, 0, 1, 1, 2, 2]
    assert source.classnames == ("cat", "emu", "small dog")
    assert drawn(path=str(classes), shots=2, seed=1)[1] == first_draw
    assert drawn(path=str(classes), shots=2, seed=2)[1] != first_draw
    assert len(drawn(path=str(classes), shots=16)[1]) == 12  # all there are
    sample = first(source)
    assert (sample.label, sample.classnames[0]) == (0, "cat")


@pytest.mark.parametrize("val_first", [False, True])
def test_validation_may_be_drawn_first(tmp_path, val_first):
    """The published miniature of the draw, with as many pictures for validation."""
    split = {}
    for part in ("train", "val", "test"):
        split[part] = [
            [f"{part}/{name}/{n}.jpg", label, name]
            for label, (name, count) in enumerate((("cat", 5), ("dog", 5), ("emu", 3)))
            for n in range(count)
        ]
        for path, _, _ in split[part]:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(tmp_path / path)
    (tmp_path / "split_zhou_Mini.json").write_text(json.dumps(split))
    source, _ = drawn(path=str(tmp_path), shots=1, seed=1, val_first=val_first)
    names = [file.relative_to(tmp_path).as_posix() for file in source.files]
    published = ["train/cat/1.jpg", "train/dog/4.jpg", "train/emu/0.jpg"]
    assert (names == published) is not val_first


def test_the_worlds_classes():
    source = WorldFewShotData(shots=2, seed=3).open((24, 24))
    assert len(source) == 2 * len(source.classnames) == 48
    assert [source.sample(n, np.random.default_rng(0)).label for n in (0, 1, 2, 47)] == [
        0,
        0,
        1,
        23,
    ]
    again = np.asarray(first(source).image)
    assert again.shape == (48, 48, 3)
    assert np.array_equal(again, np.asarray(first(source).image))


def test_few_shot_needs_a_folder(classes, tmp_path):
    with pytest.raises(UserError, match=r"set data\.path"):
        section(source="few-shot")
    with pytest.raises(UserError, match="there is no folder"):
        FewShotData(path=str(tmp_path / "none")).open((16, 16))


def test_what_a_few_shot_recipe_is_judged_by(classes):
    data = FewShotData(path=str(classes), shots=2)
    items = few_shot_items(data, (16, 16))
    assert items.labels == [0, 0, 1, 1, 2, 2]
    assert all("test" in str(path) for path in items.images)
    world = few_shot_items(WorldFewShotData(), (16, 16))
    assert len(world) == 20 * len(world.classnames)
    with pytest.raises(UserError, match="wants classes"):
        few_shot_items(WorldData(), (16, 16))


def test_nothing_is_selected_on_test_pictures(classes):
    data = FewShotData(path=str(classes))
    monitor = "few_shot/zeroshot_classification/acc1"
    with pytest.raises(UserError, match="nothing may be selected"):
        build_evaluators(Recipe(data=data, evaluation=("few_shot",), monitor=monitor))
    assert build_evaluators(Recipe(data=data, evaluation=("few_shot",))).keys() == {"few_shot"}
