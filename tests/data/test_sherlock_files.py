"""Sherlock's annotation files: miniatures, every fault, and the published validation set."""

from __future__ import annotations

import json
import statistics
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.data.regions import Region, RegionItem
from trifocal.data.sherlock_files import (
    ImageRoots,
    Instance,
    missing_images,
    read_instances,
    source_of,
    write_instances,
)
from trifocal.errors import UserError

VG_URL = "https://cs.stanford.edu/people/rak248/VG_100K_2/2378438.jpg"
VCR_URL = "http://s3-us-west-2.amazonaws.com/ai2-rowanz/vcr1images/movieclips_Charade/a@0.jpg"
MEMBER = "sherlock/sherlock_val_with_split_idxs_v1_1.json.zip"
FOLD_SIZES = (
    *(983, 992, 986, 995, 988, 987, 986, 993, 985, 996, 980, 990),
    *(994, 985, 992, 990, 994, 979, 985, 991, 991, 992, 983),
)


def entry(**changes: Any) -> dict[str, Any]:
    """An instance as published, with dotted fields replaced, or removed where None."""
    made: dict[str, Any] = {
        "inputs": {
            "image": {"url": VG_URL, "width": 500, "height": 375},
            "bboxes": [{"height": 168, "width": 89, "left": 329, "top": 119}],
            "clue": "fruit cut in half",
            "confidence": 2.0,
            "obs_idx": 1,
        },
        "targets": {"inference": "people going to eat it"},
        "instance_id": "c344",
        "split_idx": 0,
    }
    for path, value in changes.items():
        *outer, last = path.split("__")
        place = made
        for key in outer:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return made


def write(path: Path, *entries: Any) -> Path:
    path.write_text(json.dumps(list(entries)))
    return path


def test_every_field(tmp_path):
    (one,) = read_instances(write(tmp_path / "a.json", entry()), roots=ImageRoots(vg="/vg"))
    assert one.item == RegionItem(
        "c344",
        Region(Path("/vg/VG_100K_2/2378438.jpg"), ((329, 119, 89, 168),), (500, 375)),
        "fruit cut in half",
        "people going to eat it",
    )
    assert (one.url, one.fold, one.confidence, one.observation) == (VG_URL, 0, 2.0, 1)


def test_fields_that_may_lack(tmp_path):
    sparse = entry(split_idx=None, inputs__confidence=None, inputs__obs_idx=None, inputs__clue=None)
    path = write(tmp_path / "a.json", sparse)
    (one,) = read_instances(path)
    assert (one.fold, one.confidence, one.observation, one.item.clue) == (None, None, None, "")


def test_boxes_stay_as_annotated(tmp_path):
    boxes = [
        {"left": -5, "top": 370, "width": 600, "height": 90},
        {"left": 3, "top": 4, "width": 1, "height": 2},
    ]
    (one,) = read_instances(write(tmp_path / "a.json", entry(inputs__bboxes=boxes)))
    assert one.item.region.boxes == ((-5, 370, 600, 90), (3, 4, 1, 2))


