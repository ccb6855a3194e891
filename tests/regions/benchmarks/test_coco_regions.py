"""Objects of photos: which box is meant, and what is in it."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from tests.regions.support import tiny_clip
from trifocal.clip.trained_on import TrainedOn
from trifocal.errors import UserError
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.features.identity import content_hash
from trifocal.metrics.accuracy import correct_at
from trifocal.regions.benchmarks.coco_regions import CocoRegions

CATEGORIES = ["person", "dog", "cat", "bed", "car", "bus", "cup"]
# Per photo: category, box and crowd. The small cup is no region, but makes the cups two.
PHOTOS = {
    "a": [(0, [0, 0, 40, 40], 0), (1, [50, 0, 40, 40], 0), (6, [0, 50, 40, 40], 0), (6, [90, 90, 5, 5], 0)],
    "b": [(0, [0, 0, 50, 100], 0), (0, [50, 0, 50, 100], 0), (2, [20, 20, 30, 30], 0)],
    "c": [(3, [0, 0, 100, 100], 0)],
    "d": [(0, [0, 0, 50, 50], 0), (0, [50, 0, 50, 50], 1), (4, [0, 50, 50, 50], 0)],
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    images, annotations = [], []
    for number, (name, things) in enumerate(PHOTOS.items()):
        Image.new("RGB", (100, 100)).save(tmp_path / f"{name}.png")
        images.append({"id": number, "file_name": f"{name}.png", "width": 100, "height": 100})
        annotations += [
            {"image_id": number, "category_id": category, "bbox": box, "iscrowd": crowd}
            for category, box, crowd in things
        ]
    names = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)]
    content = {"images": images, "annotations": annotations, "categories": names}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


class Oracle:
    """Knows the category of every box but for those that it is told to get wrong."""

    name, protocol = "oracle", "by heart"

    def __init__(self, wrong=(), blind=False):
        self.wrong, self.blind = dict(wrong), blind

    def encode_regions(self, regions, *, batch_size=1, progress=None):
        rows = []
        for region in regions:
            name = region.image.stem
            thing = next(one for one in PHOTOS[name] if tuple(one[1]) == region.boxes[0])
            category = self.wrong.get((name, thing[0]), thing[0])
            rows.append(torch.ones(7) if self.blind else torch.eye(7)[category] * 0.9)
        return torch.stack(rows)

    def encode_inferences(self, texts, *, batch_size=1, progress=None):
        return torch.eye(7)[[CATEGORIES.index(text.removeprefix("a ")) for text in texts]]


def values(model, root, **options):
    benchmark = CocoRegions(**options)
    rows = benchmark.score(model, benchmark.items(root))
    return {row.metric: row for row in rows}


def test_who_is_asked_about(root):
    items = CocoRegions().items(root)
    assert len(items) == 3 + 3 + 1 + 2
    asked = {photo.name: photo.categories[photo.single].tolist() for photo in items.photos}
    # Two cups, two people, a photo with a single box, a person before a crowd.
    assert asked == {"a": [0, 1], "b": [2], "c": [], "d": [4]}


def test_one_who_knows_is_right(root):
    found = values(Oracle(), root)
    assert {metric: row.value for metric, row in found.items()} == {
        "GT-Box": 1, "acc1": 1, "acc5": 1, "mean_per_class_recall": 1,
    }  # fmt: skip
    assert (found["GT-Box"].n, found["acc1"].n) == (3, 4)
    assert found["GT-Box"].chance == pytest.approx((1 / 3 + 1 / 3 + 1 / 2) / 3)
    assert (found["acc1"].chance, found["acc5"].chance) == (1 / 7, 5 / 7)


def test_errors_count_within_their_photo(root):
    # The dog of the first photo is taken for a cat: "a dog" fits all boxes alike, and the dog's
    # box is one of three.
    found = values(Oracle({("a", 1): 2}), root)
    assert found["GT-Box"].value == pytest.approx(((1 + 1 / 3) / 2 + 1 + 1) / 3)
    assert found["acc1"].value == pytest.approx((2 / 3 + 1 + 1 + 1) / 4)
    assert found["mean_per_class_recall"].value == pytest.approx(5 / 6)
    assert found["GT-Box"].marks is not None
    assert found["GT-Box"].marks.tolist() == pytest.approx([2 / 3, 1, 1])
    assert found["GT-Box"].ties == 1


def test_one_who_sees_no_region_is_at_chance(root):
    found = values(Oracle(blind=True), root)
    for row in found.values():
        assert row.value == pytest.approx(row.chance), row.metric
    assert found["GT-Box"].ties == 4


def test_places_are_shared_among_equals():
    scores, right = torch.tensor([[1.0, 1, 0], [3, 2, 1], [0, 0, 0]]), torch.tensor([1, 1, 1])
    assert correct_at(scores, right, 1).tolist() == pytest.approx([1 / 2, 0, 1 / 3])
    assert correct_at(scores, right, 2).tolist() == pytest.approx([1, 1, 2 / 3])


def test_a_clip_is_scored_in_every_way(root):
    clip = tiny_clip()
    for variant in ("patches", "plain", "r-cpt"):
        found = values(clip, root, variant=variant, layout="separate")
        assert len(found) == 4
    assert found["acc1"].protocol.startswith("prompt r-cpt, separate")


def test_it_is_found_by_name_and_says_what_is_missing(root, tmp_path):
    assert BENCHMARKS["coco_regions"] is CocoRegions
    assert CocoRegions().check(root) == []
    (missing,) = CocoRegions().check(tmp_path / "empty")
    assert missing.path.endswith("instances_val2017.json")
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text("{}")
    with pytest.raises(UserError, match="val2017"):  # the validation file goes before others
        CocoRegions().items(root)
    (missing,) = CocoRegions(annotations="no.json").check(root)
    assert missing.path.endswith("no.json")
    with pytest.raises(UserError, match="no object to ask about"):
        CocoRegions(annotations="instances.json", least_area=2).items(root)


def test_real_photos(real_data):
    items = CocoRegions(annotations="images/coco.json").items(real_data)
    assert (len(items), len(items.photos), len(items.categories)) == (832, 191, 80)
    assert sum(len(photo.single) for photo in items.photos) == 288


@pytest.mark.parametrize("variant", [None, "patches"])
def test_photos_of_the_training_are_counted(root, variant):
    model, benchmark = tiny_clip(), CocoRegions(variant=variant)
    photo = (root / "a.png").read_bytes()  # all four have the same bytes
    model.trained_on = TrainedOn.of([content_hash(photo)])
    for row in benchmark.score(model, benchmark.items(root)):
        assert row.account == {"seen_in_training": 4}
        assert "; 4 of the 4 pictures were in training" in row.protocol
