"""VL-CheckList: its 56 files, the fixed first items, and means of means with and without HAKE."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks import vl_checklist
from trifocal.composition.benchmarks.vl_checklist import CORPORA, VlChecklist, tree
from trifocal.errors import UserError
from trifocal.metrics.answers import Answers
from trifocal.metrics.benchmark import find

RIGHT = ["red.png", {"POS": ["red cup", "no"], "NEG": ["blue cup"]}]
TIED = ["red.png", {"POS": ["ON  red"], "NEG": ["red"]}]
WRONG = ["red.png", {"POS": ["green"], "NEG": ["red"]}]


@pytest.fixture
def root(tmp_path):
    for corpus in CORPORA:
        path = tmp_path / "data" / corpus.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([RIGHT, TIED] if corpus.source == "hake" else [RIGHT]))
    for folder in ("vg", "swig", "hake"):
        paint(tmp_path / folder, "red")
    return tmp_path


def scored(root, **options):
    benchmark = VlChecklist(**options)
    return benchmark.score(ColorModel(), benchmark.items(root))


def test_every_level_counts_its_members_alike(root):
    path = root / "data/Object/Location/vg_location/vg_obj_center.json"
    path.write_text(json.dumps([RIGHT, WRONG, WRONG, WRONG]))
    rows = scored(root)
    assert find(rows, "vl_checklist", "vg_obj_center", "acc").value == pytest.approx(1 / 4)
    center = find(rows, "vl_checklist", "location_center", "acc")
    assert center.value == pytest.approx((1 / 2 + 1 + 5 / 8) / 3)  # hake, swig, vg
    assert (center.n, center.ties, center.chance) == (2 + 4 + 4 + 1, 1, pytest.approx(1 / 2))
    relation = (2 / 3 * 1 + 1 / 3 * 1 / 2 + 1) / 2
    objects = (center.value + 5 * (1 / 2 + 1 + 1) / 3) / 6
    mean = find(rows, "vl_checklist", "mean", "acc")
    assert mean.value == pytest.approx((objects + 1 + relation) / 3)
    without = find(rows, "vl_checklist", "location_center", "acc_no_hake")
    assert without.value == pytest.approx((1 + 5 / 8) / 2)
    expected = ((without.value + 5) / 6 + 1 + 1) / 3
    assert find(rows, "vl_checklist", "mean", "acc_no_hake").value == pytest.approx(expected)
    assert not [row for row in rows if row.key[1:] == ("attribute", "acc_no_hake")]  # the same


def test_published_sub_tasks_give_the_published_mean():
    """OpenAI's ViT-B/32: its 13 sub-tasks, and 70.77 for all (fsc_clip.md, V11)."""
    values = {
        "location_center": 87.42, "location_margin": 74.95, "location_mid": 84.43,
        "size_large": 87.21, "size_medium": 81.57, "size_small": 74.10,
        "attribute_action": 70.60, "attribute_color": 69.55, "attribute_material": 69.75,
        "attribute_size": 61.10, "attribute_state": 67.30,
        "relation_action": 72.07, "relation_spatial": 54.00,
    }  # fmt: skip
    part = [one.part for one in CORPORA]
    nothing = torch.zeros(len(part), dtype=torch.bool)
    weights = Answers(part, nothing, nothing, nothing.double()).mean_weights(tree())["mean"]
    value = torch.tensor([values[one.task] for one in CORPORA], dtype=torch.float64)
    assert float(weights @ value) == pytest.approx(70.768433, abs=0.01)


def test_hake_can_be_done_without(root):
    paint(root / "elsewhere", "red")
    (root / "hake" / "red.png").rename(root / "elsewhere" / "away.png")
    assert "HAKE" in VlChecklist().check(root)[0].remedy
    assert VlChecklist(no_hake=True).check(root) == []
    rows = scored(root, no_hake=True)
    assert find(rows, "vl_checklist", "mean", "acc_no_hake").value == 1
    assert not [row for row in rows if row.key[1:] == ("mean", "acc")]
    partly = scored(root, available_only=True)
    assert find(partly, "vl_checklist", "mean", "acc_no_hake").value == 1
    assert "items, whose pictures are present" in partly[0].protocol


def test_missing_pictures_do_not_shift_the_cap(root, monkeypatch):
    monkeypatch.setattr(vl_checklist, "EACH", 2)
    gone = ["gone.png", RIGHT[1]]
    path = root / "data/Attribute/vg/state.json"
    path.write_text(json.dumps([gone, WRONG, RIGHT, RIGHT]))
    (missing,) = VlChecklist().check(root)
    assert (missing.path.endswith("gone.png"), missing.count) == (True, 1)
    row = find(scored(root, available_only=True), "vl_checklist", "attribute_state_vg", "acc")
    assert (row.value, row.n) == (0, 1)  # the second of the first two, and no third


@pytest.mark.parametrize(
    "entry", ["red.png", ["red.png"], ["red.png", {"POS": ["a"]}], ["red.png", {"POS": [], "NEG": ["a"]}], [1, RIGHT[1]]]
)  # fmt: skip
def test_an_entry_of_another_form_is_refused(root, entry):
    (root / "data/Relation/vg/action.json").write_text(json.dumps([RIGHT, entry]))
    with pytest.raises(UserError, match=r"vg/action.json is not a VL-CheckList file: entry 1 must"):
        VlChecklist().items(root)


def test_published_files(real_data, tmp_path):
    names = {
        "Attribute/vaw/action.json": 3039,
        "Attribute/vg/state.json": 941,
        "Object/Location/vg_location/vg_subj_margin.json": 5974,
    }
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        archive.extractall(tmp_path, [f"vl_checklist/{name}" for name in names])
    folder = tmp_path / "vl_checklist"
    for corpus in CORPORA:
        if corpus.path in names:
            assert len(json.loads((folder / corpus.path).read_text())) == names[corpus.path]
        else:
            (folder / corpus.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / corpus.path).write_text("[]")
    asked = VlChecklist().read(folder)
    assert len(asked) == 1000 + 941 + 1000
    assert sum(one.texts[0] == one.texts[1] for one in asked) == 4  # ties of the published file