def test_proposals(tmp_path):
    boxes = [[1, 2, 30, 40.5], [0, 0, 0, 9]]
    (one,) = read_instances(write(tmp_path / "a.json", entry(yolo_box=boxes)))
    assert one.item.proposals == ((1, 2, 30, 40.5),)  # the other has no area


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs__image__url": None}, r"entry 1 \(c344\) has no inputs\.image\.url"),
        ({"inputs": None}, r"entry 1 \(c344\) has no inputs\.image"),
        ({"inputs__bboxes": None}, r"has no inputs\.bboxes"),
        ({"inputs__bboxes": []}, "has no box"),
        ({"inputs__bboxes": [{"left": 1, "top": 1, "width": 3}]}, "has a box without height"),
        ({"inputs__bboxes": [3]}, "has a box that is not"),
        ({"inputs__bboxes": [[0, 0, 0, 5]]}, r"has a box of no area \(0 x 5\)"),
        ({"inputs__bboxes": [[0, 0, 5, -1]]}, r"has a box of no area \(5 x -1\)"),
        ({"inputs__bboxes": [["0", 0, 5, 1]]}, "side that is not a number"),
        ({"inputs__bboxes": [[True, 0, 5, 1]]}, "side that is not a number"),
        ({"inputs__bboxes": [[1e300, 0, 5, 1]]}, "side that is not a number"),
        ({"inputs__bboxes": {"left": 1}}, r"inputs\.bboxes of another type than a list"),
        ({"inputs__image__width": 0}, r"has no inputs\.image\.width"),
        ({"inputs__image__height": "9"}, r"has no inputs\.image\.height"),
        ({"inputs__clue": 3}, "clue that is not a text"),
        ({"split_idx": "0"}, "split_idx, confidence or obs_idx that is not a number"),
        ({"targets": None}, r"has no targets\.inference"),
        ({"targets__inference": " "}, "empty inference"),
        ({"yolo_box": {"a": 1}}, "proposals that are not a list"),
        ({"yolo_box": [[1, 2, 3]]}, "has a box that is not"),
    ],
)
def test_a_faulty_entry_is_named(tmp_path, changes, message):
    path = write(tmp_path / "a.json", entry(), entry(**changes))
    with pytest.raises(UserError, match=message) as caught:
        read_instances(path)
    assert "a.json: entry 1" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"yolo_boxes": []}, r"entry 0 \(c344\): unknown key 'yolo_boxes'.*mean 'yolo_box'"),
        ({"split_index": 3}, "mean 'split_idx'"),
        ({"inputs__bbox": []}, "mean 'bboxes'"),
        ({"inputs__Clue": "x"}, "mean 'clue'"),
        ({"targets__inferences": []}, "mean 'inference'"),
    ],
)
def test_a_slip_of_the_pen_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read_instances(write(tmp_path / "a.json", entry(**changes)))


def test_other_keys_of_a_file_are_its_own_matter(tmp_path):
    path = write(tmp_path / "a.json", entry(source="vg", inputs__category=3, image_id=4))
    assert len(read_instances(path)) == 1


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0.2, 0.1, 0.5, 0.5]], "box in shares of the picture.*entry 0 .*state box_format"),
        ([[500, 0, 5, 5]], "box outside the picture of 500x375 pixels"),
        ([[-20, 0, 20, 5]], "box outside the picture"),
        ([[100, 50, 450, 300], [10, 10, 40, 60]], "2 boxes end outside|1 boxes end outside"),
    ],
)
def test_boxes_that_cannot_be_meant(tmp_path, boxes, message):
    dicts = [dict(zip(("left", "top", "width", "height"), box, strict=True)) for box in boxes]
    for written in (boxes, dicts) if len(boxes) == 1 else (boxes,):
        with pytest.raises(UserError, match=message):
            read_instances(write(tmp_path / "a.json", entry(inputs__bboxes=written)))


def test_one_of_many_is_left_out_and_said(tmp_path, caplog):
    others = [entry(instance_id=f"n{number}") for number in range(150)]
    astray = entry(inputs__bboxes=[[600, 0, 5, 5]])
    found = read_instances(write(tmp_path / "a.json", *others, astray))
    assert len(found) == 150
    assert "151 entries read, 150 used, 1 left out" in caplog.text
    assert "entry 150 (c344)" in caplog.text


@pytest.mark.parametrize(
    ("box_format", "written"),
    [
        ("xywh", [100, 75, 50, 150]),
        ("xyxy", [100, 75, 150, 225]),
        ("cxcywh", [125, 150, 50, 150]),
        ("normalized", [0.2, 0.2, 0.1, 0.4]),
        ("normalized", {"left": 0.2, "top": 0.2, "width": 0.1, "height": 0.4}),
    ],
)
def test_a_stated_format(tmp_path, box_format, written):
    proposed = [written] if isinstance(written, list) else []
    path = write(tmp_path / "a.json", entry(inputs__bboxes=[written], yolo_box=proposed))
    (one,) = read_instances(path, box_format=box_format)
    assert one.item.region.boxes[0] == pytest.approx((100, 75, 50, 150))
    assert [pytest.approx((100, 75, 50, 150))] * len(proposed) == list(one.item.proposals)


def test_a_format_that_does_not_hold(tmp_path):
    path = write(tmp_path / "a.json", entry())
    with pytest.raises(UserError, match="box_format xyxy has no effect"):
        read_instances(path, box_format="xyxy")
    with pytest.raises(UserError, match="which is not normalized"):
        read_instances(path, box_format="normalized")
    reaching = write(tmp_path / "b.json", entry(inputs__bboxes=[[100, 50, 450, 300]]))
    (one,) = read_instances(reaching, box_format="xywh")  # said to be right, so it is clipped
    assert one.item.region.boxes == ((100, 50, 450, 300),)


