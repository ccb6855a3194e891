"""Files in COCO's layout: miniatures of both forms, every fault, and the real ones."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from PIL import Image

from trifocal.data.coco_files import in_split, picture_folder, read_coco, split_of
from trifocal.errors import UserError
from trifocal.tally import Tally

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]


def content(**changes):
    """An annotation file of two photos, as COCO publishes it."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 80, "height": 60},
            {"id": 9, "file_name": "b.png", "width": 40, "height": 40},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [8, 6, 40, 30], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 80, 20], "iscrowd": 1},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [60, 50, 6, 7], "iscrowd": 0},
            {"id": 4, "image_id": 9, "category_id": 1, "bbox": [30, 30, 20, 20], "iscrowd": 0},
        ],
        "categories": CATEGORIES,
        **changes,
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "val2017").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "val2017" / "a.png")  # scaled by a half
    Image.new("RGB", (40, 40)).save(tmp_path / "val2017" / "b.png")
    (tmp_path / "annotations").mkdir()
    return tmp_path


def written(folder, **changes):
    file = folder / "annotations" / "instances_val2017.json"
    file.write_text(json.dumps(content(**changes)))
    return file


def test_photos_are_found_beside_the_file_and_boxes_keep_their_frame(folder):
    read = read_coco(written(folder))
    assert read.categories == ("person", "dog")
    assert [(photo.name, len(photo.things)) for photo in read.photos] == [("a", 3), ("b", 1)]
    dog = read.photos[0].things[0]
    assert (dog.id, dog.category, dog.box, dog.crowd) == ("a-0", "dog", (8, 6, 40, 30), False)
    image, boxes = read.photos[0].region(dog).open()
    assert image.size == (40, 30)
    assert boxes == ((4, 3, 20, 15),)


def test_crowds_and_small_boxes_are_no_regions(folder):
    first, second = read_coco(written(folder)).photos
    assert [thing.id for thing in first.shown(0.01)] == ["a-0"]  # 42 of 4800 pixels are too few
    assert [thing.id for thing in first.shown(0.008)] == ["a-0", "a-2"]
    # A quarter of this box lies in the photo: 100 of 1600 pixels.
    assert second.shown(0.0625)
    assert not second.shown(0.063)


def test_annotations_may_lie_inside_their_images_and_categories_be_a_mapping(folder):
    outside = content()
    images = [
        {
            **image,
            "boxes": [one for one in outside["annotations"] if one["image_id"] == image["id"]],
        }
        for image in outside["images"]
    ]
    for image in images:
        del image["id"]
    names = {str(one["id"]): one["name"] for one in CATEGORIES}
    inside = written(folder, images=images, annotations=[], categories=names)
    assert read_coco(inside) == read_coco(written(folder))


def test_a_folder_of_the_files_name_is_looked_into(tmp_path):
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "a.jpg").touch()
    assert picture_folder(tmp_path / "coco.json", ["b.jpg", "a.jpg"]) == tmp_path / "coco"
    assert picture_folder(tmp_path / "coco.json", ["c.jpg"]) == tmp_path


def test_a_photo_is_in_one_part_whatever_its_folder():
    names = [f"{number:012d}" for number in range(4000)]
    counts = Counter(map(split_of, names))
    assert abs(counts["train"] - 2000) < 100
    assert abs(counts["val"] - 800) < 80
    assert abs(counts["test"] - 1200) < 100
    # The rule is fixed: another one would mix training and test of older runs.
    first = ["test", "train", "train", "val", "train", "train"]
    assert [split_of(name) for name in names[:6]] == first


def test_parts_are_disjoint_and_all_together_everything(folder):
    photos = read_coco(written(folder)).photos
    parts = [in_split(photos, part) for part in ("train", "val", "test")]
    assert sorted(one.name for part in parts for one in part) == ["a", "b"]
    assert in_split(photos, "all") == list(photos)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": {}}, "no list of images"),
        ({"images": [{"file_name": "../a.png", "width": 1, "height": 1}]}, "below a folder"),
        ({"images": [{"file_name": "a.png", "width": 0, "height": 1}]}, "no width"),
        ({"images": [{"file_name": "a.png", "width": 10**400, "height": 1}]}, "no width"),
        ({"images": [{"file_name": "a" * 300, "width": 1, "height": 1}]}, "missing"),
        ({"images": [{"id": [], "file_name": "a.png", "width": 1, "height": 1}]}, "no number"),
        ({"images": [content()["images"][0]] * 2}, "twice"),
        ({"categories": []}, "no categories"),
        ({"categories": [{"id": 1}]}, "no id and name"),
        ({"categories": [*CATEGORIES, {"id": 2, "name": "dog"}]}, "twice"),
        ({"annotations": [{"bbox": [1, 2, 3, 4]}]}, "names no image_id"),
    ],
)
def test_another_layout_is_named(folder, changes, said):
    with pytest.raises(UserError, match=said):
        read_coco(written(folder, **changes))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"category_id": 99}, "unknown category"),
        ({"bbox": [1, 2, 3]}, "four numbers"),
        ({"bbox": [1, 2, 3, 0]}, "no area"),
        ({"bbox": [90, 2, 3, 4]}, "outside the picture"),
        ({"bbox": [0.1, 0.2, 0.3, 0.3]}, "in shares"),
    ],
)
def test_an_object_that_cannot_be_used_is_counted(folder, change, said, caplog):
    annotations = content()["annotations"]
    annotations[1] = {**annotations[1], **change}
    read = read_coco(written(folder, annotations=annotations))
    assert len(read.photos[0].things) == 2
    assert said in caplog.text
    annotations[2] = annotations[1]
    with pytest.raises(UserError, match=said):
        read_coco(written(folder, annotations=annotations))


def test_missing_photos_are_refused_or_left_out(folder):
    file = written(folder)
    (folder / "val2017" / "b.png").unlink()
    with pytest.raises(UserError, match=r"b\.png and 0 more of 2 photos are missing"):
        read_coco(file)
    tally = Tally("photos")
    assert [one.name for one in read_coco(file, missing="skip", tally=tally).photos] == ["a"]
    assert tally.used == 1
    (folder / "val2017" / "a.png").unlink()
    with pytest.raises(UserError, match="2 photos are missing"):
        read_coco(file, missing="skip")


def test_the_real_files(real_data):
    published = read_coco(
        real_data / "photos" / "coco_mini" / "annotations" / "instances_val2017.json"
    )
    assert (len(published.photos), len(published.categories)) == (79, 80)
    assert sum(len(photo.things) for photo in published.photos) == 624
    assert sum(thing.crowd for photo in published.photos for thing in photo.things) == 5
    nested = read_coco(real_data / "images" / "coco.json")
    assert (len(nested.photos), nested.categories) == (260, published.categories)
    assert sum(len(photo.things) for photo in nested.photos) == 1646
    photo = next(one for one in nested.photos if one.name == "000000000142")
    image, (box,) = photo.region(photo.things[0]).open()
    assert image.size == (256, 341)  # of 480 x 640 that boxes were measured in
    assert box == pytest.approx((136.9, 47.4, 85.4, 135.3), abs=0.1)
