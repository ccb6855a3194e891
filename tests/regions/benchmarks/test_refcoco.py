"""RefCOCO: its IoU, miniatures of its files, and pickles that are refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trifocal.data.regions import Region, RegionItem
from trifocal.data.sherlock_files import Instance, write_instances
from trifocal.errors import UserError
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.evaluate.runner import make_job
from trifocal.metrics.benchmark import Benchmark
from trifocal.regions.benchmarks.refcoco import RefCoco, choose, convert_refs, iou, read_detections
from trifocal.regions.benchmarks.refs_pickle import unpickle_plain

BOXES = {1: [0, 0, 20, 20], 2: [30, 0, 20, 20], 3: [0, 30, 20, 20], 4: [10, 10, 30, 30]}


def test_iou_by_hand():
    others = [[0, 0, 10, 20], [5, 0, 10, 10], [8, 0, 10, 10], [9, 0, 10, 10], [0, 0, 10, 10]]
    found = iou(others, [0, 0, 10, 10])
    np.testing.assert_allclose(found, [0.5, 1 / 3, 1 / 9, 0.0, 1.0], atol=1e-12)
    assert not found[0] > 0.5  # exactly one half is not right


whole = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9))


@given(whole, whole)
def test_iou_counts_pixels_but_no_single_row(a, b):
    def pixels(box):
        x, y, wide, high = box
        return {(i, j) for i in range(x, x + wide) for j in range(y, y + high)}

    both, either = pixels(a) & pixels(b), pixels(a) | pixels(b)
    thin = min(len({i for i, _ in both}), len({j for _, j in both})) < 2
    assert iou(a, b) == pytest.approx(0 if thin else len(both) / len(either) if either else 0)


def test_the_first_of_the_best_is_chosen():
    assert choose([0.1, 0.7, 0.7]) == 1
    assert choose([]) == -1
    with pytest.raises(UserError, match="hold NaN"):
        choose([float("nan")])


def refs() -> list[dict[str, Any]]:
    def one(number: int, annotation: int, split: str, *texts: str) -> dict[str, Any]:
        return {
            "ref_id": number,
            "ann_id": annotation,
            "image_id": 7 if annotation < 4 else 8,
            "category_id": 1,
            "split": split,
            "file_name": f"COCO_train2014_{number}_{annotation}.jpg",
            "sent_ids": list(range(len(texts))),
            "sentences": [
                {"sent": text, "raw": text.upper(), "tokens": text.split(), "sent_id": k}
                for k, text in enumerate(texts)
            ],
        }

    return [
        one(0, 1, "train", "the first"),
        one(1, 1, "val", "left top", "the top one"),
        one(2, 2, "val", "right"),
        one(3, 3, "testA", "bottom"),
        one(4, 4, "testB", "the only one"),
    ]


@pytest.fixture
def root(tmp_path) -> Path:
    images = [
        {"id": 7, "file_name": "seven.jpg", "width": 60, "height": 60},
        {"id": 8, "file_name": "eight.jpg", "width": 60, "height": 60},
    ]
    annotations = [
        {"id": k, "image_id": 7 if k < 4 else 8, "bbox": box, "category_id": 1}
        for k, box in BOXES.items()
    ]
    (tmp_path / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": []})
    )
    (tmp_path / "refs(unc).json").write_text(json.dumps(refs()))
    (tmp_path / "train2014").mkdir()
    for one in images:
        (tmp_path / "train2014" / one["file_name"]).touch()
    return tmp_path


def scored(benchmark: RefCoco, model: Any, root: Path) -> dict[tuple[str, str], Any]:
    rows = benchmark.score(model, benchmark.items(root))
    return {(row.task, row.metric): row for row in rows}


def expected(model: Any, picture: str, text: str, target: int, offered: list[list[int]]) -> bool:
    scores = [model.score(Region(picture, (tuple(box),)), text) for box in offered]
    return bool(iou(offered[int(np.argmax(scores))], BOXES[target]) > 0.5)


def test_it_is_a_benchmark():
    assert isinstance(RefCoco(), Benchmark)
    assert BENCHMARKS["refcoco"] is RefCoco
    assert make_job("refcoco:refcoco+", "/data").benchmark.dataset == "refcoco+"


def test_annotated_boxes_as_proposals(root, model):
    assert RefCoco().check(root) == []
    items = RefCoco().items(root)
    assert len(items) == 5  # sentences, and not those of train
    found = scored(RefCoco(), model, root)
    three = [BOXES[k] for k in (1, 2, 3)]
    questions = [("left top", 1), ("the top one", 1), ("right", 2)]
    right = [expected(model, "seven.jpg", text, target, three) for text, target in questions]
    assert found["val", "acc"].value == pytest.approx(np.mean(right))
    assert found["val", "acc"].n == 3
    assert found["val", "acc"].chance == pytest.approx(1 / 3)
    assert found["testA", "acc"].n == 1
    assert found["testB", "acc"].value == 1.0
    assert all(row.value == 1 for (_, name), row in found.items() if name == "proposal_recall")
    assert {row.benchmark for row in found.values()} == {"refcoco"}
    protocol = found["val", "acc"].protocol
    assert "prompt by name; best of the annotated boxes, refs(unc), IoU > 0.5" in protocol


def test_splits(root, model):
    assert set(scored(RefCoco(split="testA"), model, root)) == {
        ("testA", "acc"),
        ("testA", "proposal_recall"),
    }
    assert len(RefCoco(split="val, testB").items(root)) == 4
    assert len(RefCoco(split="train").items(root)) == 1
    with pytest.raises(UserError, match="no split 'test' here; there are train, val"):
        RefCoco(split="test").items(root)


@pytest.mark.parametrize("form", ["by id", "by name", "coco"])
def test_detected_boxes(root, model, form):
    # The second box overlaps its target by exactly one half, and one picture has none.
    boxes = [[1, 1, 20, 20], [30, 0, 20, 10], [40, 40, 5, 5]]
    content: Any = {"7": boxes, "8": []}
    if form == "by name":
        content = {"seven.jpg": boxes}
    elif form == "coco":
        content = [{"image_id": 7, "bbox": box, "score": 0.5, "category_id": 1} for box in boxes]
    file = root / "detections.json"
    file.write_text(json.dumps(content))
    found = scored(RefCoco(proposals=file), model, root)
    right = [
        expected(model, "seven.jpg", text, target, boxes)
        for text, target in (("left top", 1), ("the top one", 1), ("right", 2))
    ]
    assert found["val", "acc"].value == pytest.approx(np.mean(right))
    assert found["val", "proposal_recall"].value == pytest.approx(2 / 3)
    assert found["testB", "acc"].value == found["testB", "proposal_recall"].value == 0
    assert "best of detections.json" in found["val", "acc"].protocol


def test_detections_of_another_form(tmp_path):
    file = tmp_path / "detections.json"
    for content in ([{"box": [1]}], {"a": [[1, 2]]}, 3, {"a": 3}):
        file.write_text(json.dumps(content))
        with pytest.raises(UserError, match="must map pictures to lists of boxes"):
            read_detections(file)
    file.write_text(json.dumps({"a": [[1, 2, 0, 4], [1, 2, 3, 4]]}))
    assert read_detections(file) == {"a": ((1, 2, 3, 4),)}


def test_no_proposal_at_all(root, model):
    file = root / "detections.json"
    file.write_text("{}")
    with pytest.raises(UserError, match="none of the 5 questions has a proposal"):
        scored(RefCoco(proposals=file), model, root)


def test_the_export_of_the_usual_split_is_taken(root):
    (root / "refs(google).json").write_text(json.dumps(refs()[1:2]))
    assert len(RefCoco().items(root)) == 5
    assert len(RefCoco(refs=root / "refs(google).json").items(root)) == 2


def test_photos(root):
    (root / "train2014" / "eight.jpg").unlink()
    (missing,) = RefCoco().check(root)
    assert missing.count == 1
    assert "eight.jpg is missing: get COCO's train2014 photos" in str(missing)
    items = RefCoco(available_only=True).items(root)
    assert (len(items), items.of) == (4, 5)
    (root / "train2014").rename(root / "elsewhere")
    assert len(RefCoco().check(root)) == 1
    assert RefCoco(split="val", images=root / "elsewhere").check(root) == []


def test_the_rest_is_named_in_the_protocol(root, model):
    (root / "train2014" / "eight.jpg").unlink()
    found = scored(RefCoco(available_only=True), model, root)
    assert "4 of 5 questions, whose photos are present" in found["val", "acc"].protocol


def test_missing_files(tmp_path):
    first, second = RefCoco().check(tmp_path)
    assert "instances.json is missing: get refcoco.zip" in str(first)
    assert "refs(unc).json is missing" in str(second)
    (tmp_path / "refs(umd).p").touch()
    assert "refs(umd).p is there only as a pickle" in str(RefCoco().check(tmp_path)[1])
    with pytest.raises(UserError, match="no data set 'coco'"):
        RefCoco(dataset="coco").check(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("refs(unc).json", [{"ref_id": 1}], "entry 0 has no ann_id"),
        ("refs(unc).json", [3], "entry 0 has no ref_id"),
        ("refs(unc).json", [{**refs()[0], "ann_id": 99}], "annotation 99, which .* does not have"),
        ("refs(unc).json", [{**refs()[0], "sentences": [3]}], "fields are of another type"),
        ("refs(unc).json", [{**refs()[0], "ann_id": [1]}], "fields are of another type"),
        ("refs(unc).json", {}, "must hold a JSON list"),
        ("instances.json", [], "has no list of images"),
        ("instances.json", {"images": [{}], "annotations": []}, "has no file_name"),
        ("instances.json", {"images": [3], "annotations": []}, "not in COCO's format"),
        (
            "instances.json",
            {"images": [{"id": 1, "file_name": "../x.jpg"}], "annotations": []},
            "not a path below",
        ),
        (
            "instances.json",
            {"images": [], "annotations": [{"id": 4, "image_id": 1, "bbox": [1]}]},
            "annotation 4 has a box that is not",
        ),
    ],
)
def test_another_format(root, name, content, message):
    (root / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        RefCoco().items(root)


def layout(root: Path) -> Path:
    made = [
        Instance(
            RegionItem(
                f"r{k}",
                Region("x", (tuple(BOXES[k]),), (60, 60)),
                "clue",
                f"expression {k}",
                tuple(tuple(BOXES[j]) for j in (1, 2, 4)) if k < 3 else (),
            ),
            "refexp/seven.jpg",
        )
        for k in (1, 2, 3)
    ]
    (root / "refexp").mkdir()
    (root / "refexp" / "seven.jpg").touch()
    write_instances(root / "refcoco_testA.json", made)
    return root / "refcoco_testA.json"


def test_sherlocks_layout(tmp_path, model):
    file = layout(tmp_path)
    found = scored(RefCoco(annotations=file), model, tmp_path)
    boxes = [BOXES[j] for j in (1, 2, 4)]
    right = [expected(model, "seven.jpg", f"expression {k}", k, boxes) for k in (1, 2)]
    assert found["testA", "acc"].value == pytest.approx(sum(right) / 3)  # one has no proposals
    assert found["testA", "proposal_recall"].value == pytest.approx(2 / 3)
    all_meant = RefCoco(annotations=file, proposals="ground_truth").items(tmp_path)
    assert all(len(one.proposals) == 3 for one in all_meant.questions)
    detections = tmp_path / "detections.json"
    detections.write_text(json.dumps({"seven.jpg": [BOXES[4]]}))
    detected = RefCoco(annotations=file, proposals=detections).items(tmp_path)
    assert all(one.proposals == (tuple(BOXES[4]),) for one in detected.questions)
    (missing,) = RefCoco(annotations=tmp_path / "none.json").check(tmp_path)
    assert "none.json is missing" in str(missing)


# -- pickles ------------------------------------------------------------------------------------


def test_a_pickle_is_refused_and_can_be_converted(root):
    file = root / "refs(umd).p"
    file.write_bytes(pickle.dumps(refs(), protocol=2))
    with pytest.raises(UserError, match="is a pickle, which can run code"):
        RefCoco(refs=file).items(root)
    with pytest.raises(UserError, match="give unsafe=True"):
        convert_refs(file)
    target = convert_refs(file, unsafe=True)
    assert target == root / "refs(umd).json"
    with pytest.raises(UserError, match="is not replaced"):
        convert_refs(file, unsafe=True)
    plain = json.loads(target.read_text())
    assert [one["sentences"] for one in plain] == [one["sentences"] for one in refs()]
    assert RefCoco(refs=target).items(root).questions == RefCoco().items(root).questions


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_of_every_protocol(tmp_path, protocol):
    content = [{"a": [1, 2.5, None, True, "é"], "b": (1, 10**30)}]
    file = tmp_path / "a.p"
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    assert unpickle_plain(file) == content


def test_strings_of_python_2(tmp_path):
    file = tmp_path / "a.p"
    file.write_bytes(b"(lp0\nS'caf\\xc3\\xa9'\np1\naI3\na.")
    assert unpickle_plain(file) == ["café", 3]


class Call:
    """Pickles as a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", ["system", "eval", "class", "set"])
