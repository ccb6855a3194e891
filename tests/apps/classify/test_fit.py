"""`trifocal classify fit`: what is fitted to, what is measured on, and bad input."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from tests.apps.classify.support import EACH, SIDE, TEMPLATE, Concepts, command, fit, picture, said
from trifocal.apps.classify.classifier import Classifier, load_classifier
from trifocal.apps.classify.examples import Examples, class_names, read_examples, split
from trifocal.apps.classify.features import PictureFeatures, shown_for
from trifocal.apps.classify.fit import fit_classifier, fit_head
from trifocal.apps.region_lists import GivenRegion
from trifocal.clip import Clip, load_clip
from trifocal.concepts import head_registry
from trifocal.concepts import vocabulary as vocabulary_module
from trifocal.concepts.head import Head
from trifocal.concepts.prompts import class_text
from trifocal.concepts.support import Support
from trifocal.concepts.vocabulary import concept_text, load_vocabulary
from trifocal.data import regions as regions_module
from trifocal.data.images import open_image, open_stored
from trifocal.errors import UserError
from trifocal.features import pictures as pictures_module
from trifocal.regions.encoder import CONVENTION, region_encoder
from trifocal.world import draw, make_scene
from trifocal.world.vocabulary import PLACES

pytestmark = pytest.mark.usefixtures("heads")


# Parts


def examples_of(*counts: int, tests: int = 0) -> Examples:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    total = len(labels)
    labels += [0] * tests
    names = tuple(f"{n}.png" for n in range(len(labels)))
    return Examples(
        "set",
        tuple(GivenRegion(Path(name), ()) for name in names),
        names,
        tuple(labels),
        tuple(f"class {n}" for n in range(len(counts))),
        tuple(range(total, total + tests)),
    )


def classes_in(examples: Examples, chosen: list[int]) -> list[int]:
    return np.bincount([examples.labels[i] for i in chosen], minlength=2).tolist()


def test_a_share_of_each_class_is_held_out() -> None:
    examples = examples_of(10, 5, 2)
    parts = split(examples, None, 0.2, 1)
    assert classes_in(examples, parts.held_out) == [2, 1, 1]
    assert sorted(parts.fitted + parts.held_out) == parts.support == list(range(17))
    assert split(examples, None, 0.2, 1) == parts
    assert split(examples, None, 0.2, 2).held_out != parts.held_out


def test_pictures_beyond_the_shots_are_measured_on() -> None:
    examples = examples_of(200, 5)
    parts = split(examples, 3, 0.2, 1)
    assert parts.fitted == parts.support
    assert classes_in(examples, parts.support) == [3, 3]
    assert classes_in(examples, parts.held_out) == [100, 2]
    assert not set(parts.support) & set(parts.held_out)


def test_shots_that_leave_nothing_over_hold_out_some_of_them() -> None:
    examples = examples_of(9, 3)
    parts = split(examples, 4, 0.25, 1)
    assert classes_in(examples, parts.support) == [4, 3]
    assert classes_in(examples, parts.held_out) == [1, 1]
    assert sorted(parts.fitted + parts.held_out) == parts.support


def test_single_pictures_cannot_be_spared() -> None:
    parts = split(examples_of(1, 1), None, 0.2, 1)
    assert (parts.support, parts.fitted, parts.held_out) == ([0, 1], [0, 1], [])
    assert "single picture" in parts.note
    parts = split(examples_of(4, 1), None, 0.2, 1)
    assert len(parts.held_out) == 1
    assert "1 of 2 classes have a single picture" in parts.note


def test_a_test_part_is_measured_on_and_not_fitted_to() -> None:
    parts = split(examples_of(4, 4, tests=3), None, 0.2, 1)
    assert parts.held_out == [8, 9, 10]
    assert parts.fitted == parts.support == list(range(8))
    assert not split(examples_of(4, 4, tests=3), None, 0, 1).held_out


def test_names(tmp_path: Path) -> None:
    folders = ["Annual Crop", "River"]
    assert class_names(folders) == folders
    (tmp_path / "a.json").write_text('{"AnnualCrop": "farm land", "river": "stream", "Sea": "x"}')
    assert class_names(folders, tmp_path / "a.json") == ["farm land", "stream"]
    (tmp_path / "a.txt").write_text("farm land\n\nstream\n")
    assert class_names(folders, tmp_path / "a.txt") == ["farm land", "stream"]
    for content, told in (
        ("one\n", "1 names for 2 classes"),
        ("same\nSame\n", "have the same name"),
    ):
        (tmp_path / "b.txt").write_text(content)
        with pytest.raises(UserError, match=told):
            class_names(folders, tmp_path / "b.txt")
    (tmp_path / "b.json").write_text('{"AnnualCrop": "x", "Rivers": "y"}')
    with pytest.raises(UserError, match=r"no name for the class 'River'.*'Rivers'"):
        class_names(folders, tmp_path / "b.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        class_names(folders, tmp_path / "b.json")
    with pytest.raises(UserError, match="cannot read"):
        class_names(folders, tmp_path / "nowhere.txt")


# Fitting


def test_fit_writes_a_model_and_says_how_good_it_is(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--template", TEMPLATE, "--method", "real", "--vocabulary", work / "words.txt"]
    assert fit(work, *words) == 0
    out = capsys.readouterr().out
    assert f"4 classes, {4 * EACH} support images (5 a class), 10 text concepts" in out
    assert "accuracy on 4 held-out pictures: " in out
    assert "zero-shot" in out
    assert "concepts to explain with: 10; " in out
    assert f"next: trifocal classify predict {work / 'new'}" in out
    facts = json.loads((work / "new" / "head.json").read_text())
    assert facts["metrics"]["n"] == 4
    assert 0 <= facts["metrics"]["low"] <= facts["metrics"]["acc1"] <= facts["metrics"]["high"] <= 1
    assert facts["metrics"]["protocol"] == "20% of each class, held out from a first fit"
    assert facts["drawn"] == {"shots": None, "views": 0, "holdout": 0.2, "seed": 1}
    assert facts["backbone"]["shown"] == {"as": "pictures"}
    assert len(list((work / "new" / "support").iterdir())) == 4 * EACH
    files = {path.suffix for path in (work / "new").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors", ".webp"}


def test_the_shipped_head_is_fitted_to_everything(made: Path, clip: Clip) -> None:
    examples = read_examples(made / "photos")
    features = PictureFeatures(clip, {"as": "pictures"})
    text = load_vocabulary(made / "words.txt")
    saved = load_classifier(made / "model", model=clip).saved
    head = Concepts(scale=clip.logit_scale.item(), seed=1).fit(
        features(examples.regions, views=2, seed=1),
        examples.labels,
        class_text(clip, examples.folders, (TEMPLATE,)),
        concept_text(clip, text),
    )
    asked = features(examples.regions)[:, 0]
    assert torch.equal(head.logits(asked), saved.head.logits(asked))
    assert saved.images == examples.names


def test_same_seed_same_model(work: Path) -> None:
    assert fit(work, "--method", "tip-adapter", "--views", "2") == 0
    (work / "new").rename(work / "first")
    assert fit(work, "--method", "tip-adapter", "--views", "2") == 0
    for name in ("head.json", "head.safetensors"):
        assert (work / "new" / name).read_bytes() == (work / "first" / name).read_bytes()


@pytest.mark.parametrize("method", ["tip-adapter", "gda", "linear-probe", "taskres"])
def test_other_methods(
    work: Path, method: str, clip: Clip, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(work, "--method", method, "--shots", "3", "--set", "scale=50") == 0
    assert (
        f"{method}: 4 classes, 12 support images (3 a class); backbone" in capsys.readouterr().out
    )
    loaded = load_classifier(work / "new", model=clip)
    assert loaded.saved.head.get_params()["scale"] == 50
    because = loaded.explain(GivenRegion(picture(work), ()))
    assert sum(one.term.value for one in because.reasons) == pytest.approx(because.logit, abs=1e-3)


@dataclass(eq=False)
class Searching(Head):
    """A head that notes what it is fitted to, and would choose its power on validation data."""

    power: float = 1.0
    alone: bool = False
    searches: ClassVar[bool] = True
    fits: ClassVar[list[tuple[list[float], list[float] | None]]] = []

    def _fit(self, data: Support) -> None:
        val = None if data.val is None else data.val[0][:, 0].tolist()
        self.fits.append((data.views[:, 0, 0].tolist(), val))
        self.power_ = 3.0 if val or self.alone else self.power


def test_what_a_head_selects_is_selected_inside_the_support(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head_registry, "HEADS", {"search": Searching})
    rows = torch.arange(1.0, 41.0, dtype=torch.float64).reshape(10, 1, 4)
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    text = torch.eye(4, dtype=torch.float64)[:3]

    def fits(params: dict[str, Any], keep: tuple[str, ...] = ()) -> tuple[Head, dict, list]:
        Searching.fits = []
        return *fit_head("search", params, rows, labels, text, keep=keep), Searching.fits

    head, chosen, seen = fits({})
    assert chosen == {"power": 3.0}
    assert (head.get_params()["power"], len(seen)) == (3.0, 3)
    everything = rows[:, 0, 0].tolist()
    assert seen[-1] == (everything, None)
    kept, judged = seen[1]
    assert judged is not None
    assert sorted(kept + judged) == everything
    assert [labels[everything.index(value)].item() for value in judged] == [0, 0, 1]
    assert fits({"alone": True})[1:] == ({}, [(everything, None)])  # it chose by itself
    head, chosen, seen = fits({"power": 2.0}, keep=("power",))
    assert (head.get_params()["power"], chosen, len(seen)) == (2.0, {}, 1)


def test_selection_is_told_and_kept(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(work, "--method", "tip-adapter") == 0
    assert "chosen inside the support: alpha " in capsys.readouterr().out
    facts = json.loads((work / "new" / "head.json").read_text())
    assert facts["params"]["alpha"] == facts["fitted"]["alpha_"]
    assert fit(work, "--method", "tip-adapter", "--set", "alpha=0.7", "--force") == 0
    assert "chosen inside" not in capsys.readouterr().out
    assert json.loads((work / "new" / "head.json").read_text())["fitted"]["alpha_"] == 0.7


def test_concepts_are_embedded_once(
    made: Path, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = load_vocabulary(made / "words.txt")
    examples = read_examples(made / "others")

    def fitted(cache: Path | None) -> Head:
        done = fit_classifier(examples, clip, vocabulary=vocabulary, views=0, cache=cache)
        return done.saved.head

    plain, first = fitted(None), fitted(tmp_path)
    monkeypatch.setattr(vocabulary_module, "encode_texts", None)
    again = fitted(tmp_path)
    asked = torch.eye(clip.embed_dim)
    for head in (first, again):
        assert torch.equal(head.logits(asked), plain.logits(asked))


class Counted:
    """A tokenizer's backend that notes what it is asked for."""

    def __init__(self, backend: Any, texts: list[str]) -> None:
        self.backend, self.texts = backend, texts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def encode(self, text: str, **options: Any) -> Any:
        self.texts.append(text)
        return self.backend.encode(text, **options)


