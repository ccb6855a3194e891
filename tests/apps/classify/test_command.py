"""`trifocal classify`: asking, explaining, evaluating, and what is said of bad input."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.apps.classify.support import EACH, TEMPLATE, WORDS, command, fit, picture, said
from trifocal.apps import region_lists
from trifocal.apps.classify.answers import Reason, decision
from trifocal.apps.classify.classifier import Classifier, load_classifier
from trifocal.apps.classify.examples import read_examples
from trifocal.apps.classify.features import PictureFeatures
from trifocal.apps.classify.picture import explained_picture
from trifocal.apps.classify.tables import described
from trifocal.apps.region_lists import GivenRegion
from trifocal.cli import main
from trifocal.clip import Clip, load_clip
from trifocal.concepts.explanation import Explanation, Term
from trifocal.concepts.head_files import Backbone, SavedHead
from trifocal.concepts.registry import HEADS as REAL
from trifocal.errors import UserError
from trifocal.world.vocabulary import PLACES

pytestmark = pytest.mark.usefixtures("heads")


# Asking


def test_predictions_are_the_heads(classifier: Classifier, made: Path, clip: Clip) -> None:
    regions = [GivenRegion(picture(made, place, 1), ()) for place in PLACES]
    found = classifier.predict(regions, top=4)
    chances = classifier.saved.head.predict_proba(classifier.features(regions)[:, 0])
    for best, row in zip(found, chances, strict=True):
        assert [guess.label for guess in best] == [
            classifier.saved.classes[i] for i in row.argsort(descending=True)
        ]
        assert sum(guess.probability for guess in best) == pytest.approx(1, abs=1e-5)
    assert classifier.predict([]) == []


def test_predict_prints_a_table(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("predict", made / "model", made / "photos") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["picture", "class", "probability", "next"]
    assert lines[2].startswith(f"{sorted(PLACES)[0]}/")
    assert max(map(len, lines)) <= 80


def test_predict_prints_json_lines(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [picture(made), picture(made, PLACES[1]), "--json", "--top", "2"]
    assert command("predict", made / "model", *words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in lines] == [str(word) for word in words[:2]]
    for line in lines:
        assert line["top"][0]["class"] == line["class"]
        assert len(line["top"]) == 2


def test_predictions_go_on_where_they_stopped(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(region_lists, "CHUNK", 3)
    out = work / "out.jsonl"
    words = ["predict", work / "model", work / "photos", "--out", out]
    assert command(*words) == 0
    whole = out.read_bytes()
    assert len(whole.splitlines()) == 4 * EACH
    out.write_bytes(whole[: len(whole) // 2])
    assert command(*words) == 0
    assert out.read_bytes() == whole
    assert "20 of 20 pictures classified" in capsys.readouterr().err
    assert command(*words, "--top", "2") == 2
    assert "another classifier or --top" in said(capsys)


def test_a_corrupt_file_stops_or_is_skipped(
    work: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    bad = work / "photos" / PLACES[0] / "cut.png"
    bad.write_bytes(picture(work).read_bytes()[:300])
    assert command("predict", work / "model", work / "photos") == 2
    assert str(bad) in said(capsys)
    assert command("predict", work / "model", work / "photos", "--skip-bad", "--json") == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 4 * EACH
    assert "20 of 21 pictures" in captured.err
    assert str(bad) in caplog.text
    for action in (["fit", work / "photos", "--out", work / "new", "--method", "zero-shot"],
                   ["evaluate", work / "model", work / "photos"]):  # fmt: skip
        assert command(*action) == 2
        assert str(bad) in said(capsys)


@pytest.mark.parametrize("views", ["0", "2"])
def test_a_few_broken_pictures_are_left_out(
    work: Path, views: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    bad = work / "photos" / PLACES[0] / "cut.png"
    bad.write_bytes(picture(work).read_bytes()[:300])
    few = ["--most-left-out", "0.25"]
    words = ["--out", work / "new", "--method", "zero-shot", "--views", views]
    assert command("fit", work / "photos", *words, *few) == 0
    assert "cannot be read and are left out" in capsys.readouterr().out
    assert str(bad) in caplog.text
    facts = json.loads((work / "new" / "head.json").read_text())
    assert "cut.png" not in str(facts["support"])
    account = facts["drawn"]["unreadable"]
    assert account["first"] == [str(bad)]
    assert sum(account["left_out"].values()) == 1
    assert len(facts["support"]) == 4 * EACH  # in the end it is fitted to what was held out, too

    out = work / "rows.jsonl"
    assert command("evaluate", work / "model", work / "photos", *few, "--out", out) == 0
    row = json.loads(out.read_text().splitlines()[0])
    assert row["n"] == 4 * EACH
    assert "1 of 21 pictures cannot be read" in row["protocol"]
    assert row["account"]["unreadable"]["first"] == [str(bad)]


def test_broken_pictures_of_a_list_are_left_out(
    work: Path, clip: Clip, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted((work / "photos").rglob("*.png"))
    lines = [
        {"image": str(path), "label": path.parent.name, "boxes": [[8, 8, 60, 60]]} for path in paths
    ]
    (work / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    paths[0].write_bytes(paths[0].read_bytes()[:300])
    paths[EACH].unlink()
    assert fit(work, source="list.jsonl") == 2
    assert "2 of 20 pictures of list cannot be used" in said(capsys)
    assert fit(work, "--most-left-out", "0.1", source="list.jsonl") == 0
    facts = json.loads((work / "new" / "head.json").read_text())
    assert len(facts["support"]) == 4 * EACH - 2
    examples = read_examples(work / "list.jsonl")
    for folder in ("new", "model"):  # shown in its picture, and as a crop
        found = load_classifier(work / folder, model=clip).evaluate(examples, most_left_out=0.1)
        assert found.n == 4 * EACH - 2


def test_a_class_without_a_readable_picture_is_refused(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (work / "photos" / PLACES[0]).iterdir():
        path.write_bytes(path.read_bytes()[:300])
    assert fit(work, "--most-left-out", "0.5") == 2
    assert f"no picture of the class '{PLACES[0]}'" in capsys.readouterr().err


# Explaining


@pytest.mark.parametrize("top", [1, 3, 100])
def test_contributions_add_up_to_the_logit(classifier: Classifier, made: Path, top: int) -> None:
    for place in PLACES:
        region = GivenRegion(picture(made, place, 2), ())
        logits = classifier.saved.head.logits(classifier.features([region])[:, 0])[0]
        for about in (None, *PLACES):
            because = classifier.explain(region, about, top)
            label = classifier.saved.classes.index(because.about.label)
            assert because.logit == pytest.approx(float(logits[label]), abs=1e-5)
            total = sum(one.term.value for one in because.reasons)
            assert total == pytest.approx(because.logit, abs=1e-4)


def test_a_class_against_another(classifier: Classifier, made: Path) -> None:
    region = GivenRegion(picture(made), ())
    logits = classifier.saved.head.logits(classifier.features([region])[:, 0])[0]
    because = classifier.explain(region, PLACES[0], 3, against=PLACES[2])
    one, other = (classifier.label_of(PLACES[number]) for number in (0, 2))
    assert because.logit == pytest.approx(float(logits[one] - logits[other]), abs=1e-4)
    assert sum(each.term.value for each in because.reasons) == pytest.approx(
        because.logit, abs=1e-4
    )
    assert (because.about.label, because.against) == (PLACES[0], PLACES[2])
    turned = classifier.explain(region, PLACES[2], 3, against=PLACES[0])
    assert [one.term.value for one in turned.reasons] == pytest.approx(
        [-one.term.value for one in because.reasons], abs=1e-5
    )
    with pytest.raises(UserError, match="with itself"):
        classifier.explain(region, PLACES[0], against=PLACES[0])


def test_a_class_against_another_has_images_of_both(work: Path, clip: Clip) -> None:
    assert fit(work, "--method", "tip-adapter") == 0
    loaded = load_classifier(work / "new", model=clip)
    because = loaded.explain(GivenRegion(picture(work), ()), PLACES[0], 99, against=PLACES[1])
    own = {one.images[0].split("/")[0]: one.term.value for one in because.reasons if one.images}
    assert own[PLACES[0]] > 0 > own[PLACES[1]]


def test_reasons_have_names_and_images(classifier: Classifier, made: Path) -> None:
    because = classifier.explain(GivenRegion(picture(made), ()), PLACES[0], 4)
    by_kind = {one.term.kind: one for one in because.reasons}
    assert by_kind["text"].name == TEMPLATE.replace("{}", PLACES[0])
    assert by_kind["rest"].name == "everything else"
    for one in because.reasons:
        if one.term.kind == "concept":
            assert one.name in WORDS
            assert set(one.images) <= set(classifier.saved.images)
            assert one.ungrounded == ((one.term.grounding or 0) < 1)


def test_explain_prints_reasons_and_their_sum(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("explain", made / "model", picture(made), "--top", "3") == 0
    out = capsys.readouterr().out
    assert "logit of" in out
    assert "everything else" in out
    assert max(map(len, out.splitlines())) <= 80
    assert command("explain", made / "model", picture(made), "--json", "--class", PLACES[1]) == 0
    said_ = json.loads(capsys.readouterr().out)
    assert said_["class"] == PLACES[1]
    total = sum(reason["contribution"] for reason in said_["reasons"])
    assert total == pytest.approx(said_["logit"], abs=1e-4)


def test_explain_draws_a_picture(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(work / "photos" / PLACES[1])  # the model folder has all it needs
    out = work / "why.webp"
    assert command("explain", work / "model", picture(work), "--out", out) == 0
    drawn = Image.open(out)
    assert drawn.format == "WEBP"
    assert 1100 < drawn.width < 1300
    assert "The picture is in" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(64, 48), (3, 500), (500, 3), (1, 1)])
def test_picture_of_any_shape(classifier: Classifier, made: Path, size: tuple[int, int]) -> None:
    because = classifier.explain(GivenRegion(picture(made), ()), top=50)
    box = (-5.0, -5.0, size[0] + 50.0, size[1] + 50.0)
    page = explained_picture(Image.new("RGB", size), [box], because, classifier.saved)
    assert page.mode == "RGB"
    assert max(page.size) < 2000


def _reason(value: float) -> Reason:
    return Reason(Term("concept", value, 0, 0.5, (0,), 0.96), "a cup", ("a.png",), 2.5)


def test_picture_shows_signs_and_own_images(classifier: Classifier, made: Path) -> None:
    because = classifier.explain(GivenRegion(picture(made), ()), PLACES[0], top=50)
    because = replace(because, reasons=(*because.reasons, _reason(9.0), _reason(-9.0)))
    page = explained_picture(Image.new("RGB", (9, 9)), (), because, classifier.saved)
    pixels = np.asarray(page).reshape(-1, 3)
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert np.all(pixels == color, axis=1).sum() > 500


def test_bars_lie_on_their_side_of_zero_with_numbers_beside_them(
    classifier: Classifier, made: Path
) -> None:
    because = classifier.explain(GivenRegion(picture(made), ()), PLACES[0])
    because = replace(because, reasons=(_reason(2.0), _reason(-0.02)), decision=None, names="")
    page = np.asarray(explained_picture(Image.new("RGB", (9, 9)), (), because, classifier.saved))
    right, left = (np.all(page == color, axis=2) for color in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)))
    panel = slice(400 + 2 * 28, 400 + 2 * 28 + 250 + 190)  # without probabilities and frames
    bar = np.flatnonzero(right[:, panel].any(0))
    assert bar[0] >= 250  # nothing of it under the name
    against = np.flatnonzero(left[:, panel].any(0))
    assert against.max() <= bar.min()
    numbers = slice(400 + 2 * 28 + 250 + 190 + 1, 400 + 2 * 28 + 250 + 190 + 96)
    assert not right[:, numbers].any()


def test_what_a_decision_rests_on_is_said() -> None:
    one = Explanation(0, 3.0, (Term("text", 1.0), Term("concept", 1.5, 4), Term("rest", 0.5)))
    other = Explanation(1, 1.0, (Term("text", 1.2), Term("concept", 0.9, 4), Term("rest", -1.1)))
    made = decision(one, other, "dax", {4})
    assert made.margin == 2.0
    assert made.parts == pytest.approx({"text": -0.2, "concept": 0.6, "rest": 1.6})
    assert not made.rest_decides
    assert "30.0" in made.told("yavo")
    assert "the margin between yavo and dax" in made.told("yavo")
    hidden = decision(one, other, "dax", ())
    assert hidden.rest_decides
    assert "no concept is named" in hidden.told("yavo")
    turned = decision(other, one, "yavo", {4})
    assert turned.share == pytest.approx(0.3)
    against = decision(one, replace(other, terms=(Term("concept", 2.0, 4),)), "dax", {4})
    assert "speaks for dax" in against.told("yavo")


def test_ungrounded_is_never_said_of_what_rounds_to_the_bound() -> None:
    assert "z 0.9" in described(_reason(1.0))
    assert described(replace(_reason(1.0), term=Term("concept", 1.0, 0, 0.5, (0,), 1.0))) == "a cup"


def test_explain_writes_a_page_about_a_folder(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("explain", made / "model", made / "others")
    assert command(*words, "--html", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text()
    for part in ("Confusion matrix", "Classes, the worst first", "accuracy", *PLACES):
        assert part in page
    assert command(*words) == 2
    assert "say where its page goes with --html" in capsys.readouterr().err
    assert command(*words, "--html", tmp_path / "page.html", "--against", PLACES[0]) == 2
    assert "--against is about one picture" in capsys.readouterr().err


def test_picture_of_a_method_without_parts(work: Path, clip: Clip) -> None:
    assert fit(work, "--method", "linear-probe") == 0
    loaded = load_classifier(work / "new", model=clip)
    because = loaded.explain(GivenRegion(picture(work), ()))
    assert explained_picture(Image.new("RGB", (9, 9)), (), because, loaded.saved).width > 1000


# Evaluating


def test_evaluation_counts_right(classifier: Classifier, made: Path) -> None:
    examples = read_examples(made / "others")
    found = classifier.evaluate(examples)
    named = [best[0].label for best in classifier.predict(examples.regions)]
    true = [classifier.saved.classes[label] for label in examples.labels]
    right = [a == b for a, b in zip(named, true, strict=True)]
    assert found.accuracy.value == pytest.approx(np.mean(right))
    assert found.n == 8
    for name, count, share in found.recalls:
        mine = [r for r, t in zip(right, true) if t == name]
        assert (count, share) == (2, pytest.approx(np.mean(mine)))
    wrong = [(t, n) for t, n in zip(true, named) if t != n]
    assert sum(count for _, _, count in found.confusions) == len(wrong)
    assert {(t, n) for t, n, _ in found.confusions} == set(wrong)
    assert (found.seen, found.absent) == (0, ())
    metrics = {row.metric: row for row in found.rows}
    assert metrics["acc1"].value == found.accuracy.value
    assert metrics["acc1"].chance == 0.25


def test_evaluate_says_what_to_keep_in_mind(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(work / "others" / PLACES[1])
    shutil.copy(picture(work), work / "others" / PLACES[0] / "renamed.png")
    out = work / "results.jsonl"
    assert command("evaluate", work / "model", work / "others", "--out", out) == 0
    printed = capsys.readouterr().out
    assert "accuracy on 7 pictures: " in printed
    assert f"1 of its classes have no picture here ({PLACES[1]})" in printed
    assert "it was fitted to 1 of these pictures; on the 6 others: " in printed
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    told = {"acc1", "mean_per_class_recall", "ece", "ece_uncalibrated"}
    assert {row["metric"] for row in rows} == told
    assert "1 pictures seen in the fit" in rows[0]["protocol"]
    assert rows[0]["account"]["seen_in_training"] == 1


def test_an_evaluation_as_a_page(work: Path) -> None:
    page = work / "page.html"
    assert command("evaluate", work / "model", work / "others", "--html", page) == 0
    assert "Confusion matrix" in page.read_text()


def test_a_class_it_does_not_know(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "others" / PLACES[0]).rename(work / "others" / f"{PLACES[0]}s")
    assert command("evaluate", work / "model", work / "others") == 2
    error = said(capsys)
    assert f"has a class '{PLACES[0]}s'" in error
    assert f"Did you mean '{PLACES[0]}'" in error


# Bad input


@pytest.mark.parametrize(
    ("action", "words", "told"),
    [
        ("predict", ["nowhere.png"], "there is no picture or folder nowhere.png"),
        ("predict", ["PHOTO", "--top", "0"], "at least 1"),
        ("predict", ["PHOTO", "--box", "1,2,3"], "cannot read the box"),
        ("predict", ["PHOTO", "--box", "500,0,9,9"], "lies outside the picture"),
        ("predict", ["PHOTO", "--box", "1,1,9,9", "--box", "3,3,9,9"], "give one box"),
        ("predict", ["PHOTO", "--out", "x.png"], "predictions are .jsonl"),
        ("predict", ["PHOTO", "--device", "no-such"], "the device 'no-such' cannot be used"),
        ("explain", ["nowhere.png"], "cannot open the picture nowhere.png"),
        ("explain", ["PHOTO", "--class", "rooom"], "is not one of the classifier's 4"),
        ("explain", ["PHOTO", "--out", "x.gif"], "end it in .png"),
        ("explain", ["PHOTO", "--top", "0"], "at least 1"),
        ("explain", ["PHOTO", "--against", "rooom"], "is not one of the classifier's 4"),
        ("explain", ["PHOTO", "--box", "2,3,0,10"], "no area"),
        ("evaluate", ["nowhere"], "there is no folder"),
    ],
)
def test_bad_words_for_use(
    made: Path, action: str, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(picture(made)) if word == "PHOTO" else word for word in words]
    device = [] if "--device" in words else ["--device", "cpu"]
    assert main(["classify", action, str(made / "model"), *given, *device]) == 2
    assert told in said(capsys)


def test_a_folder_that_is_no_classifier(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("photos", "nowhere"):
        assert command("predict", made / name, picture(made)) == 2
        assert "what `trifocal classify fit` wrote" in said(capsys)


def other_backbone(folder: Path, clip: Clip) -> Path:
    """Write a CLIP of the same shape with other weights."""
    other = load_clip("builtin")
    with torch.no_grad():
        other.network.visual_projection.weight.mul_(-1)
    other.save_pretrained(folder)
    return folder


def test_another_backbone_is_refused_unless_forced(
    work: Path, clip: Clip, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", work / "model", picture(work), "--model", other_backbone(work / "o", clip)]
    assert command(*words) == 2
    error = said(capsys)
    assert "other weights" in error
    assert "'builtin'" in error
    assert command(*words, "--force") == 0


def test_a_backbone_that_is_gone(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads((work / "model" / "head.json").read_text())
    facts["backbone"]["name"] = "runs/no/gone"
    (work / "model" / "head.json").write_text(json.dumps(facts))
    assert command("predict", work / "model", picture(work)) == 2
    error = said(capsys)
    assert "runs/no/gone" in error
    assert "--model" in error


def test_features_of_the_wrong_width(work: Path, clip: Clip) -> None:
    head = REAL["zero-shot"]().fit(torch.eye(8), [0, 1] * 4, torch.eye(8)[:2])
    saved = SavedHead(
        "zero-shot", head, ("a", "b"), ("a", "b"), ("{}",), (), (), (), (),
        Backbone("builtin", clip.fingerprint(), {"as": "pictures"}),
    )  # fmt: skip
    odd = Classifier(saved, PictureFeatures(clip, saved.backbone.shown))
    with pytest.raises(UserError, match=r"features of width 8.* embed them with the same backbone"):
        odd.predict([GivenRegion(picture(work), ())])


# On photos


def test_photos(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = real_data / "images" / "pacs" / "PACS" / "photo"
    if not source.is_dir():
        pytest.skip("no PACS photos here")
    words = ["--method", "tip-adapter", "--views", "0", "--out", tmp_path / "pacs"]
    assert command("fit", source, *words) == 0
    photo = sorted((source / "dog").iterdir())[0]
    assert command("explain", tmp_path / "pacs", photo, "--out", tmp_path / "why.jpg") == 0
    assert command("evaluate", tmp_path / "pacs", source.parent / "sketch", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["n"] == 42


def test_a_table_has_a_row_a_picture(
    classifier: Classifier, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = work / "answers.csv"
    assert command("evaluate", work / "model", work / "others", "--csv", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["n"] == 8
    assert [row["label"] for row in rows] == [Path(row["path"]).parent.name for row in rows]
    right = [row["label"] == row["prediction"] for row in rows]
    assert np.mean(right) == pytest.approx(found["acc1"])
    for row in rows:
        shares = {name[2:]: float(share) for name, share in row.items() if name.startswith("p:")}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
        assert max(shares, key=shares.__getitem__) == row["prediction"]
        assert float(row["probability"]) == max(shares.values())
    assert command("evaluate", work / "model", work / "others", "--csv", "answers.txt") == 2
    assert "end its name in .csv" in said(capsys)


def test_a_fit_is_told_as_json(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--out", work / "new", "--method", "zero-shot", "--json"]
    assert command("fit", work / "photos", *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["method"] == "zero-shot"
    assert told["support"] == dict.fromkeys(PLACES, EACH)
    assert 0 <= told["held_out"]["acc1"] <= 1