def test_a_pickle_that_calls_is_refused_before_it_does(tmp_path, protocol, kind):
    mark = tmp_path / "was here"
    content = {
        "system": Call(os.system, (f"touch '{mark}'",)),
        "eval": Call(eval, (f"open({str(mark)!r}, 'w')",)),
        "class": Path("x"),
        "set": Call(bytearray, (10,)),
    }[kind]
    file = tmp_path / "refs(unc).p"
    file.write_bytes(pickle.dumps([*refs(), content], protocol=protocol))
    with pytest.raises(UserError, match="do not open it"):
        convert_refs(file, unsafe=True)
    assert not mark.exists()
    assert not (tmp_path / "refs(unc).json").exists()


def test_other_pickles(tmp_path, monkeypatch):
    file = tmp_path / "a.p"
    with pytest.raises(UserError, match="there is no file"):
        convert_refs(file, unsafe=True)
    for content in (b"", b"no pickle", pickle.dumps([1, 2])[:-3]):
        file.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as a pickle"):
            convert_refs(file, unsafe=True)
    file.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match="no list of references"):
        convert_refs(file, unsafe=True)
    file.write_bytes(pickle.dumps([{"ref_id": 3}]))
    with pytest.raises(UserError, match="entry 0 has no ann_id"):
        convert_refs(file, unsafe=True)
    monkeypatch.setattr("trifocal.regions.benchmarks.refcoco_files._MAX_SENTENCES", 3)
    many = refs()
    file.write_bytes(pickle.dumps(many))
    with pytest.raises(UserError, match="more than 3 sentences"):
        convert_refs(file, unsafe=True)
    monkeypatch.setattr("trifocal.regions.benchmarks.refs_pickle._MAX_BYTES", 10)
    with pytest.raises(UserError, match="larger than"):
        convert_refs(file, unsafe=True)


