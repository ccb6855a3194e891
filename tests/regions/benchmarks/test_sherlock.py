"""Sherlock from its annotation file: miniatures, the published file, and the command line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trifocal.apps.settings import parse_settings
from trifocal.cli import main
from trifocal.data.regions import Region, RegionItem
from trifocal.data.sherlock_files import ImageRoots, Instance, read_instances, write_instances
from trifocal.errors import UserError
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.evaluate.runner import make_job
from trifocal.metrics.benchmark import Benchmark
from trifocal.regions.benchmarks.annotated import annotated
from trifocal.regions.benchmarks.localization import AutoPairs, localization_metrics, region_iou
from trifocal.regions.benchmarks.pool import Embedded, Pool
from trifocal.regions.benchmarks.retrieval import retrieval_metrics
from trifocal.regions.benchmarks.sherlock import Sherlock

MEMBER = "sherlock/sherlock_val_with_split_idxs_v1_1.json.zip"
PUBLISHED = "sherlock_val_with_split_idxs_v1_1.json"


def instances(count: int = 12, *, folds: int | None = 2, proposals: int = 0) -> list[Instance]:
    """Instances, three to a picture, over all three kinds of pictures."""
    rng = np.random.default_rng(3)
    pictures = (
        "https://example.org/VG_100K/{}.jpg",
        "http://example.org/vcr1images/film/{}.jpg",
        "images/{}.png",
        "https://example.org/VG_100K_2/{}.jpg",
    )
    made = []
    for i in range(count):
        if i % 3 == 0:
            offered = rng.integers(1, 60, (proposals, 4))
        url = pictures[i // 3 % 4].format(i // 3)
        boxes = tuple(tuple(int(v) for v in b) for b in rng.integers(1, 60, (1 + i % 2, 4)))
        detected = tuple(tuple(int(v) for v in box) for box in offered)
        region = Region(url, boxes, (100, 100))
        item = RegionItem(f"n{i}", region, "clue", f"inference {i}", detected)
        made.append(Instance(item, url, None if folds is None else i % folds, 3.0, i % 3))
    return made


@pytest.fixture
def root(tmp_path) -> Path:
    return place(tmp_path, instances())


def place(folder: Path, found: list[Instance], name: str = PUBLISHED) -> Path:
    write_instances(folder / name, found)
    roots = ImageRoots(folder, folder, folder)
    for one in found:
        path = roots.path(one.url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def scored(benchmark: Sherlock, model: Any, root: Path) -> dict[str, Any]:
    rows = benchmark.score(model, benchmark.items(root))
    return {row.metric: row for row in rows}


def test_it_is_a_benchmark():
    assert isinstance(Sherlock(), Benchmark)
    assert BENCHMARKS["sherlock"] is Sherlock


def test_retrieval_and_gt_box(root, model):
    items = Sherlock().items(root)
    assert len(items) == 12
    found = scored(Sherlock(), model, root)
    every = [one.item for one in items.instances]
    matrix = np.array([[model.score(a.region, b.inference) for b in every] for a in every])
    folds = [retrieval_metrics(matrix[k::2, k::2]) for k in range(2)]
    assert found["im2txt"].value == pytest.approx(np.mean([fold.im2txt for fold in folds]))
    assert found["txt2im"].value == pytest.approx(np.mean([fold.txt2im for fold in folds]))
    assert found["P@1"].value == pytest.approx(np.mean([fold.p_at_1 for fold in folds]))
    assert (found["im2txt"].n, found["im2txt"].chance, found["P@1"].chance) == (12, 3.5, 1 / 6)
    squares = [matrix[k : k + 3, k : k + 3] for k in range(0, 12, 3)]
    assert found["GT-Box"].value == pytest.approx(localization_metrics(squares).gt_box)
    assert (found["GT-Box"].n, found["GT-Box"].seed) == (4, 0)
    assert set(found) == {"im2txt", "txt2im", "P@1", "GT-Box"}
    assert {row.model for row in found.values()} == {"name-model"}
    assert "prompt by name; from the annotation file; 2 folds" in found["im2txt"].protocol


def auto_by_hand(model: Any, found: list[Instance]) -> Any:
    rows = [
        (
            model.score(Region(one.item.region.image, (box,)), one.item.inference),
            region_iou(np.array([box]), one.item.region.boxes)[0],
            question,
        )
        for question, one in enumerate(found)
        for box in one.item.proposals
    ]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    pictures = np.array([k // 3 for k in range(len(found))])
    return localization_metrics(auto=AutoPairs(*columns[:2], columns[2].astype(int), pictures))


def test_auto_box_from_the_entries_own_boxes(tmp_path, model):
    made = instances(proposals=40)
    found = scored(Sherlock(), model, place(tmp_path, made))
    expected = auto_by_hand(model, made)
    assert found["Auto-Box"].value == pytest.approx(expected.auto_box)
    assert found["Auto-Box oracle"].value == pytest.approx(expected.oracle)
    assert found["Auto-Box"].chance == pytest.approx(expected.auto_chance)
    assert found["Auto-Box"].n == 4
    assert 0 < found["Auto-Box oracle"].value < 1


def test_auto_box_from_a_file(tmp_path, root, model):
    made = instances(proposals=40)
    boxes = {one.url: [list(box) for box in one.item.proposals] for one in made}
    file = tmp_path / "detections.json"
    file.write_text(json.dumps(boxes))
    found = scored(Sherlock(proposals=file), model, root)
    assert found["Auto-Box"].value == pytest.approx(auto_by_hand(model, made).auto_box)
    del boxes[made[0].url]  # a picture without a box: its three questions are errors
    file.write_text(json.dumps(boxes))
    found = scored(Sherlock(proposals=file), model, root)
    assert found["Auto-Box oracle"].n == 4
    file.write_text('{"a": [[1, 2, 3]]}')
    with pytest.raises(UserError, match=r"detections\.json: the entry of a has a box that is not"):
        Sherlock(proposals=file).items(root)


def test_a_model_that_sees_only_the_picture(root, name_model):
    """Equal regions share their places: no order of the file helps."""
    blind = name_model(see=lambda region: str(region.image))
    rows = scored(Sherlock(), blind, root)
    assert rows["GT-Box"].chance == pytest.approx(1 / 3)
    constant = scored(Sherlock(), name_model(see=lambda region: 0), root)
    assert constant["txt2im"].value == 3.5
    assert constant["GT-Box"].value < 1


def test_without_folds_the_file_is_cut_evenly(tmp_path, model, monkeypatch):
    monkeypatch.setattr("trifocal.regions.benchmarks.annotated.FOLD_SIZE", 5)
    found = scored(Sherlock(), model, place(tmp_path, instances(folds=None)))
    assert found["im2txt"].chance == 2.5  # three folds of four
    assert "3 folds in the file's order" in found["im2txt"].protocol


def test_folds_can_be_chosen(root, model):
    assert scored(Sherlock(folds=[1]), model, root)["im2txt"].n == 6
    with pytest.raises(UserError, match=r"has none of the folds \[7\]"):
        Sherlock(folds=[7]).items(root)


def test_what_is_encoded_once(root, model):
    benchmark = Sherlock()
    benchmark.score(model, benchmark.items(root))
    regions, texts = model.asked
    assert (len(set(regions)), len(regions)) == (12, 12)
    assert (len(set(texts)), len(texts)) == (12, 12)


def test_an_embedding_that_is_no_number(root, model):
    model.vector = lambda seen: __import__("torch").tensor([float("nan")])
    with pytest.raises(UserError, match="embedding of the regions holds NaN"):
        scored(Sherlock(), model, root)


def test_missing_pictures_are_named_by_folder(root):
    (root / "VG_100K" / "0.jpg").unlink()
    (root / "VG_100K").rmdir()
    (root / "vcr1images" / "film" / "1.jpg").unlink()
    (root / "images" / "2.png").unlink()
    words = [str(one) for one in Sherlock().check(root)]
    assert len(words) == 3
    photos, frames, others = sorted(words, key=lambda one: ("images/2" in one, "vcr" in one))
    assert "there is no folder" in photos
    assert "which should hold 1 pictures; get Visual Genome's photos" in photos
    assert "1 of its 1 pictures are not in" in frames
    assert "get VCR's frames" in frames
    assert "2.png is missing" in others
    with pytest.raises(UserError, match=r"sherlock cannot run.*available_only"):
        Sherlock().items(root)


def test_available_only_scores_the_rest_and_says_so(root, model):
    (root / "VG_100K" / "0.jpg").unlink()
    benchmark = Sherlock(available_only=True)
    assert benchmark.check(root) == []
    found = scored(benchmark, model, root)
    assert found["im2txt"].n == 9
    assert "9 of 12 instances, whose pictures are present" in found["im2txt"].protocol
    assert found["GT-Box"].n == 3


def test_without_any_picture_available_only_still_complains(root, tmp_path_factory):
    for path in root.rglob("*.*g"):
        path.unlink()
    assert sum(one.count for one in Sherlock(available_only=True).check(root)) == 4


def test_pictures_elsewhere(tmp_path, model):
    place(tmp_path / "pictures", instances(), "x.json")
    write_instances(tmp_path / "sherlock" / PUBLISHED, instances())
    below = tmp_path / "sherlock"
    assert Sherlock(images=tmp_path / "pictures").check(below) == []
    assert len(Sherlock().check(below)) == 4
    (tmp_path / "pictures").rename(tmp_path / "sherlock" / "p")
    options = dict.fromkeys(("vg", "vcr", "images"), below / "p")
    assert Sherlock(**options).check(below) == []


def test_the_worlds_layout(tmp_path):
    """A file in `sherlock/` whose paths start at the folder around it, pictures shared."""
    made = [one for one in instances() if one.url.startswith("images/")]
    place(tmp_path, made, "sherlock/sherlock_val.json")
    for root in (tmp_path, tmp_path / "sherlock"):
        assert Sherlock().check(root) == []


@pytest.mark.parametrize(
    "name", [PUBLISHED, f"{PUBLISHED}.zip", "sherlock/sherlock_val.json", "data/val.json"]
)
def test_usual_names(tmp_path, name):
    write_instances(tmp_path / name, instances())
    assert all("annot" not in str(one).split(":")[0] for one in Sherlock().check(tmp_path))
    assert sum(one.count for one in Sherlock().check(tmp_path)) == 4


def test_missing_annotations(tmp_path):
    (missing,) = Sherlock().check(tmp_path)
    assert f"{PUBLISHED} is missing: get it from github.com/allenai/sherlock" in str(missing)
    (missing,) = Sherlock(annotations="mine.json").check(tmp_path)
    assert str(missing).startswith("mine.json is missing")
    with pytest.raises(UserError, match="sherlock cannot run"):
        Sherlock().items(tmp_path)


def test_options_that_do_not_fit(root):
    with pytest.raises(UserError, match="no split 'train'"):
        Sherlock(split="train").check(root)
    with pytest.raises(UserError, match="a submission needs the leaderboard's instance files"):
        Sherlock(submission="x.zip").items(root)
    (root / PUBLISHED).write_text("[]")
    with pytest.raises(UserError, match="is an empty list"):
        Sherlock().items(root)


def test_settings_on_the_command_line(root, capsys):
    assert main(["data", "check", "sherlock", "--root", str(root)]) == 0
    assert "everything is there (12 items)" in capsys.readouterr().out
    (root / "VG_100K" / "0.jpg").unlink()
    assert main(["data", "check", "sherlock", "--root", str(root)]) == 1
    assert "missing: " in capsys.readouterr().out
    option = ["--option", "available_only=true", "--option", "folds=[0]"]
    assert main(["data", "check", "sherlock", "--root", str(root), *option]) == 0
    assert main(["data", "check", "sherlock", "--root", str(root), "--option", "fold=[0]"]) == 2
    assert "Did you mean 'folds'?" in capsys.readouterr().err
    assert main(["data", "check", "sherlock", "--root", str(root), "--option", "folds"]) == 2
    assert "write key=value" in capsys.readouterr().err


def test_options_are_read_as_they_look():
    texts = ["split=test", "folds=[0, 1]", "batch_size=8", "available_only=true", "vg=/a: b", "x="]
    assert parse_settings(texts) == {
        "split": "test",
        "folds": [0, 1],
        "batch_size": 8,
        "available_only": True,
        "vg": "/a: b",
        "x": None,
    }
    job = make_job("sherlock", "/data", **parse_settings(["folds=[0, 1]", "split=test"]))
    assert (job.benchmark.folds, job.benchmark.split) == ([0, 1], "test")


@pytest.fixture(scope="module")
def published(real_data, tmp_path_factory) -> list[Instance]:
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        path = tmp_path_factory.mktemp("sherlock") / Path(MEMBER).name
        path.write_bytes(archive.read(MEMBER))
    return read_instances(path, roots=ImageRoots("/vg", "/vcr"))


def test_random_and_constant_scorers_on_the_validation_set(published):
    pool = Pool()
    questions = annotated(published, pool)
    rng = np.random.default_rng(0)
    random = Embedded(
        rng.standard_normal((len(pool.regions), 32)).astype(np.float32),
        rng.standard_normal((len(pool.texts), 32)).astype(np.float32),
        "",
    )
    found = questions.retrieval(random)
    assert found.chance_rank == pytest.approx(494.78, abs=0.005)
    assert found.n == 22_737
    assert len(questions.folds) == 23
    assert found.im2txt == pytest.approx(494.78, abs=5)
    assert found.txt2im == pytest.approx(494.78, abs=5)
    assert found.p_at_1 == pytest.approx(found.chance_p_at_1, abs=0.001)
    located = questions.localization(random)
    assert located.gt_images == 6656
    assert located.gt_box == pytest.approx(located.gt_chance, abs=0.01)
    # A random scorer was published at 30.22; the spread of one is 0.37.
    assert 100 * located.gt_chance == pytest.approx(30.22, abs=1.1)
    same = np.full((1, 32), 0.1, dtype=np.float32)
    constant = Embedded(
        same.repeat(len(pool.regions), axis=0), same.repeat(len(pool.texts), axis=0), ""
    )
    found = questions.retrieval(constant)
    assert found.im2txt == found.txt2im == pytest.approx(found.chance_rank, abs=1e-9)
    assert found.p_at_1 == 0
