"""Numbers that cannot be: refused where features are made, whatever is measured with them."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from trifocal.cli import main
from trifocal.clip import Clip, image_features, text_features
from trifocal.composition.benchmarks.sugarcrepe import SugarCrepe
from trifocal.composition.benchmarks.suite import Questions
from trifocal.concepts.prompts import class_text
from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.class_rows import add_accuracies
from trifocal.evaluate.benchmarks.retrieval import Retrieval, RetrievalItems
from trifocal.evaluate.benchmarks.world import World
from trifocal.evaluate.benchmarks.world_regions import WorldRegions
from trifocal.evaluate.benchmarks.zero_shot import ClassItems, ZeroShot
from trifocal.features.embed import encode_images, encode_texts, tokenize
from trifocal.features.files import read_feature_file
from trifocal.features.list_cache import ListCache
from trifocal.features.pictures import image_features as stored_features
from trifocal.features.questions import Question
from trifocal.metrics.benchmark import Sheet
from trifocal.metrics.ranks import retrieval_ranks
from trifocal.metrics.result import Result
from trifocal.progress import Quiet
from trifocal.regions.benchmarks.comparison import comparison_metrics
from trifocal.regions.benchmarks.localization import AutoPairs, localization_metrics
from trifocal.regions.benchmarks.retrieval import retrieval_metrics
from trifocal.regions.encoder import region_encoder


def broken(clip: Clip, tower: str) -> Clip:
    """Return a copy of a model with a NaN among the weights of a tower."""
    clip = copy.deepcopy(clip)
    projection = getattr(clip.network, f"{tower}_projection")
    projection.weight.data[0, 0] = torch.nan
    clip.name = "broken"
    return clip


@pytest.fixture(params=["visual", "text"])
def model(request, tiny_clip: Clip) -> Clip:
    return broken(tiny_clip, request.param)


def photos(count: int) -> Tensor:
    return torch.arange(count * 3 * 32 * 32).reshape(count, 3, 32, 32).remainder(251).byte()


QUESTIONS = {
    "zero_shot": (
        ZeroShot(),
        ClassItems("a", photos(2), [0, 1], ["ball", "box"], ["a {c}", "the {c}"]),
    ),
    "retrieval": (Retrieval(), RetrievalItems("a", photos(2), ["a ball", "a box"], [0, 1])),
    "sugarcrepe": (
        SugarCrepe(),
        Questions([Question("swap_obj", (photos(1)[0],), ("a ball", "a box"))], 1),
    ),
    "world": (small := World(classification=6, retrieval=6, composition=1), small.items()),
    "world_regions": (few := WorldRegions(scenes=2), few.items()),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_benchmark_scores_a_broken_model(model: Clip, name: str) -> None:
    benchmark, items = QUESTIONS[name]
    with pytest.raises(UserError, match=r"broken makes features that are not finite .* float32"):
        benchmark.score(model, items)


def test_no_way_to_features_lets_one_through(tiny_clip: Clip) -> None:
    blind, mute = broken(tiny_clip, "visual"), broken(tiny_clip, "text")
    for make in (
        lambda: encode_images(blind, photos(2)),
        lambda: image_features(blind, photos(2)),
        lambda: region_encoder(blind).encode_regions(
            [Region(Image.new("RGB", (40, 40)), ((0.0, 0.0, 9.0, 9.0),))]
        ),
        lambda: encode_texts(mute, ["a ball"]),
        lambda: text_features(mute, ["a ball"]),
        lambda: class_text(mute, ["ball"], ["a {}"]),
    ):
        with pytest.raises(UserError, match="not finite"):
            make()


def test_an_overflow_of_half_precision(tiny_clip: Clip) -> None:
    clip = copy.deepcopy(tiny_clip)
    clip.network.visual_projection.weight.data *= 1e30
    with pytest.raises(UserError, match="too large for half precision"):
        image_features(clip.half(), photos(2))


def test_nothing_of_them_is_kept(tiny_clip: Clip, tmp_path: Path) -> None:
    model = broken(tiny_clip, "visual")
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "b.png")
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(UserError, match="2 of 2 pictures"):
        stored_features(model, files, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def spoil(file: Path) -> None:
    """Put a NaN into a file of features, with the sum that such a file would have been given."""
    from safetensors import safe_open

    from trifocal.features.kept import KeptFiles

    with safe_open(file, "pt") as opened:
        facts = opened.metadata()
    tensors = load_file(file)
    tensors["features"][0] = torch.nan
    shaped = "store" in facts
    kept = KeptFiles("key", facts.get("key", ""), "", "", shaped=shaped)
    order = {name: tensors[name] for name in ("features", "keys") if name in tensors}
    save_file(tensors, file, {**facts, "sum": kept._sum(order)})


def test_a_cache_of_them_is_made_again(tmp_path: Path, caplog, tiny_clip: Clip) -> None:
    facts = {"format": "f-1", "texts": "t", "model": "m", "written": "x"}
    cache = ListCache(tmp_path / "bank.txt", facts, "texts")
    good = cache.features(["a"], lambda texts: torch.ones(1, 4), Quiet())
    (file,) = tmp_path.glob("bank.txt.*.safetensors")
    spoil(file)
    with caplog.at_level(logging.WARNING):
        again = cache.features(["a"], lambda texts: torch.ones(1, 4), Quiet())
    assert torch.equal(again, good)
    assert "is damaged" in caplog.text
    assert torch.equal(load_file(file)["features"], good)
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 40), "red").save(picture)
    first = stored_features(tiny_clip, [picture], cache=tmp_path / "store").features.clone()
    (file,) = (tmp_path / "store").rglob("*.safetensors")
    spoil(file)
    assert torch.equal(
        stored_features(tiny_clip, [picture], cache=tmp_path / "store").features, first
    )


# Headers whose length begins as a pickle does


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
@pytest.mark.parametrize("name", ["a.safetensors", "a.bin"])
def test_a_header_that_begins_like_a_pickle(tmp_path: Path, length: int, name: str) -> None:
    tensors = {"train1": torch.eye(3, 4), "train1_label": torch.tensor([0, 1, 2])}
    file = tmp_path / name
    for fill in range(length):
        save_file(tensors, file, {"note": "x" * fill})
        if int.from_bytes(file.read_bytes()[:8], "little") == length:
            break
    assert file.read_bytes()[0] == 0x80
    assert torch.equal(read_feature_file(file)["train1"][0], torch.eye(3, 4))


# Captions that are too long


def test_texts_that_are_cut_are_counted_and_said(tiny_clip: Clip, caplog) -> None:
    long = "a red ball to the left of a blue box " * 4
    texts = [f"{long} ball", f"{long} box", "a ball", f"{long} ball"]
    with caplog.at_level(logging.WARNING):
        made = tokenize(tiny_clip, texts)
    assert made.cut == 3
    assert made.note == "; 3 of 4 texts cut"
    assert "3 of 4 texts are longer than the 32 tokens" in caplog.text
    assert "1 of them became equal to another" in caplog.text
    assert made.place.tolist() == [0, 0, 1, 0]
    caplog.clear()
    assert tokenize(tiny_clip, ["a ball", "A  ball"]).note == ""
    assert not caplog.text
    features = encode_texts(tiny_clip, ["a ball", "A  ball", "a box"])
    assert torch.equal(features[0], features[1])


def test_exactly_as_long_as_it_may_be_is_not_cut(tiny_clip: Clip) -> None:
    full = next(
        text
        for count in range(2, 40)
        if len(tiny_clip.tokenizer.encode(text := "a " * count)) == 32
    )
    assert tokenize(tiny_clip, [full]).cut == 0
    assert tokenize(tiny_clip, [full + "a"]).cut == 1


def test_questions_that_became_equal_are_ties(tiny_clip: Clip) -> None:
    long = "a red ball to the left of a blue box " * 4
    items = [
        Question("swap_obj", (photos(4)[i],), (f"{long} {i}", f"{long} other {i}"))
        for i in range(3)
    ]
    items.append(Question("swap_obj", (photos(4)[3],), ("a ball", "a box")))
    row = SugarCrepe().score(tiny_clip, Questions(items, 4))[0]
    assert row.ties == 3
    assert row.value in (0.0, 0.25)
    assert "6 of 8 texts cut" in row.protocol
    found = Retrieval().score(
        tiny_clip, RetrievalItems("a", photos(2), [f"{long} 1", f"{long} 2"], [0, 1])
    )
    ties = {row.metric: row.ties for row in found}
    assert ties["text_retrieval_recall@1"] == 2
    assert ties["image_retrieval_recall@1"] == 0
    assert all("2 of 2 texts cut" in row.protocol for row in found)


# Ties


def test_ties_are_counted_in_every_row() -> None:
    sheet = Sheet("a", "m", "p")
    logits = torch.tensor([[1.0, 1, 0, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0]])
    add_accuracies(sheet, logits, torch.tensor([0, 0, 2]))
    assert {row.metric: row.ties for row in sheet.rows} == {
        "acc1": 1,
        "acc5": 1,
        "mean_per_class_recall": 1,
    }
    images = torch.eye(2)
    to_image, to_text = retrieval_ranks(images, images[[0, 0]], [0, 1])
    assert (to_image.ties(1), to_text.ties(1)) == (0, 2)
    assert to_text.ties(5) == 0


def test_ties_of_regions() -> None:
    found = retrieval_metrics(np.array([[0.5, 0.5, 0], [0, 0.2, 0.2], [0, 0.9, 0.3]]))
    assert (found.ties_to_text, found.ties_to_image, found.ties_at_top) == (2, 0, 2)
    assert found.p_at_1 == 0
    pairs = AutoPairs(
        np.array([0.1, 0.1, 0.3]), np.array([0.9, 0, 0.9]), np.array([0, 0, 1]), np.array([0, 0])
    )
    places = localization_metrics([np.eye(2), np.ones((2, 2))], pairs)
    assert (places.gt_ties, places.auto_ties) == (1, 1)
    ratings = [[(1, 2), (1, 2)], [(1, 1), (1, 1)]]
    assert comparison_metrics([(0.1, 0.1), (0.1, 0.1)], ratings).ties == 1


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_benchmark_counts_them(tiny_clip: Clip, name: str) -> None:
    benchmark, items = QUESTIONS[name]
    rows: list[Result] = benchmark.score(tiny_clip, items)
    assert all(row.ties is not None for row in rows if "oracle" not in row.metric)


# Apps


def test_a_file_of_features_with_nan(tmp_path: Path, capsys) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"train1": torch.full((2, 4), torch.nan), "train1_label": torch.tensor([0, 1])}, file)
    words = ["--datasets", str(file), "--methods", "ss-text", "--shots", "1", "--seeds", "1"]
    assert main(["eval", "few-shot", *words]) == 2
    assert "not finite" in capsys.readouterr().err


def test_a_classifier_with_nan(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    head, picture = tmp_path / "head", str(tmp_path / "photos" / "a" / "0.png")
    words = [str(tmp_path / "photos"), "--out", str(head), "--method", "proker", "--views", "0"]
    assert main(["--quiet", "classify", "fit", *words]) == 0
    tensors = load_file(head / "head.safetensors")
    name = next(name for name, value in tensors.items() if value.is_floating_point())
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, head / "head.safetensors")
    capsys.readouterr()
    assert main(["--quiet", "classify", "predict", str(head), picture]) == 2
    assert "head.safetensors is damaged; fit the classifier again" in capsys.readouterr().err


def test_rows_differ_by_what_was_measured_alone(tmp_path: Path) -> None:
    from trifocal.evaluate.records import add_results

    row = Result("a", "t", "acc1", 0.5, 4)
    assert add_results(tmp_path / "r.jsonl", [row]) == 1
    counted = Result("a", "t", "acc1", 0.5, 4, ties=0)
    assert add_results(tmp_path / "r.jsonl", [counted]) == 0
    assert len(json.loads((tmp_path / "r.jsonl").read_text())) > 5