# -- boxes that mean something else -------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"].append(c["annotations"][0]), "annotation 1 is there twice"),
        (lambda c: c["images"].append(c["images"][0]), "picture 7 is there twice"),
        (lambda c: c["images"][0].update(width=0), "picture 7 has no width and height"),
        (lambda c: c["annotations"][0].update(image_id=8), "is about picture 7, but its annot"),
        (lambda c: c["annotations"][0].update(bbox=[0.1, 0.1, 0.4, 0.4]), "box in shares"),
        (lambda c: c["annotations"][0].update(bbox=[90, 1, 4, 4]), "box outside the picture"),
    ],
)
def test_annotations_that_cannot_be_meant(root, edit, message):
    content = json.loads((root / "instances.json").read_text())
    edit(content)
    (root / "instances.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        RefCoco().items(root)


def test_detections_in_another_format(root):
    corners = {"7": [[1, 1, 21, 21], [30, 20, 50, 55]]}
    file = root / "detections.json"
    file.write_text(json.dumps(corners))
    with pytest.raises(UserError, match="state proposal_format: xyxy"):
        RefCoco(proposals=file).items(root)
    stated = RefCoco(proposals=file, proposal_format="xyxy").items(root)
    assert stated.questions[0].proposals == ((1, 1, 20, 20), (30, 20, 20, 35))
    file.write_text(json.dumps({"7": [[0.1, 0.5, 0.5, 0.25]]}))
    with pytest.raises(UserError, match=r"box in shares of the picture.*proposal_format"):
        RefCoco(proposals=file).items(root)
    shares = RefCoco(proposals=file, proposal_format="normalized").items(root)
    assert shares.questions[0].proposals == ((6, 30, 30, 15),)
    with pytest.raises(UserError, match="none is given"):
        RefCoco(proposal_format="xyxy").items(root)