def test_a_photo_on_its_side(cases):
    (one,) = read_instances(
        cases / "exif" / "stored.json", roots=ImageRoots(images=cases / "exif" / "img")
    )
    image, (box,) = one.item.region.open()
    assert image.size == (100, 200)
    left, top, width, height = map(round, box)
    crop = np.asarray(image.crop((left, top, left + width, top + height))).astype(int)
    assert crop[..., 0].mean() > 180
    assert crop[..., 1].mean() < 80
    assert tuple(crop[len(crop) // 2, crop.shape[1] // 2] // 40) == (5, 0, 0)  # the red disk


def test_an_entry_without_a_name_has_a_number(tmp_path):
    with pytest.raises(UserError, match="entry 0 has no instance_id"):
        read_instances(write(tmp_path / "a.json", entry(instance_id=None)))
    with pytest.raises(UserError, match="entry 0 is not a JSON object"):
        read_instances(write(tmp_path / "a.json", 3))


def test_no_list(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(entry()))
    with pytest.raises(UserError, match="must hold a JSON list"):
        read_instances(path)


def test_missing_pictures(tmp_path):
    urls = ("a.png", "b.png", "c.png", "b.png")
    path = write(tmp_path / "a.json", *(entry(inputs__image__url=url) for url in urls))
    (tmp_path / "a.png").touch()
    everything = read_instances(path)
    assert missing_images(everything) == [tmp_path / "b.png", tmp_path / "c.png"]
    assert read_instances(path, missing="drop") == everything[:1]
    with pytest.raises(UserError, match=r"b\.png and 1 more is missing"):
        read_instances(path, missing="error")


def test_where_pictures_lie(tmp_path):
    roots = ImageRoots(vg="/v", vcr="/c", images="/i")
    assert roots.path(VG_URL) == Path("/v/VG_100K_2/2378438.jpg")
    assert roots.path(VCR_URL) == Path("/c/vcr1images/movieclips_Charade/a@0.jpg")
    inside = ImageRoots(vcr="/c/vcr1images")
    assert inside.path(VCR_URL) == Path("/c/vcr1images/movieclips_Charade/a@0.jpg")
    assert roots.path("images/x.png") == Path("/i/images/x.png")
    assert roots.path("./refexp/train2014/x.jpg") == Path("/i/refexp/train2014/x.jpg")
    assert roots.path("https://example.org/some/x.jpg") == Path("/i/x.jpg")
    # An absolute path is used where it exists; elsewhere its file name is looked for.
    assert roots.path("/elsewhere/refexp/x.jpg") == Path("/i/x.jpg")
    there = tmp_path / "x.jpg"
    there.touch()
    assert roots.path(str(there)) == there
    assert [source_of(url) for url in (VG_URL, VCR_URL, "images/x.png")] == ["vg", "vcr", "images"]


@pytest.mark.parametrize(
    "url",
    ["../x.png", "a/../../x.png", "https://h/VG_100K/..", "http://h/vcr1images/../x.png", "a\\b"],
)
def test_no_way_out_of_the_folder(url):
    with pytest.raises(UserError, match="is not the path of a file below its folder"):
        ImageRoots("/v", "/c", "/i").path(url)


@pytest.mark.parametrize(("url", "root"), [(VG_URL, "vg"), (VCR_URL, "vcr"), ("x", "images")])
def test_a_root_that_was_not_given(url, root):
    with pytest.raises(UserError, match=f"set {root} to the folder"):
        ImageRoots().path(url)


sides = st.integers(1, 2000) | st.floats(0.5, 2000)
corners = st.integers(-50, 50)
boxes = st.tuples(corners, corners, sides, sides).filter(
    lambda box: max(map(abs, box)) > 1 and box[0] + box[2] > 0 and box[1] + box[3] > 0
)  # one of another kind is no box in the picture
instances = st.builds(
    lambda name, boxes, texts, proposals, rest: Instance(
        RegionItem(
            name,
            Region(Path("/root/images/x.png"), tuple(boxes), (640, 480)),
            *texts,
            tuple(proposals),
        ),
        "images/x.png",
        *rest,
    ),
    st.text(min_size=1),
    st.lists(boxes, min_size=1, max_size=3),
    st.tuples(st.text(), st.text(min_size=1).filter(str.strip)),
    st.lists(boxes, max_size=2),
    st.tuples(
        st.none() | st.integers(0, 22), st.none() | st.floats(1, 3), st.none() | st.integers(0, 9)
    ),
)


@pytest.mark.parametrize("name", ["a.json", "a.zip", "a.json.zip"])
@settings(max_examples=25)
@given(found=st.lists(instances, max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory, name, found):
    path = tmp_path_factory.getbasetemp() / name
    path.unlink(missing_ok=True)  # of the example before
    write_instances(path, found)
    assert read_instances(path, roots=ImageRoots(images="/root")) == found


def test_written_as_published(tmp_path):
    path = write(tmp_path / "a.json", entry(), entry(yolo_box=[[1, 2, 3, 4.5]]))
    write_instances(tmp_path / "b.json", read_instances(path))
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(path.read_text())
    write_instances(tmp_path / "b.zip", read_instances(path))
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.namelist() == ["b.json"]


def test_a_region_without_a_frame_cannot_be_written(tmp_path):
    item = RegionItem("a", Region("x.png", ((0, 0, 1, 1),)), "", "b")
    with pytest.raises(ValueError, match="without a frame"):
        write_instances(tmp_path / "a.json", [Instance(item, "x.png")])
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def published(real_data, tmp_path_factory) -> list[Instance]:
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        path = tmp_path_factory.mktemp("sherlock") / Path(MEMBER).name
        path.write_bytes(archive.read(MEMBER))
    return read_instances(path, roots=ImageRoots("/vg", "/vcr"))


def test_the_validation_set(published):
    assert len(published) == 22_737
    assert len({one.item.id for one in published}) == 22_737
    urls = Counter(one.url for one in published)
    assert Counter(map(source_of, urls)) == {"vg": 3740, "vcr": 2916}
    assert Counter(source_of(one.url) for one in published) == {"vg": 13_194, "vcr": 9543}
    assert (min(urls.values()), max(urls.values())) == (3, 12)
    assert Counter(urls.values()).most_common(1)[0][0] == 3
    counts = Counter(len(one.item.region.boxes) for one in published)
    assert counts == dict(
        zip(range(1, 12), (19815, 2038, 742, 90, 28, 16, 2, 1, 2, 1, 2), strict=True)
    )
    assert Counter(one.confidence for one in published) == {1.0: 4221, 2.0: 11_504, 3.0: 7012}
    folds = Counter(one.fold for one in published)
    assert tuple(folds[fold] for fold in range(23)) == FOLD_SIZES
    assert sum(folds.values()) == 22_737


def test_the_validation_set_in_a_fold_pictures_return(published):
    for fold in range(23):
        urls = Counter(one.url for one in published if one.fold == fold)
        assert 42 <= sum(urls.values()) - len(urls) <= 68


def test_the_texts_of_the_validation_set(published):
    clues = [one.item.clue for one in published]
    inferences = [one.item.inference for one in published]
    assert all(clues)
    assert all(inferences)
    for texts, ended, words in ((clues, 0.168, 6.5), (inferences, 0.336, 6.6)):
        assert sum(text.endswith(".") for text in texts) / 22_737 == pytest.approx(ended, abs=6e-4)
        assert statistics.mean(len(text.split()) for text in texts) == pytest.approx(
            words, abs=0.05
        )


def test_the_boxes_of_the_validation_set(published):
    leaving = tiny = 0
    shares = []
    for one in published:
        width, height = one.item.region.frame
        found = one.item.region.boxes
        leaving += any(
            x < 0 or y < 0 or x + wide > width or y + high > height for x, y, wide, high in found
        )
        tiny += any(min(wide, high) < 5 for _, _, wide, high in found)
        shares.append(sum(wide * high for _, _, wide, high in found) / (width * height))
    assert leaving == 561
    assert tiny == 122
    assert statistics.median(shares) == pytest.approx(0.0995, abs=5e-5)
    assert statistics.mean(shares) == pytest.approx(0.184, abs=5e-4)
