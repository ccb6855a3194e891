"""FG-OVD: both forms of its files, ties and chance by hand, and every way of showing a box."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from tests.regions.support import tiny_clip
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find
from trifocal.regions.benchmarks.fg_ovd import FgOvd
from trifocal.regions.benchmarks.fg_ovd_files import LEVELS, NAMES
from trifocal.regions.registry import BENCHMARKS

TEXTS = ["a red cup", "a green cup", "a blue cup", "a red cup", "a cup"]
BOXES = [[0, 0, 40, 40], [50, 0, 40, 40], [0, 50, 40, 40]]


def coco(asked):
    """A file in the authors' layout: per box its category and its own negative ones."""
    images = [
        {"id": number, "file_name": f"train2017/{name}.png", "width": 100, "height": 100,
         "neg_category_ids": [1, 2, 3, 4]}  # of all boxes together: must not be read
        for number, name in enumerate("ab")
    ]  # fmt: skip
    annotations = [
        {"id": i, "image_id": image, "bbox": BOXES[box], "category_id": own, "neg_category_ids": no}
        for i, (image, box, own, no) in enumerate(asked)
    ]
    names = [{"id": number, "name": name} for number, name in enumerate(TEXTS)]
    return {"images": images, "annotations": annotations, "categories": names}


# Image, box, category, negatives. The model below sees red in the first box, green in the others.
HARD = [(0, 0, 0, [1, 2]), (1, 1, 0, [1]), (0, 1, 1, [0, 2, 4]), (1, 0, 0, [3, 2])]
PLAIN = [(0, 0, 0, [1])]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for level in LEVELS:
        content = coco(HARD if level == "hard" else PLAIN)
        (folder / f"{NAMES[level][0]}.json").write_text(json.dumps(content))
    for name in "ab":
        path = tmp_path / "coco" / "train2017" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 100), "red" if name == "a" else "blue").save(path)
    return tmp_path


class Oracle:
    name, protocol = "oracle", "by heart"

    def encode_regions(self, regions, *, batch_size=1, progress=None):
        return torch.eye(4)[[0 if list(one.boxes[0]) == BOXES[0] else 1 for one in regions]]

    def encode_inferences(self, texts, *, batch_size=1, progress=None):
        return torch.eye(4)[[["red", "green", "blue", "cup"].index(t.split()[1]) for t in texts]]


def test_accuracy_ties_and_chance(root):
    benchmark = FgOvd(official=True)
    items = benchmark.items(root)
    assert (len(items), len(items.pool.regions)) == (4 + 3, 4)
    rows = benchmark.score(Oracle(), items)
    hard = find(rows, "fg_ovd", "hard", "acc_own")
    # Right; green is not red; right; "a red cup" is among its own foils.
    assert (hard.value, hard.n, hard.ties) == (1 / 2, 4, 1)
    assert hard.chance == pytest.approx((1 / 3 + 1 / 2 + 1 / 4 + 1 / 3) / 4)
    assert find(rows, "fg_ovd", "hard", "acc_own_ties_right").value == 3 / 4
    assert find(rows, "fg_ovd", "easy", "acc_own").value == 1
    assert hard.blind is not None
    assert not [row for row in rows if row.task == "color"]  # its file is not there


def test_lines_of_fg_clip_ask_the_same(root):
    folder = root / "fgovd_json"
    folder.mkdir()
    for level in LEVELS:
        asked = HARD if level == "hard" else PLAIN
        lines = [
            {"img_path": f"train2017/{'ab'[image]}.png", "bbox": BOXES[box],
             "pos_expression": [TEXTS[own]], "neg_expression": [TEXTS[one] for one in no]}
            for image, box, own, no in asked
        ]  # fmt: skip
        text = "\n".join(map(json.dumps, lines))
        (folder / f"{NAMES[level][-1]}_llava.jsonl").write_text(text)
    expected = [row.value for row in FgOvd().score(Oracle(), FgOvd().items(root))]
    for file in (root / "benchmarks").iterdir():
        file.unlink()
    found = FgOvd().score(Oracle(), FgOvd().items(root))
    assert [row.value for row in found] == expected


def test_each_way_of_showing_a_box_is_a_metric(root):
    assert BENCHMARKS["fg_ovd"] is FgOvd
    rows = FgOvd(limit=1).score(tiny_clip(), FgOvd(limit=1).items(root))
    assert {row.metric for row in rows} == {"acc_crop", "acc_box", "acc_patches"}
    protocols = {row.metric: row.protocol for row in rows}
    assert protocols["acc_crop"].startswith("prompt reg")
    assert protocols["acc_patches"].startswith("mean of the patches under the box")
    assert all("the first 1 of each part" in text for text in protocols.values())


def test_missing_photos(root):
    (root / "coco" / "train2017" / "b.png").unlink()
    (missing,) = FgOvd().check(root)
    assert (missing.count, "available_only" in missing.remedy) == (1, True)
    benchmark = FgOvd(available_only=True)
    rows = benchmark.score(Oracle(), benchmark.items(root))
    assert find(rows, "fg_ovd", "hard", "acc_own").n == 2
    assert "5 of 7 boxes, whose photos are present" in rows[0].protocol


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"category_id": 99}, "annotation 0 must have bbox"),
        ({"neg_category_ids": []}, "at least one foil"),
        ({"bbox": [0, 0, 0, 5]}, "annotation 0 must have bbox"),
        ({"image_id": None}, "annotation 0 must have bbox"),
    ],
)
def test_an_annotation_of_another_form_is_refused(root, change, said):
    content = coco(PLAIN)
    content["annotations"][0] |= change
    (root / "benchmarks" / "1_attributes.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        FgOvd().items(root)
    (root / "benchmarks" / "1_attributes.json").write_text("[]")
    with pytest.raises(UserError, match="must have images, categories, annotations"):
        FgOvd().items(root)


def test_a_picture_of_impossible_size_is_refused(root):
    path = root / "benchmarks" / f"{NAMES['hard'][0]}.json"
    content = json.loads(path.read_text())
    content["images"][0]["height"] = 10**400
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="annotation 0"):
        BENCHMARKS["fg_ovd"]().items(root)
