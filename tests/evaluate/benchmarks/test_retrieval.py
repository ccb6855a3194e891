"""Retrieval over caption files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.retrieval import Retrieval, RetrievalItems, score_retrieval
from trifocal.evaluate.records import append_results, read_results
from trifocal.metrics.benchmark import Benchmark

CAPTIONS = [
    ["a red ball", "there is a red ball"],
    ["a large striped fish"],
    ["a crown and a cup", "two cats", "a street at night"],
]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(1)
    for number in range(len(CAPTIONS)):
        pixels = torch.randint(0, 256, (20, 20, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(pixels.numpy()).save(tmp_path / f"{number}.png")
    return tmp_path


def karpathy(folder: Path, name: str = "dataset_coco.json") -> None:
    photos = [
        {
            "filename": f"{number}.png",
            "split": "train" if number == 0 else "test",
            "sentences": [{"raw": text} for text in texts],
        }
        for number, texts in enumerate(CAPTIONS)
    ]
    (folder / name).write_text(json.dumps({"images": photos}))


def table(folder: Path) -> None:
    lines = ["image,caption"]
    lines += [
        f"{i}.png,{text}" for k in range(3) for i in range(3) for text in CAPTIONS[i][k : k + 1]
    ]
    (folder / "captions.csv").write_text("\n".join(lines))


def test_a_table_with_a_row_a_caption_is_grouped_by_picture(pictures):
    table(pictures)
    items = Retrieval().items(pictures)
    assert isinstance(Retrieval(), Benchmark)
    assert [Path(str(image)).name for image in items.images] == ["0.png", "1.png", "2.png"]
    found = [
        [t for t, who in zip(items.texts, items.owner, strict=True) if who == i] for i in range(3)
    ]
    assert found == CAPTIONS
    assert items.dataset == "captions"


def test_a_karpathy_file_is_read_at_its_test_split(pictures):
    karpathy(pictures)
    items = Retrieval().items(pictures)
    assert len(items.images) == 2
    assert len(items) == 4
    assert len(Retrieval(split="train").items(pictures)) == 2
    assert len(Retrieval(split="train+test").items(pictures)) == 6
    assert len(Retrieval(captions_per_image=1).items(pictures)) == 2
    with pytest.raises(UserError, match="no split 'val'"):
        Retrieval(split="val").items(pictures)


def test_the_root_may_be_the_file_and_the_name_can_be_said(pictures):
    karpathy(pictures, "mine.json")
    assert Retrieval("flickr", captions="mine.json").items(pictures).dataset == "flickr"
    assert len(Retrieval().items(pictures / "mine.json")) == 4


def test_missing_data_is_named(tmp_path, pictures):
    (missing,) = Retrieval().check(tmp_path / "nowhere")
    assert "captions.jsonl" in str(missing)
    (missing,) = Retrieval(captions="my.tsv").check(pictures)
    assert "my.tsv is missing" in str(missing)
    table(pictures)
    (pictures / "1.png").unlink()
    (missing,) = Retrieval().check(pictures)
    assert "1.png is missing: put the pictures there" in str(missing)
    with pytest.raises(UserError, match=r"retrieval cannot run; .*1\.png"):
        Retrieval().items(pictures)


def test_score_equals_sorting(tiny_clip):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=generator)
    texts = [
        f"a {color} {thing} {n}"
        for color in ("red", "blue")
        for thing in ("cup", "fish", "box")
        for n in range(5)
    ]
    owner = [i % 12 for i in range(len(texts))]
    rows = score_retrieval(tiny_clip, RetrievalItems("toy", images, texts, owner))
    got = {row.metric: row.value for row in rows}
    with torch.no_grad():
        left = torch.cat([tiny_clip.encode_image(image[None]).pooled for image in images])
        right = torch.cat([tiny_clip.encode_text([text]).pooled for text in texts])
    scores = right @ left.T
    who = torch.tensor(owner)
    for k in (1, 5, 10):
        hit = (scores.topk(k, dim=1).indices == who[:, None]).any(1).double().mean()
        assert got[f"image_retrieval_recall@{k}"] == pytest.approx(float(hit))
        hit = (who[scores.T.topk(k, dim=1).indices] == torch.arange(12)[:, None]).any(1)
        assert got[f"text_retrieval_recall@{k}"] == pytest.approx(float(hit.double().mean()))
    assert {row.task for row in rows} == {"zeroshot_retrieval"}
    chance = {row.metric: row.chance for row in rows}
    assert chance["image_retrieval_recall@5"] == pytest.approx(5 / 12)
    assert "12 pictures, 30 captions" in rows[0].protocol


def test_rows_of_other_captions_or_pictures_are_of_other_questions(tiny_clip, tmp_path):
    def asked(texts, names=("a", "b"), owner=(0, 1), folder="x"):
        files = [tmp_path / folder / f"{name}.png" for name in names]
        for file in files:
            file.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(file)
        rows = score_retrieval(tiny_clip, RetrievalItems("toy", files, texts, owner))
        return {row.asked for row in rows}

    same = asked(["a cup", "a fish"])
    assert "" not in same
    assert len(same) == 1
    assert asked(["a cup", "a fish"], folder="y") == same
    assert asked(["a cup", "a box"]) != same
    assert asked(["a cup", "a fish"], names=("a", "c")) != same
    assert asked(["a cup", "a fish"], owner=(1, 0)) != same


def test_real_coco_captions(real_data):
    images = real_data / "images"
    items = Retrieval(captions="coco.json", images=images / "coco").items(images)
    assert len(items.images) > 100
    assert len(items) > 5 * 100
    assert items.dataset == "coco"


# -- what is counted --------------------------------------------------------------------------


def test_the_rows_say_what_was_left_out_and_what_occurs_again(pictures, tiny_clip):
    shutil.copy(pictures / "0.png", pictures / "copy.png")
    lines = [f'{{"image": "{n}.png", "caption": "thing {n}"}}' for n in (0, 1, 2, "copy")]
    lines += ['{"image": "./1.png", "caption": "other"}', '{"image": "2.png", "caption": null}']
    (pictures / "captions.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"1 of 6 .* line 6.; .* the option most_left_out"):
        Retrieval().items(pictures)
    items = Retrieval(most_left_out=0.2).items(pictures)
    assert (len(items.images), items.owner) == (4, [0, 1, 1, 2, 3])
    rows = score_retrieval(tiny_clip, items)
    account = {"read": 6, "used": 5, "left_out": {"without a caption": 1}, "occur_again": 1}
    assert all(row.account == account for row in rows)
    assert "1 of the pictures are copies of others" in rows[0].protocol
    append_results(pictures / "rows.jsonl", rows)
    assert read_results(pictures / "rows.jsonl") == rows


def test_cells_beyond_the_header_are_refused(cases):
    table = cases / "tables"
    message = r"12 of 12 .*12 with 4 cells where the header has 2: line 2, line 3, line 4"
    with pytest.raises(UserError, match=message):
        Retrieval(images=table / "img").items(table / "unquoted.csv")
    items = Retrieval(images=table / "img").items(table / "quoted.csv")
    assert items.texts[0] == "a circle, red, on the left"
    assert items.account == {"read": 12, "used": 12, "left_out": {}}
    items = Retrieval(images=table / "img").items(table / "null.json")
    assert list(items.texts) == ["a red circle"]
    assert items.account["parts_left_out"] == {"without a caption": 1}


def test_two_rows_are_not_given_one_file(cases):
    folder = cases / "same_name"
    with pytest.raises(UserError, match=r"circles/0.png and squares/0.png, but there is only"):
        Retrieval(images=folder / "flat").items(folder / "captions.csv")


def test_a_folder_of_pairs_may_be_the_captions(pictures):
    for number in range(3):
        (pictures / f"{number}.txt").write_text(f"thing {number}", "latin-1")
    items = Retrieval(captions=pictures).items(pictures)
    assert list(items.texts) == ["thing 0", "thing 1", "thing 2"]