@pytest.fixture
def work_done(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """What is tokenized, and which picture files are opened, from now on."""
    texts: list[str] = []
    for name in ("backend", "_splitter"):  # whatever tokenizes goes through one of these
        counted = Counted(getattr(clip.tokenizer, name), texts)
        monkeypatch.setattr(clip.tokenizer, name, counted)
    opened: list[str] = []
    for module, function in ((regions_module, open_stored), (pictures_module, open_image)):

        def noted(
            path: Any, *, name: str | None = None, function: Any = function, **options: Any
        ) -> Any:
            opened.append(name or str(path))
            return function(path, name=name, **options)

        monkeypatch.setattr(module, function.__name__, noted)
    return texts, opened


@pytest.mark.parametrize("cached", [False, True])
def test_each_text_is_tokenized_once_and_each_picture_opened_once(
    made: Path, clip: Clip, tmp_path: Path, work_done: tuple[list[str], list[str]], cached: bool
) -> None:
    examples = read_examples(made / "others")
    cache = tmp_path / "cache" if cached else None
    fitted = fit_classifier(examples, clip, views=0, cache=cache)
    fitted.save(tmp_path / "model")
    texts, opened = work_done
    assert len(fitted.parts.held_out) == 4  # also asked about, without being opened again
    assert len(texts) == len(set(texts)) == len(load_vocabulary()) + len(PLACES)
    assert sorted(opened) == sorted(str(region.image) for region in examples.regions)
    assert len(list((tmp_path / "model" / "support").iterdir())) == len(examples)
    if cached:  # the features are known; the small pictures that are kept are not
        opened.clear()
        fit_classifier(examples, clip, views=0, cache=cache).save(tmp_path / "again")
        assert sorted(opened) == sorted(str(region.image) for region in examples.regions)


def test_random_views_are_opened_apart_from_what_is_measured_on(
    made: Path, clip: Clip, tmp_path: Path, work_done: tuple[list[str], list[str]]
) -> None:
    examples = read_examples(made / "others")
    fitted = fit_classifier(examples, clip, views=2)
    fitted.save(tmp_path / "model")
    # The views and the plain pictures are kept in different stores, and are made one by one.
    assert len(work_done[1]) == len(examples) + len(fitted.parts.held_out)


def test_a_picture_is_opened_once_for_its_regions(
    work: Path, clip: Clip, work_done: tuple[list[str], list[str]]
) -> None:
    examples = read_examples(regions_list(work, 3))
    fit_classifier(examples, clip, vocabulary=load_vocabulary(work / "words.txt")).save(
        work / "new"
    )
    assert sorted(work_done[1]) == sorted({str(region.image) for region in examples.regions})


class Pooled:
    """A backbone that offers pooled unit vectors alone, as some from other libraries do."""

    name = "pooled"

    def __init__(self, clip: Clip) -> None:
        self.preprocess, self.tokenize, self.image_size = clip.preprocess, clip.tokenize, (64, 64)
        self.encode_image, self.encode_text = clip.encode_image, clip.encode_text
        self.logit_scale, self.fingerprint = clip.logit_scale, clip.fingerprint


def test_a_backbone_with_pooled_features_alone(work: Path, clip: Clip) -> None:
    backbone = Pooled(clip)
    vocabulary = load_vocabulary(work / "words.txt")
    for source, views in (("photos", 2), (regions_list(work, 3).name, None)):
        examples = read_examples(work / source)
        fitted = fit_classifier(examples, backbone, vocabulary=vocabulary, views=views)
        fitted.save(work / "new", force=True)
        loaded = load_classifier(work / "new", model=backbone)
        assert loaded.saved.backbone.name == "pooled"
        assert len(loaded.predict(examples.regions[:2])) == 2


def test_single_images_are_fitted_to_and_not_measured(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (work / "photos").rglob("*.png"):
        if not path.stem.endswith("0"):
            path.unlink()
    assert fit(work) == 0
    out = capsys.readouterr().out
    assert "single picture" in out
    assert "held-out" not in out
    assert json.loads((work / "new" / "head.json").read_text())["metrics"] == {}


def test_own_names_are_used_in_prompts_and_answers(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {place: f"the {place}" for place in PLACES}
    (work / "names.json").write_text(json.dumps(names))
    assert fit(work, "--names", work / "names.json") == 0
    assert command("predict", work / "new", picture(work), "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["class"] in names.values()
    assert command("evaluate", work / "new", work / "others", "--json") == 0
    assert json.loads(capsys.readouterr().out)["recall"].keys() == set(names.values())


def test_a_small_vocabulary_works_and_is_warned_of(
    work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (work / "three.txt").write_text("red\ngreen\nblue\n")
    assert fit(work, "--method", "concept-map", "--vocabulary", work / "three.txt") == 0
    assert "has 3 concepts only" in caplog.text


# Regions


def regions_list(folder: Path, count: int = 6) -> Path:
    """Write pictures with two things each, and a list of these, labeled left or right."""
    entries = []
    for index in range(count):
        scene = make_scene(0, index, "val", things=2)
        draw(scene, SIDE).save(folder / f"two{index}.png")
        first, second = sorted(scene.things, key=lambda thing: thing.center[0])
        for thing, label in ((first, "left one"), (second, "right_one")):
            x0, y0, x1, y1 = (side * SIDE for side in thing.box)
            entries.append(
                {
                    "image": f"two{index}.png",
                    "boxes": [[x0, y0, x1 - x0, y1 - y0]],
                    "label": label,
                }
            )
    path = folder / "regions.jsonl"
    path.write_text("\n".join(map(json.dumps, entries)))
    return path


def test_regions_are_fitted_to_and_asked_about_alike(work: Path, clip: Clip) -> None:
    regions_list(work)
    assert fit(work, "--method", "tip-adapter", source="regions.jsonl") == 0
    loaded = load_classifier(work / "new", model=clip)
    assert loaded.saved.backbone.shown["as"] == "regions"
    assert loaded.saved.folders == ("left one", "right one")
    examples = read_examples(work / "regions.jsonl")
    expected = region_encoder(clip).encode_regions(list(examples.regions))
    assert torch.allclose(loaded.features(examples.regions)[:, 0], expected, atol=1e-5)
    found = loaded.evaluate(examples)
    assert (found.n, found.seen) == (12, 12)
    small = loaded.saved.thumbnail(0)
    assert small is not None
    with Image.open(work / "two0.png") as whole:
        left, top, width, height = examples.regions[0].boxes[0]
        crop = whole.convert("RGB").crop((left, top, left + width, top + height))  # type: ignore[arg-type]
    gap = np.asarray(small, float).mean((0, 1)) - np.asarray(crop, float).mean((0, 1))
    assert np.abs(gap).max() < 25


def test_a_box_of_a_picture_classifier_is_a_crop(work: Path, classifier: Classifier) -> None:
    box = (10.0, 20.0, 50.0, 40.0)
    with Image.open(picture(work)) as whole:
        whole.convert("RGB").crop((10, 20, 60, 60)).save(work / "crop.png")
    a = classifier.features([GivenRegion(picture(work), (box,))])
    b = classifier.features([GivenRegion(work / "crop.png", ())])
    assert torch.allclose(a, b, atol=1e-5)


def test_lists_of_regions_are_asked_about(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = regions_list(work, 2)
    assert command("predict", work / "model", path, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 4
    assert all(line["boxes"] for line in lines)
    assert command("predict", work / "model", path, "--box", "1,2,3,4") == 2
    assert "leave out --box" in said(capsys)


def test_a_model_that_was_trained_on_regions_is_always_shown_them(clip: Clip) -> None:
    assert shown_for(clip, boxes=False) == {"as": "pictures"}
    assert shown_for(clip, boxes=True)["prompt"]["layout"] == "separate"
    trained = load_clip("builtin")
    trained.conventions = {CONVENTION: {"variant": "r-cir", "layout": "stacked"}}
    shown = shown_for(trained, boxes=False)
    assert (shown["as"], shown["prompt"]["variant"]) == ("regions", "r-cir")
    assert "r-cir" in PictureFeatures(trained, shown).protocol
    with pytest.raises(UserError, match=r"fitted to whole pictures, but .* fit the classifier"):
        PictureFeatures(trained, {"as": "pictures"})
    with pytest.raises(UserError, match="fitted to another regional prompt"):
        PictureFeatures(trained, shown_for(clip, boxes=True))
    PictureFeatures(trained, {"as": "pictures"}, force=True)


# Bad input


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--method", "tip-adaptor"], "Did you mean 'tip-adapter'"),
        (["--method", "prolip"], "choose another --method"),
        (["--set", "alpa=2", "--method", "tip-adapter"], "Did you mean 'alpha'"),
        (["--set", "alpha=much", "--method", "tip-adapter"], "alpha is 'much', but needs a number"),
        (["--set", "alpha"], "write key=value"),
        (["--shots", "0"], "at least 1 picture"),
        (["--holdout", "1"], "from 0 to below 1"),
        (["--views", "-1"], "--views is -1"),
        (["--template", "a photo"], "has no place for the class name"),
        (["--vocabulary", "nowhere.txt"], "there is no vocabulary at nowhere.txt"),
        (["--vocabulary", "WORDS"], "zero-shot has no text concepts; leave out --vocabulary"),
        (["--names", "nowhere.txt"], "cannot read the names in nowhere.txt"),
        (["--model", "nowhere/x"], "nowhere/x"),
        (["--shotz", "3"], "Did you mean '--shots'"),
    ],
)
def test_bad_words_for_fit(
    work: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(work / "words.txt") if word == "WORDS" else word for word in words]
    assert fit(work, *given) == 2
    assert told in said(capsys)
    assert not (work / "new").exists()


def test_bad_folders_for_fit(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "photos" / "vacant").mkdir()
    assert fit(work) == 2
    assert "vacant has no picture" in said(capsys)
    (work / "photos" / "vacant").rmdir()
    shutil.copytree(work / "photos" / PLACES[0], work / "photos" / PLACES[0].upper())
    assert fit(work) == 2
    assert "have the same name" in said(capsys)
    (work / "void").mkdir()
    assert fit(work, source="void") == 2
    assert "no class folders" in said(capsys)
    assert fit(work, source="nowhere") == 2
    assert "there is no folder" in said(capsys)
    (work / "single" / "only").mkdir(parents=True)
    shutil.copy(picture(work), work / "single" / "only" / "a.png")
    assert fit(work, source="single") == 2
    assert "needs at least two" in said(capsys)
    assert command("fit", work / "void", "--out", work / "photos") == 2
    assert "choose another folder" in said(capsys)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"image": "a.png"}', 'line 1: there is no "label"'),
        ('{"image": "a.png", "label": " "}', 'line 1: there is no "label"'),
        ('{"image": "a.png", "label": "x", "boxes": [[1, 2]]}', "line 1: the region has a box"),
        ("{}", "line 1: not like"),
        ('{"image": "a.png", "label": "x"}', "needs at least two"),
    ],
)
def test_bad_lists_for_fit(
    work: Path, line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "bad.jsonl").write_text(line)
    assert fit(work, source="bad.jsonl") == 2
    assert told in said(capsys)
    assert fit(work, source="nowhere.jsonl") == 2
    assert "cannot read" in said(capsys)
