"""The SugarCrepe scorer on miniatures in the published format, and on the published files."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.composition.benchmarks.color_model import COLORS, ColorModel
from trifocal.composition.benchmarks.sugarcrepe import GROUPS, SUBSETS, SugarCrepe
from trifocal.composition.registry import BENCHMARKS
from trifocal.errors import UserError
from trifocal.metrics.benchmark import Benchmark
from trifocal.report.shown import photos_shown


def entry(photo: str, caption: str, negative: str) -> dict[str, str]:
    return {"filename": photo, "caption": caption, "negative_caption": negative}


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    """Seven files and three photos; every subset right once, swap_att also wrong twice."""
    photos = tmp_path / "val2017"
    photos.mkdir()
    for name, color in COLORS.items():
        Image.new("RGB", (8, 8), color).save(photos / f"{name}.png")
    for subset in SUBSETS:
        entries = {"0": entry("red.png", "a red cup", "a blue cup")}
        if subset == "swap_att":
            entries["1"] = entry("red.png", "a green cup", "a red cup")  # prefers the negative
            entries["2"] = entry("blue.png", "a blue cup", "one blue cup")  # a tie
        if subset == "add_obj":
            entries["1"] = entry("green.png", "a green cup", "a green and red cup")
        (tmp_path / f"{subset}.json").write_text(json.dumps(entries))
    return tmp_path


def values(rows) -> dict[str, float]:
    return {row.task: row.value for row in rows}


def test_it_is_a_benchmark():
    assert isinstance(SugarCrepe(), Benchmark)
    assert BENCHMARKS["sugarcrepe"] is SugarCrepe


def test_subsets_groups_and_mean(miniature):
    benchmark = SugarCrepe()
    assert benchmark.check(miniature) == []
    rows = benchmark.score(ColorModel(), benchmark.items(miniature))
    got = values(rows)
    assert got["swap_att"] == pytest.approx(1 / 3)
    assert got["swap"] == pytest.approx(2 / 4)  # over items, not over subsets
    assert got["replace"] == got["add"] == 1.0
    assert got["mean"] == pytest.approx((1 + 2 / 4 + 1) / 3)
    assert [row.task for row in rows] == [*SUBSETS, *GROUPS, "mean"]
    assert {row.task: row.n for row in rows}["mean"] == 10
    assert {row.model for row in rows} == {"color-model"}
    assert all(row.chance == 0.5 and row.metric == "acc" for row in rows)


def test_items_of_a_broken_photo_are_left_out(miniature):
    (miniature / "val2017" / "blue.png").write_text("no picture")
    benchmark = SugarCrepe(most_left_out=0.5)
    items = benchmark.items(miniature)
    rows = benchmark.score(ColorModel(), items)
    got = {row.task: (row.value, row.n) for row in rows}
    assert got["swap_att"] == (0.5, 2)  # the tie is gone, the others are asked about their photos
    assert got["add_obj"] == (1.0, 2)
    assert got["mean"][1] == 9
    assert all(row.account["unreadable"]["of"] == 3 for row in rows)
    assert all("1 of 3 pictures cannot be read and are left out" in row.protocol for row in rows)
    assert len(photos_shown(items.items, each=9)) == 2
    with pytest.raises(UserError, match=r"1 of 3 pictures of sugarcrepe.*blue\.png"):
        SugarCrepe().score(ColorModel(), items)


def test_each_picture_and_each_text_is_encoded_once(miniature):
    model = ColorModel()
    benchmark = SugarCrepe(batch_size=2)
    items = benchmark.items(miniature)
    benchmark.score(model, items)
    texts = {text for item in items.items for text in item.texts}
    assert model.calls == {"opened": 3, "images": 3, "texts": len(texts)}


def test_batches_do_not_change_scores(miniature):
    items = SugarCrepe().items(miniature)
    one, many = (SugarCrepe(batch_size=size).score(ColorModel(), items) for size in (1, 128))
    assert values(one) == values(many)


def test_what_a_model_gets_right_without_pictures(miniature):
    # Eight of ten pictures are red, so that the mean of all of them prefers red, whatever is asked.
    rows = SugarCrepe().score(ColorModel(), SugarCrepe().items(miniature))
    blind = {row.task: row.blind for row in rows}
    assert blind["swap_att"] == pytest.approx(1 / 3)
    assert blind["add_obj"] == pytest.approx(1 / 2)
    assert blind["swap"] == pytest.approx(2 / 4)
    assert blind["mean"] == pytest.approx((1 + 2 / 4 + 2 / 3) / 3)


def test_missing_photos_are_named(miniature):
    (miniature / "val2017" / "blue.png").unlink()
    (missing,) = SugarCrepe().check(miniature)
    assert missing.count == 1
    assert "blue.png is missing" in str(missing)
    assert "val2017.zip" in str(missing)
    with pytest.raises(UserError, match=r"sugarcrepe cannot run; .*blue\.png.*available_only"):
        SugarCrepe().items(miniature)


def test_available_only_scores_the_rest_and_says_so(miniature):
    (miniature / "val2017" / "blue.png").unlink()
    benchmark = SugarCrepe(available_only=True)
    assert benchmark.check(miniature) == []
    rows = benchmark.score(ColorModel(), benchmark.items(miniature))
    assert values(rows)["swap_att"] == pytest.approx(1 / 2)
    assert all("9 of 10 items" in row.protocol for row in rows)


def test_without_any_photo_available_only_still_complains(miniature, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    (missing,) = SugarCrepe(images=empty, available_only=True).check(miniature)
    assert missing.count == 3


def test_a_limit_below_the_first_photo_that_is_there_says_so(miniature):
    for subset in SUBSETS:
        path = miniature / f"{subset}.json"
        gone = {"0": entry("gone.png", "a cup", "a cat")}
        path.write_text(json.dumps(gone | {"1": entry("red.png", "a red cup", "a cat")}))
    benchmark = SugarCrepe(available_only=True, limit=1)
    with pytest.raises(UserError, match=r"of the first 1 questions of each part none has its pict"):
        benchmark.items(miniature)
    assert len(SugarCrepe(available_only=True, limit=2).items(miniature)) == len(SUBSETS)


def test_a_group_without_items_leaves_no_row_and_no_mean(miniature):
    for subset in SUBSETS:
        if subset not in GROUPS["swap"]:
            (miniature / f"{subset}.json").write_text("{}")
    benchmark = SugarCrepe()
    got = values(benchmark.score(ColorModel(), benchmark.items(miniature)))
    assert set(got) == {"swap_obj", "swap_att", "swap"}


def test_missing_annotations_are_named(tmp_path):
    missing = SugarCrepe().check(tmp_path)
    assert len(missing) == 7
    assert "replace_obj.json is missing" in str(missing[0])
    assert "RAIVNLab/sugar-crepe" in str(missing[0])


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"0": {"filename": "a.jpg"}}', '{"0": 3}', '{"0": {"filename": 1}}']
)
def test_another_format_is_refused(miniature, content):
    (miniature / "swap_obj.json").write_text(content)
    with pytest.raises(UserError, match=r"swap_obj\.json is not a SugarCrepe file"):
        SugarCrepe().check(miniature)


def test_an_unreadable_photo_is_named(miniature):
    (miniature / "val2017" / "red.png").write_bytes(b"no picture")
    benchmark = SugarCrepe()
    with pytest.raises(UserError, match=r"red\.png"):
        benchmark.score(ColorModel(), benchmark.items(miniature))


def test_published_files(real_data, tmp_path):
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for subset in SUBSETS:
            (tmp_path / f"{subset}.json").write_bytes(archive.read(f"sugarcrepe/{subset}.json"))
    photos = real_data / "images" / "coco"
    assert SugarCrepe(images=photos).check(tmp_path)[0].count > 1000
    items = SugarCrepe(images=photos, available_only=True).items(tmp_path)
    assert items.of == 7511
    assert len(items) == 399
    counts = Counter(item.part for item in items.items)
    assert counts["replace_obj"] == 86
    assert counts["swap_obj"] == 12
