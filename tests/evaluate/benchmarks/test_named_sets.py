"""Zero-shot data sets that are asked for by name: metric, prompts and rules."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from tests.evaluate.labeled.published import write_wds
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.named_sets import NAMED_SETS, elevater_members, find_set
from trifocal.evaluate.benchmarks.zero_shot import ZeroShot, as_ruled, zero_shot_classifier
from trifocal.evaluate.runner import make_job
from trifocal.features.embed import encode_images, load_pixels
from trifocal.metrics.average_precision import average_precision, eleven_point_precision, roc_auc

WORDS = ("red ball", "umbrella", "two cats on a street")
PROMPTS_PY = """
import os
voc = ['a photo of a {}.']
pets = ['a {}, a pet', 'my {}', os.getcwd()]
class_map = {'voc-2007-classification': ['car', 'bus', 'dog'], 'mnist': ['0', '1']}
template_map = {'voc-2007-classification': voc, 'oxford-iiit-pets': pets, 'mnist': ['{}!', '{}?']}
"""


@pytest.fixture
def colors(tmp_path):
    """Three classes of two pictures each."""
    for number, word in enumerate(WORDS):
        (tmp_path / "photos" / word).mkdir(parents=True)
        for again in range(2):
            shade = (60 * number + 40, 200 - 70 * again, 30)
            Image.new("RGB", (40, 30), shade).save(tmp_path / "photos" / word / f"{again}.png")
    return tmp_path / "photos"


def test_the_table():
    members = dict(elevater_members())
    assert len(members) == 21
    counted = [name for name, metric in members.items() if metric == "mean_per_class_recall"]
    assert counted == ["caltech101", "fgvc_aircraft", "flowers", "pets"]
    assert members["hateful_memes"] == "roc_auc"
    assert members["voc2007_multilabel"] == "11_point_mAP"
    assert len({one.name for one in NAMED_SETS}) == len(NAMED_SETS)
    for one in NAMED_SETS:
        assert all(find_set(name) is one for name in one.names)
    assert find_set("my photos") is None


@pytest.mark.parametrize(
    ("name", "set_"),
    [
        ("wds_vtab-caltech101", "caltech101"),
        ("vtab/pets", "pets"),
        ("oxford-iiit-pets", "pets"),
        ("imagenet_a", "imagenet-a"),
        ("wds_imagenet-r", "imagenet-r"),
        ("voc-2007-classification", "voc2007_multilabel"),
    ],
)
def test_names_of_both_families(name, set_):
    found = find_set(name)
    assert found is not None
    assert found.name == set_


def test_published_class_names_and_prompts_fit_the_table(real_data):
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        names = json.loads(archive.read("zeroshot/en_classnames.json"))
        prompts = json.loads(archive.read("zeroshot/en_zeroshot_classification_templates.json"))
    for one in NAMED_SETS:
        if one.name in names and one.name != "imagenet1k":
            assert len(names[one.name]) == one.classes
        if one.name in prompts:
            assert len(prompts[one.name]) == one.templates[0]


def test_rows_of_a_named_set_go_by_its_name_and_say_whose_prompts(tiny_clip, colors):
    (colors / "classnames.txt").write_text("\n".join(WORDS))
    (colors / "zeroshot_classification_templates.txt").write_text("a photo of a {c}, a pet.\n")
    job = make_job("zero_shot:oxford-iiit-pets", colors)
    rows = job.benchmark.score(tiny_clip, job.benchmark.items(job.root))
    assert {row.benchmark for row in rows} == {"pets"}
    assert "CLIP_benchmark's prompts; the published set has 37 classes" in rows[0].protocol
    (plain, *_) = ZeroShot().score(tiny_clip, ZeroShot().items(colors))
    assert plain.benchmark == "photos"
    assert plain.protocol == "3 classes, 1 prompt each, mean of prompts"
    assert plain.value == rows[0].value


def test_prompts_of_elevaters_file_are_read_and_not_run(colors):
    (colors.parent / "prompts.py").write_text(PROMPTS_PY)
    items = ZeroShot("voc2007_multilabel", classnames=list(WORDS)).items(colors)
    assert (items.templates, items.whose) == (["a photo of a {}."], "ELEVATER's prompts")
    (colors / "zeroshot_classification_templates.txt").write_text("{c}\n")
    assert ZeroShot("mnist", classnames=list(WORDS)).items(colors).templates == ["{c}"]
    theirs = ZeroShot("mnist", classnames=list(WORDS), family="elevater").items(colors)
    assert (theirs.templates, theirs.whose) == (["{}!", "{}?"], "own prompts")  # it has one there
    with pytest.raises(UserError, match=r"no prompts\.py with prompts of pets"):
        ZeroShot("pets", classnames=list(WORDS), family="elevater").items(colors)
    with pytest.raises(UserError, match="family is one of clip_benchmark, elevater"):
        ZeroShot(family="elevator")


def test_two_classes_by_roc_auc(tiny_clip, colors):
    third = colors / WORDS[2]
    third.rename(colors.parent / "away")
    benchmark = ZeroShot("hateful-memes")
    items = benchmark.items(colors)
    row = next(row for row in benchmark.score(tiny_clip, items) if row.metric == "roc_auc")
    images = encode_images(tiny_clip, items.images)
    cosines = images @ zero_shot_classifier(tiny_clip, items.classnames, items.templates).T
    shares = (100 * cosines).softmax(1)[:, 1]
    assert row.value == pytest.approx(roc_auc(shares, torch.tensor(items.labels) == 1))
    assert row.chance == 0.5


def test_several_classes_a_picture(tiny_clip, tmp_path):
    targets = [[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]]
    beside = []
    for target in targets:
        file = io.BytesIO()
        np.save(file, np.array(target))
        beside.append({"npy": file.getvalue()})
    root = write_wds(tmp_path / "wds_voc2007_multilabel", beside, shards=1)
    (root / "classnames.txt").write_text("\n".join(WORDS))
    job = make_job("zero_shot:voc2007_multilabel", tmp_path)  # its folder is found by its Hub name
    items = job.benchmark.items(job.root)
    assert len(items) == 5
    rows = {row.metric: row for row in job.benchmark.score(tiny_clip, items)}
    assert set(rows) == {"mean_average_precision", "11_point_mAP"}
    cosines = (
        encode_images(tiny_clip, items.images) @ zero_shot_classifier(tiny_clip, list(WORDS)).T
    )
    positives, shares = torch.tensor(targets) == 1, (100 * cosines).softmax(1)
    plain = [average_precision(cosines[:, c], positives[:, c]) for c in range(3)]
    eleven = [eleven_point_precision(shares[:, c], positives[:, c]) for c in range(3)]
    assert rows["mean_average_precision"].value == pytest.approx(sum(plain) / 3)
    assert rows["11_point_mAP"].value == pytest.approx(sum(eleven) / 3)
    assert rows["11_point_mAP"].chance == pytest.approx(7 / 15)
    (root / "classnames.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match="2 class names for 3 classes"):
        job.benchmark.items(job.root)


def test_classes_that_are_numbers_need_names(tmp_path):
    root = write_wds(tmp_path, [{"cls": b"0"}, {"cls": b"1"}], shards=1)
    with pytest.raises(UserError, match=r"are numbers; put their names there.*classnames\.txt"):
        ZeroShot().items(root)
    (root / "classnames.txt").write_text("n02 x\n")
    with pytest.raises(UserError, match="1 class names for 2 classes"):
        ZeroShot().items(root)


def test_objectnet_has_the_shared_classes_without_a_border(tiny_clip, tmp_path):
    for folder in ("air_freshener", "alarm_clock", "backpack"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        image = Image.new("RGB", (20, 16), "red")
        image.paste(Image.new("RGB", (16, 12), "white"), (2, 2))
        image.save(tmp_path / "images" / folder / "a.png")
    (tmp_path / "mappings").mkdir()
    names = {"air_freshener": "Air freshener", "backpack": "Backpack", "alarm_clock": "Alarm clock"}
    (tmp_path / "mappings" / "folder_to_objectnet_label.json").write_text(json.dumps(names))
    shared = {"Backpack": "backpack; back pack", "Alarm clock": "analog clock; digital clock"}
    (tmp_path / "mappings" / "objectnet_to_imagenet_1k.json").write_text(json.dumps(shared))
    benchmark = ZeroShot("objectnet")
    items = benchmark.items(tmp_path)
    assert (list(items.classnames), list(items.labels)) == (["alarm clock", "backpack"], [0, 1])
    rows = benchmark.score(tiny_clip, items)
    assert "pictures without a border of 2 pixels" in rows[0].protocol
    white = Image.new("RGB", (16, 12), "white")
    shown = as_ruled(tiny_clip, items)
    assert torch.equal(load_pixels(tiny_clip, shown[0]), load_pixels(tiny_clip, white))


def test_kittis_pictures_are_shown_whole(tiny_clip, tmp_path):
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
        image = Image.new("RGB", (90, 30), "black")
        image.paste(Image.new("RGB", (30, 30), "white"), (0, 0))
        image.save(tmp_path / name / "a.png")
    benchmark = ZeroShot("kitti-distance")
    (shown, _) = as_ruled(tiny_clip, benchmark.items(tmp_path))
    pixels = load_pixels(tiny_clip, shown).float()
    assert (
        pixels[0, 10, :8].mean() > 250 > 5 > pixels[0, 10, 16:].mean()
    )  # a center crop has no white


def test_imagenet_v2s_folders_are_ranks(tmp_path):
    for rank in ("0", "1"):
        (tmp_path / rank).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / rank / "a.png")
    (tmp_path / "classnames.txt").write_text("n01443537 goldfish\nn01440764 tench\n")
    assert list(ZeroShot("imagenetv2").items(tmp_path).classnames) == ["tench", "goldfish"]
