"""Caption files in the forms in which they are published, and sources made of them."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from trifocal.data.captions import (
    CaptionDataset,
    CaptionItem,
    missing_images,
    present,
    read_captions,
)
from trifocal.data.images import BadImage
from trifocal.errors import UserError
from trifocal.tally import Tally


@pytest.fixture
def folder(tmp_path):
    """A folder with three photos: a.jpg, b.png, sub/c.webp."""
    (tmp_path / "sub").mkdir()
    for number, name in enumerate(("a.jpg", "b.png", "sub/c.webp")):
        Image.new("RGB", (20 + number, 16), (number * 80, 0, 0)).save(tmp_path / name)
    return tmp_path


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def pairs(items):
    return [(item.id, item.captions) for item in items]


WANTED = [("a.jpg", ("a cat",)), ("sub/c.webp", ("a dog, asleep",))]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", 'image,caption\na.jpg,a cat\nsub/c.webp,"a dog, asleep"\n'),
        ("t.csv", '\ufeffcaption,x,filepath\na cat,1,a.jpg\n"a dog, asleep",2,sub/c.webp\n'),
        ("t.csv", "filename;title\na.jpg;a cat\nsub/c.webp;a dog, asleep\n"),
        ("t.tsv", "filepath\ttitle\na.jpg\ta cat\nsub/c.webp\ta dog, asleep\n"),
        ("t.txt", "image|text\na.jpg|a cat\nsub/c.webp|a dog, asleep\n"),
        (
            "t.jsonl",
            '{"image": "a.jpg", "caption": " a  cat\\n"}\n\n'
            '{"image": "sub/c.webp", "caption": "a dog, asleep"}\n',
        ),
        (
            "t.json",
            '[{"image": "a.jpg", "caption": "a cat"},'
            ' {"image": "sub/c.webp", "caption": ["a dog, asleep", " "]}]',
        ),
    ],
)
def test_tables(folder, name, text):
    items = read_captions(write(folder / name, text))
    assert pairs(items) == WANTED
    assert [item.image for item in items] == [str(folder / "a.jpg"), str(folder / "sub/c.webp")]
    assert not missing_images(items)


def test_named_columns(folder):
    file = write(folder / "t.csv", "bild,title,satz\na.jpg,no,a cat\n")
    items = read_captions(file, image_column="bild", caption_column="satz")
    assert pairs(items) == [("a.jpg", ("a cat",))]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "image,words\na.jpg,x\n",
            {},
            r"no column of captions .*, only 'image', 'words'; set data",
        ),
        ("photo,caption\na.jpg,x\n", {}, r"no column of images .*, only 'photo', 'caption'"),
        ("image,caption\na.jpg,x\n", {"caption_column": "captoin"}, "Did you mean 'caption'"),
        ("image,caption\n,x\n", {}, "1 without a picture's path: line 2"),
        ("image,caption\na.jpg, \n", {}, "1 without a caption: line 2"),
        ("image,caption\n", {}, "has no captions"),
        ("", {}, "has no captions"),
        ("image,caption,split\na.jpg,x,train\n", {"split": "val"}, "no split 'val'; it has train"),
        ("image,caption\na.jpg,x\n", {"split": "val"}, "no split 'val'; it has no splits"),
        ('{"image": "a.jpg", "caption": "x"}\n[1]\n', {}, "line 2 of .* is not a JSON object"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_one_sentence(folder, text, options, message):
    with pytest.raises(UserError, match=message) as caught:
        read_captions(write(folder / "t.csv", text), **options)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(UserError, match="there is no caption file"):
        read_captions(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("image,caption\na.jpg,caf\xe9\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"not UTF-8 text; .* state what it is with .*latin-1"):
        read_captions(tmp_path / "latin.csv")
    assert read_captions(tmp_path / "latin.csv", encoding="latin-1")[0].captions == ("caf\xe9",)
    with pytest.raises(UserError, match="not proper JSON"):
        read_captions(write(tmp_path / "cut.json", '{"images": ['))
    with pytest.raises(UserError, match="neither a Karpathy nor a COCO"):
        read_captions(write(tmp_path / "other.json", '{"images": 3}'))
    with pytest.raises(UserError, match=r"lacks 'file_name'"):
        read_captions(write(tmp_path / "coco.json", '{"images": [{"captions": ["x"]}]}'))


def test_karpathy_json_with_splits(folder):
    content = {
        "dataset": "coco",
        "images": [
            {"filepath": "val2014", "filename": name, "split": split, "sentences": sentences}
            for name, split, sentences in [
                ("a.jpg", "train", [{"raw": "one", "tokens": ["one"]}, {"raw": " two "}]),
                ("b.png", "restval", [{"raw": "three"}]),
                ("c.webp", "test", [{"raw": "four"}]),
            ]
        ],
    }
    file = write(folder / "dataset_coco.json", json.dumps(content))
    items = read_captions(file, split="train+restval")
    assert pairs(items) == [("val2014/a.jpg", ("one", "two")), ("val2014/b.png", ("three",))]
    # The folder val2014 is not here, so names alone are looked up.
    assert not missing_images(items)
    assert len(read_captions(file)) == 3
    with pytest.raises(UserError, match="no split 'dev'; it has restval, test, train"):
        read_captions(file, split="dev")


def test_coco_json_with_annotations_and_nested(folder):
    photos = [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.png"}]
    notes = [{"image_id": 7, "caption": "x"}, {"image_id": 7, "caption": "y"}]
    coco = write(folder / "captions.json", json.dumps({"images": photos, "annotations": notes}))
    tally = Tally("")
    assert pairs(read_captions(coco, tally=tally)) == [("a.jpg", ("x", "y"))]
    assert tally.aside == {"pictures listed without captions": ["photo 9"]}
    nested = {"images": [{"file_name": "c.webp", "captions": ["z"]}]}
    items = read_captions(write(folder / "sub.json", json.dumps(nested)))
    assert [item.image for item in items] == [str(folder / "sub" / "c.webp")]


def test_negclip_table(folder):
    text = (
        "\ttitle\tfilepath\tneg_caption\tneg_image\n"
        "0\tA cat.\tcoco/val2014/a.jpg\t['A dog.', \"It's not.\"]\t[3, 4]\n"
        "1\tB cat.\tcoco/val2014/b.png\t[]\t[]\n"
    )
    items = read_captions(write(folder / "n.tsv", text), images=folder)
    assert [item.negatives for item in items] == [("A dog.", "It's not."), ()]
    assert not missing_images(items)
    bad = write(folder / "m.tsv", text.replace("[]\t[]", "__import__('os'\t1"))
    with pytest.raises(UserError, match="neg_caption that is no list"):
        read_captions(bad)
    called = write(folder / "o.tsv", text.replace("[]\t[]", "[print('x')]\t1"))
    assert read_captions(called)[1].negatives == ()


def test_folder_of_pairs(folder):
    write(folder / "a.txt", "a cat\n\na small cat\n")
    write(folder / "sub" / "c.txt", "a dog")
    with pytest.raises(UserError, match=r"1 of 3 entries .* without a text beside it: b.png"):
        read_captions(folder)
    items = read_captions(folder, tally=Tally("", 0.5))
    assert pairs(items) == [("a.jpg", ("a cat", "a small cat")), ("sub/c.webp", ("a dog",))]
    (folder / "sub" / "c.txt").unlink()
    with pytest.raises(UserError, match=r"no picture with a \.txt"):
        read_captions(folder / "sub")
    with pytest.raises(UserError, match="there is no folder"):
        read_captions(folder / "none", format="folder")


def test_missing_images_are_reported_up_front(folder):
    text = "image,caption\na.jpg,x\ngone.jpg,y\nnowhere/at.jpg,z\n"
    items = read_captions(write(folder / "t.csv", text))
    assert missing_images(items) == [str(folder / "gone.jpg"), str(folder / "nowhere/at.jpg")]
    with pytest.raises(UserError, match=r"2 image files are missing \(.*gone.jpg, .*at.jpg\)"):
        present(items)
    assert pairs(present(items, "skip")) == [("a.jpg", ("x",))]
    with pytest.raises(UserError, match="2 image files are missing"):
        present(items[1:], "skip")


def test_dataset_draws_captions_by_its_generator(folder):
    items = [
        CaptionItem("a", str(folder / "a.jpg"), ("one", "two", "drei ü \U0001f600")),
        CaptionItem("b", str(folder / "b.png"), ("four",), ("not four",)),
    ]
    data = CaptionDataset(items)
    assert len(data) == 2
    assert [data.item(i) for i in range(2)] == items
    drawn = {data.sample(0, np.random.default_rng(s)).caption for s in range(30)}
    assert drawn == set(items[0].captions)
    for seed in range(5):
        rngs = [np.random.default_rng(seed) for _ in range(2)]
        assert data.sample(0, rngs[0]).caption == data.caption(0, rngs[1])
    sample = data.sample(1, np.random.default_rng(0))
    assert (sample.id, sample.caption, sample.negatives) == ("b", "four", ("not four",))
    assert sample.image.size == (21, 16)
    first = CaptionDataset(items, captions="first")
    assert {first.caption(0, np.random.default_rng(s)) for s in range(9)} == {"one"}
    each = CaptionDataset(items, captions="each")
    assert [each.item(i).captions for i in range(len(each))] == [
        ("one",), ("two",), ("drei ü \U0001f600",), ("four",),
    ]  # fmt: skip
    with pytest.raises(IndexError):
        data.item(2)


def test_dataset_names_bad_images_by_their_entry(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    data = CaptionDataset([CaptionItem("x.jpg", str(tmp_path / "x.jpg"), ("x",))])
    with pytest.raises(BadImage) as caught:
        data.sample(0, np.random.default_rng(0))
    assert caught.value.path == "x.jpg"


def test_real_coco_captions(real_data):
    images = real_data / "images"
    if not (images / "coco.json").is_file():
        pytest.skip("no COCO photos in the real data")
    items = read_captions(images / "coco.json", images=images / "coco")
    assert len(items) == 249
    assert all(len(item.captions) >= 5 for item in items)
    assert not missing_images(items)
    assert not missing_images(read_captions(images / "coco.json"))
    assert len(read_captions(images / "coco.json", split="val2017")) < 249
    sample = CaptionDataset(items, draft=48).sample(3, np.random.default_rng(0))
    assert sample.image.mode == "RGB"
    assert sample.caption in items[3].captions


def test_real_negclip_table(real_data, tmp_path):
    archive = real_data / "annotations.zip"
    if not archive.is_file():
        pytest.skip("no annotation files in the real data")
    with zipfile.ZipFile(archive) as zipped:
        content = zipped.read("negclip/valid_neg_clip.tsv")
    (tmp_path / "valid_neg_clip.tsv").write_bytes(content)
    items = read_captions(tmp_path / "valid_neg_clip.tsv")
    assert len(items) == 4839
    assert items[0].captions == ("A child holding a flowered umbrella and petting a yak.",)
    assert len(items[0].negatives) == 2
    assert sum(bool(item.negatives) for item in items) > 4000


# -- what cannot be used is counted ---------------------------------------------------------------


def test_captions_that_are_none_are_counted(folder):
    lines = [
        {"image": "a.jpg", "caption": text} for text in (None, 5, "", "nan", ["x", None], {"a": 1})
    ]
    file = write(folder / "t.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    tally = Tally("t", 1.0)
    assert pairs(read_captions(file, tally=tally)) == [("a.jpg", ("x",))]
    assert tally.reasons == {
        "without a caption": ["line 1", "line 3"],
        "whose caption is a number": ["line 2"],
        "with the caption 'nan'": ["line 4"],
        "whose caption is an object": ["line 6"],
    }
    assert tally.parts == {"without a caption": ["line 5"]}
    with pytest.raises(UserError, match=r"5 of 6 entries .*line 1, line 3; .*a number: line 2"):
        read_captions(file)


def test_a_written_list_of_captions_is_several(folder):
    file = write(folder / "t.csv", """image,caption\na.jpg,"['x', 'it\\'s']"\nb.png,[sic] so\n""")
    assert pairs(read_captions(file)) == [("a.jpg", ("x", "it's")), ("b.png", ("[sic] so",))]


def coco(folder, photos, notes):
    content = {"images": photos, "annotations": notes}
    return write(folder / "coco.json", "\ufeff" + json.dumps(content))


def test_coco_with_ids_as_texts_and_annotations_of_no_photo(folder):
    photos = [{"id": 1, "file_name": "a.jpg"}, {"id": "2", "file_name": "b.png"}]
    notes = [
        {"id": 7, "image_id": "1", "caption": "x"},
        {"id": 8, "image_id": 2, "caption": "y"},
        {"id": 9, "image_id": 3, "caption": "z"},
    ]
    tally = Tally("", 0.5)
    file = coco(folder, photos, notes)
    assert pairs(read_captions(file, tally=tally)) == [("a.jpg", ("x",)), ("b.png", ("y",))]
    assert tally.reasons == {"whose image_id no photo has": ["annotation 9"]}
    with pytest.raises(UserError, match="two photos have the id 1"):
        read_captions(coco(folder, [photos[0], photos[0]], notes))


def test_coco_with_a_caption_that_is_null(folder, caplog):
    notes = [{"id": n, "image_id": 1, "caption": text} for n, text in enumerate((None, "x"))]
    file = coco(folder, [{"id": 1, "file_name": "a.jpg"}], notes)
    assert pairs(read_captions(file)) == [("a.jpg", ("x",))]
    assert "parts left out (1 without a caption: annotation 0)" in caplog.text


def test_a_karpathy_file_with_photos_without_sentences(folder):
    photos = [
        {"filename": "a.jpg"},
        {"filename": "b.png", "sentences": [{"raw": None}]},
        {"filename": "c.png", "sentences": [{"raw": "x"}]},
    ]
    file = write(folder / "k.json", json.dumps({"images": photos}))
    with pytest.raises(UserError, match=r"2 of 3 entries .* photo 1, photo 2"):
        read_captions(file)


def test_pictures_of_one_stem_are_refused_and_dotted_names_are_whole(folder):
    write(folder / "a.txt", "x")
    (folder / "b.png").rename(folder / "a.png")
    with pytest.raises(UserError, match=r"one text a.txt for a.jpg and a.png"):
        read_captions(folder)
    (folder / "a.png").rename(folder / "a.v2.png")
    write(folder / "a.v2.txt", "\ufeffy")
    write(folder / "sub" / "c.txt", "z")
    assert pairs(read_captions(folder)) == [
        ("a.jpg", ("x",)), ("a.v2.png", ("y",)), ("sub/c.webp", ("z",)),
    ]  # fmt: skip
    write(folder / "lone.txt", "no picture")
    with pytest.raises(UserError, match=r"1 text without a picture: lone.txt"):
        read_captions(folder)


def test_two_rows_never_fall_back_to_one_file(folder):
    text = "image,caption\nsquares/a.jpg,x\ncircles/a.jpg,y\n"
    with pytest.raises(UserError, match=r"squares/a\.jpg and circles/a\.jpg, but there is only"):
        read_captions(write(folder / "t.csv", text))
    same = read_captions(write(folder / "t.csv", "image,caption\no/a.jpg,x\n./o/a.jpg,y\n"))
    assert [item.image for item in same] == [str(folder / "a.jpg")] * 2


def test_a_home_folder_is_found(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    write(folder / "t.csv", "image,caption\na.jpg,x\n")
    (item,) = read_captions("~/t.csv", images="~")
    assert item.image == str(folder / "a.jpg")


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (9, 9)).save(tmp_path / name)
    write(tmp_path / os.fsdecode(b"caf\xe9.txt"), "a cafe")
    items = read_captions(tmp_path)
    assert pairs(items) == [(name, ("a cafe",))]
    assert CaptionDataset(items).sample(0, np.random.default_rng(0)).image.size == (9, 9)
