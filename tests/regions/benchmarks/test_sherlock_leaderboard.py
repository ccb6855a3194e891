"""The leaderboard's files in miniature: read, scored, and compared with the definitions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from trifocal.data.regions import Region
from trifocal.data.sherlock_files import ImageRoots
from trifocal.errors import UserError
from trifocal.regions.benchmarks.comparison import comparison_metrics
from trifocal.regions.benchmarks.leaderboard import find_tasks, read_task
from trifocal.regions.benchmarks.pool import Pool
from trifocal.regions.benchmarks.sherlock import Sherlock
from trifocal.regions.benchmarks.submission import check_submission

PICTURES = ("VG_100K/1.jpg", "VG_100K_2/2.jpg", "vcr1images/film/3.jpg", "vcr1images/film/4.jpg")
Triple = tuple[str, list[dict[str, int]], str]


def url(picture: str) -> str:
    return f"https://example.org/{picture}"


def box(rng: np.random.Generator) -> dict[str, int]:
    left, top, width, height = (int(v) for v in rng.integers(1, 50, 4))
    return {"left": left, "top": top, "width": width, "height": height}


class Miniature:
    """All three tasks over four pictures, written as published, in a shuffled order."""

    def __init__(self, root: Path, split: str = "val", answers: bool = True) -> None:
        self.root, self.split, self.answers = root, split, answers
        self.rng = np.random.default_rng(5)
        self.triples: dict[str, dict[str, Triple]] = {}
        self.keys: dict[str, Any] = {}
        # Instances: (id, picture, boxes, inference); a picture has three or four.
        self.instances = [
            (f"i{p}{k}", picture, [box(self.rng) for _ in range(1 + k % 2)], f"thing {p} does {k}")
            for p, picture in enumerate(PICTURES)
            for k in range(3 + p % 2)
        ]
        for picture in PICTURES:
            (root / picture).parent.mkdir(parents=True, exist_ok=True)
            (root / picture).touch()
        self.retrieval()
        self.localization()
        self.comparison()
        for name in self.triples:
            self.write(name)

    def add(self, task: str, picture: str, boxes: list[dict[str, int]], inference: str) -> str:
        made = self.triples.setdefault(task, {})
        test_id = hashlib.md5(f"{task}{len(made)}".encode()).hexdigest()
        made[test_id] = (picture, boxes, inference)
        return test_id

    def retrieval(self) -> None:
        for fold in (0, 1):
            name = f"retrieval_{fold}"
            members = self.instances[fold::2]
            self.keys[name] = {
                self.add(name, mine[1], mine[2], other[3]): [mine[0], other[0]]
                for mine in members
                for other in members
            }

    def localization(self) -> None:
        key = self.keys["localization"] = {}
        for picture in PICTURES:
            mine = [one for one in self.instances if one[1] == picture]
            proposals = [box(self.rng) for _ in range(4)]
            for one in mine:
                base = {"image": url(picture), "inst_id": one[0]}
                for k, region in enumerate(mine):
                    test_id = self.add("localization", picture, region[2], one[3])
                    correct = region[0] == one[0]
                    key[test_id] = {"type": "gt", "bbox_idx": k, "correct": correct, **base}
                for k, proposal in enumerate(proposals):
                    test_id = self.add("localization", picture, [proposal], one[3])
                    iou = float(self.rng.choice([0.2, 0.5, 0.6, 0.9]))
                    key[test_id] = {"type": "auto", "bbox_idx": k, "IoU": iou, **base}

    def comparison(self) -> None:
        ids, annotations = {}, []
        for one in self.instances[:3]:
            candidates = []
            for other in self.instances[:10]:
                test_id = self.add("comparison", one[1], one[2], other[3])
                ids[test_id] = {"Input_iid": one[0], "candidate": other[0]}
                first, second = (int(v) for v in self.rng.integers(1, 4, 2))
                candidates.append({"source_iid": other[0], "annot1": first, "annot2": second})
            annotations.append({"Input_iid": one[0], "candidates": candidates})
        self.keys["comparison"] = {"test_id_map": ids, "annotations": annotations}

    def file(self, task: str, kind: str) -> Path:
        suffix = "" if self.answers else "_public"
        folder = self.root / f"{self.split}_{task.split('_')[0]}{suffix}"
        return folder / f"{self.split}_{task}_{kind}.json"

    def write(self, task: str) -> None:
        ids = list(self.triples[task])
        self.rng.shuffle(ids)
        entries = []
        for test_id in ids:
            picture, boxes, inference = self.triples[task][test_id]
            entries.append(
                {
                    "image": {"url": url(picture), "width": 100, "height": 90},
                    "region": boxes,
                    "inference": inference,
                    "test_id": test_id,
                    "extra_info": {"task": task.split("_")[0]},
                }
            )
        self.file(task, "x").parent.mkdir(exist_ok=True)
        self.file(task, "instances").write_text(json.dumps(entries))
        if self.answers:
            self.file(task, "answer_key").write_text(json.dumps(self.keys[task]))
            self.file(task, "instance_ids").write_text(json.dumps(sorted(ids)))

    def scores(self, model: Any, task: str) -> dict[str, float]:
        """Scores by test id, one pair at a time."""
        return {test_id: self.score(model, *of) for test_id, of in self.triples[task].items()}

    def score(self, model: Any, picture: str, boxes: list[dict[str, int]], text: str) -> float:
        sides = tuple((b["left"], b["top"], b["width"], b["height"]) for b in boxes)
        return model.score(Region(picture, sides), text)


@pytest.fixture
def miniature(tmp_path) -> Miniature:
    return Miniature(tmp_path)


def rows_of(benchmark: Sherlock, model: Any, root: Path) -> dict[tuple[str, str], Any]:
    rows = benchmark.score(model, benchmark.items(root))
    found = {(row.task, row.metric): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_retrieval_is_the_definition(miniature, model):
    found = rows_of(Sherlock(), model, miniature.root)
    places, back, first = [], [], []
    for fold in (0, 1):
        scores = miniature.scores(model, f"retrieval_{fold}")
        by_pair = {
            tuple(pair): scores[i] for i, pair in miniature.keys[f"retrieval_{fold}"].items()
        }
        names = sorted({pair[0] for pair in by_pair})
        matrix = np.array([[by_pair[a, b] for b in names] for a in names])
        rank = np.diagonal(rankdata(-matrix, axis=1))
        places.append(rank.mean())
        back.append(np.diagonal(rankdata(-matrix, axis=0)).mean())
        first.append((rank == 1).mean())
    assert found["retrieval", "im2txt"].value == pytest.approx(np.mean(places))
    assert found["retrieval", "txt2im"].value == pytest.approx(np.mean(back))
    assert found["retrieval", "P@1"].value == pytest.approx(np.mean(first))
    row = found["retrieval", "im2txt"]
    assert row.n == len(miniature.instances) == 14
    assert row.chance == pytest.approx(4.0)  # two folds of seven
    assert row.is_rank
    assert "2 of 23 folds" in row.protocol
    assert "prompt by name" in row.protocol


def test_localization_is_the_definition(miniature, model):
    found = rows_of(Sherlock(), model, miniature.root)
    scores, key = miniature.scores(model, "localization"), miniature.keys["localization"]
    gt, auto, best = [], [], []
    for picture in PICTURES:
        mine = {i: a for i, a in key.items() if a["image"] == url(picture)}
        own = {a["inst_id"]: a["bbox_idx"] for a in mine.values() if a.get("correct")}
        n = len(own)
        matrix = np.empty((n, n))
        for i, a in mine.items():
            if a["type"] == "gt":
                matrix[a["bbox_idx"], own[a["inst_id"]]] = scores[i]
        order = max(permutations(range(n)), key=lambda p: sum(matrix[k, p[k]] for k in range(n)))
        gt.append(np.mean(np.array(order) == np.arange(n)))
        for values, by in ((auto, scores.__getitem__), (best, lambda i: key[i]["IoU"])):
            right = []
            for name in own:
                these = [i for i, a in mine.items() if a["inst_id"] == name and "IoU" in a]
                right.append(key[max(these, key=by)]["IoU"] > 0.5)
            values.append(np.mean(right))
    assert found["localization", "GT-Box"].value == pytest.approx(np.mean(gt))
    assert found["localization", "Auto-Box"].value == pytest.approx(np.mean(auto))
    assert found["localization", "Auto-Box oracle"].value == pytest.approx(np.mean(best))
    assert found["localization", "GT-Box"].chance == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert found["localization", "GT-Box"].seed == 0
    assert "noise of 1e-06" in found["localization", "GT-Box"].protocol
    assert found["localization", "Auto-Box"].seed is None


def test_comparison_is_the_definition(miniature, model):
    found = rows_of(Sherlock(), model, miniature.root)
    scores, key = miniature.scores(model, "comparison"), miniature.keys["comparison"]
    by_pair = {(v["Input_iid"], v["candidate"]): scores[i] for i, v in key["test_id_map"].items()}
    ratings, values = [], []
    for one in key["annotations"]:
        ratings.append([[c[name] for c in one["candidates"]] for name in ("annot1", "annot2")])
        values.append([by_pair[one["Input_iid"], c["source_iid"]] for c in one["candidates"]])
    expected = comparison_metrics(values, ratings)
    row = found["comparison", "Human Acc"]
    assert row.value == pytest.approx(expected.model)
    assert (row.n, row.chance) == (3, 0.0)
    assert f"people reach {expected.human:.4f}, their mean {expected.oracle:.4f}" in row.protocol


def test_everything_is_encoded_once(miniature, model):
    benchmark = Sherlock()
    benchmark.score(model, benchmark.items(miniature.root))
    regions, texts = model.asked
    assert len(regions) == len(set(regions)) == 14 + 4 * 4
    assert len(texts) == len(set(texts)) == 14


def test_a_submission_holds_every_score_in_order(miniature, model, tmp_path):
    path = tmp_path / "out" / "test_set_predictions.zip"
    benchmark = Sherlock(submission=path)
    benchmark.score(model, benchmark.items(miniature.root))
    sizes = {task: len(triples) for task, triples in miniature.triples.items()}
    assert check_submission(path, sizes) == []
    with np.load(path, allow_pickle=False) as arrays:
        for task in sizes:
            scores = miniature.scores(model, task)
            expected = np.array([scores[i] for i in sorted(scores)], dtype=np.float32)
            np.testing.assert_array_equal(arrays[f"test_set_predictions/{task}"], expected)


def test_the_test_set_has_no_answers(tmp_path, model):
    miniature = Miniature(tmp_path, "test", answers=False)
    assert Sherlock(split="test").check(tmp_path) == []
    with pytest.raises(UserError, match="set submission to a zip file"):
        Sherlock(split="test").items(tmp_path)
    benchmark = Sherlock(split="test", submission=tmp_path / "out")
    assert benchmark.score(model, benchmark.items(tmp_path)) == []
    sizes = {task: len(triples) for task, triples in miniature.triples.items()}
    assert check_submission(tmp_path / "out" / "test_set_predictions.zip", sizes) == []


def test_folds_can_be_chosen(miniature, model):
    found = rows_of(Sherlock(folds=[1]), model, miniature.root)
    assert found["retrieval", "im2txt"].n == 7
    tasks = find_tasks([miniature.root], "val", [0])
    assert list(tasks) == ["comparison", "localization", "retrieval_0"]


def test_missing_pictures_are_named(miniature):
    (miniature.root / PICTURES[0]).unlink()
    (missing,) = Sherlock().check(miniature.root)
    assert "VG_100K/1.jpg is missing: 1 of its 1 pictures are not in" in str(missing)
    with pytest.raises(UserError, match="sherlock cannot run"):
        Sherlock().items(miniature.root)


def change(file: Path, edit: Callable[[Any], Any]) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps(edit(content)))


def without(key: str) -> Callable[[Any], Any]:
    def edit(content: Any) -> Any:
        del content[0][key]
        return content

    return edit


def setting(key: str, value: Any) -> Callable[[Any], Any]:
    def edit(content: Any) -> Any:
        first = content[next(iter(content))] if isinstance(content, dict) else content[0]
        first[key] = value
        return content

    return edit


def first_gone(content: dict[str, Any]) -> dict[str, Any]:
    del content[next(iter(content))]
    return content


def renamed(content: dict[str, Any]) -> dict[str, Any]:
    content["unknown"] = content.pop(next(iter(content)))
    return content


@pytest.mark.parametrize(
    ("task", "kind", "edit", "message"),
    [
        ("comparison", "instances", without("test_id"), "entry 0 names or lacks 'test_id'"),
        ("comparison", "instances", without("image"), "entry 0 names or lacks 'image'"),
        ("comparison", "instances", setting("region", []), "entry 0 has no box"),
        ("comparison", "instances", setting("region", 3), "not in the leaderboard's format"),
        ("comparison", "instances", setting("inference", 3), "that is not a text"),
        ("comparison", "instances", lambda c: [*c, c[0]], "names a test_id twice"),
        ("comparison", "instances", lambda c: [], "holds no instances"),
        ("comparison", "instances", lambda c: {"a": c}, "must hold a JSON list"),
        ("comparison", "instance_ids", lambda c: c[::-1], "does not list the test_ids"),
        ("comparison", "answer_key", lambda c: {"annotations": []}, "lacks 'test_id_map'"),
        ("comparison", "answer_key", lambda c: {**c, "annotations": []}, "no annotations"),
        ("retrieval_0", "answer_key", renamed, "unknown names or lacks 'unknown'"),
        ("retrieval_0", "answer_key", first_gone, "must pair each of its 7 regions"),
        ("retrieval_0", "answer_key", lambda c: {i: ["a", "a"] for i in c}, "must pair each"),
        ("retrieval_0", "answer_key", lambda c: dict.fromkeys(c, 3), "leaderboard's format"),
        ("localization", "answer_key", setting("type", "other"), "neither gt nor auto"),
        ("localization", "answer_key", setting("bbox_idx", 2), "do not each meet"),
        ("localization", "answer_key", first_gone, "names or lacks|do not each meet"),
    ],
)
def test_faults_are_named(miniature, task, kind, edit, message):
    file = miniature.file(task, kind)
    change(file, edit)
    with pytest.raises(UserError, match=message):
        Sherlock().items(miniature.root)


def test_the_order_of_the_key_decides_among_equal_scores(miniature, name_model):
    blind = name_model(see=lambda region: "all the same")
    found = rows_of(Sherlock(), blind, miniature.root)
    key = miniature.keys["localization"]
    right = []
    for picture in PICTURES:
        first: dict[str, float] = {}
        for answer in key.values():
            if answer["image"] == url(picture) and answer["type"] == "auto":
                first.setdefault(answer["inst_id"], answer["IoU"])
        right.append(np.mean([iou > 0.5 for iou in first.values()]))
    assert found["localization", "Auto-Box"].value == pytest.approx(np.mean(right))
    assert found["retrieval", "txt2im"].value == 4.0  # all regions tie: exactly (N + 1) / 2


def test_one_task_alone(miniature):
    pool, roots = Pool(), ImageRoots(*[miniature.root] * 3)
    path = find_tasks([miniature.root], "val")["retrieval_1"]
    task = read_task("retrieval_1", path, pool, roots)
    assert len(task) == 49
    assert len(pool.regions) == len(pool.texts) == 7
