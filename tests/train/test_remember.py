"""A model remembers the pictures that it was trained on, and a test on them says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.train.support import CAPTIONS, batching, recipe, tiny_clip
from trifocal.clip import Clip, load_clip
from trifocal.clip.trained_on import FILE, TrainedOn
from trifocal.composition.baselines import Finetune, FinetuneConfig
from trifocal.data.captions import CaptionData, CaptionDataset, CaptionItem
from trifocal.data.labeled import LabeledPictures
from trifocal.data.loader import Order
from trifocal.data.regions import Region, RegionDataset, RegionItem
from trifocal.data.samples import FromFiles
from trifocal.data.shards import ShardDataset, write_shards
from trifocal.evaluate.benchmarks.retrieval import RetrievalItems, score_retrieval
from trifocal.features.identity import content_hash
from trifocal.progress import Quiet
from trifocal.train.embeddings import EmbeddingsRecipe
from trifocal.train.engine import train
from trifocal.train.remember import remember
from trifocal.tuning import interpolate, load_model


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Eight photos of noise."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def items(photos: Iterable[Path]) -> list[CaptionItem]:
    return [CaptionItem(photo.name, str(photo), (CAPTIONS[0], CAPTIONS[1])) for photo in photos]


def of(photos: Iterable[Path]) -> TrainedOn:
    return TrainedOn.of(content_hash(photo.read_bytes()) for photo in photos)


def trained(output: Path, source, clip: Clip | None = None, **changes) -> Path:
    """Train two steps of two pictures; return the model folder."""
    options = changes.pop("options", {})
    method = Finetune(clip or tiny_clip(), FinetuneConfig(**options))
    changes = {"steps": 2, "batch_size": 2, **changes}
    train(method, source, batching(method), recipe(output, **changes))
    return output / "t" / "model"


def test_a_test_on_training_pictures_says_so(
    photos: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = trained(tmp_path, CaptionDataset(items(photos[:6])), steps=3)
    copy = Path(shutil.copyfile(photos[2], tmp_path / "elsewhere.png"))
    shown = [copy, *photos[6:]]
    asked = RetrievalItems("photos", shown, CAPTIONS[:3], [0, 1, 2], {"read": 3})
    rows = score_retrieval(load_clip(model), asked)
    assert rows
    for row in rows:
        assert row.account == {"read": 3, "seen_in_training": 1}
        assert row.protocol.endswith("; 1 of the 3 pictures were in training")
    said = [message for message in caplog.messages if "in the training of" in message]
    assert len(said) == 1
    for row in score_retrieval(tiny_clip(), asked):
        assert row.account == {"read": 3}
        assert "in training" not in row.protocol


def test_what_the_run_draws_and_no_more(photos: list[Path], tmp_path: Path) -> None:
    source = CaptionDataset(items(photos), captions="each")  # 16 samples of 8 photos
    drawn = Order(16, 2, 0).drawn(2)
    assert len(drawn) == 4
    known = load_clip(trained(tmp_path, source)).trained_on
    assert known == of(photos[index // 2] for index in drawn)


def test_the_draw_of_batches() -> None:
    order = Order(7, 3, seed=5)
    first, second = (set(order.permutation(epoch)[:6].tolist()) for epoch in (0, 1))
    assert order.drawn(2).tolist() == sorted(first)
    assert order.drawn(1).tolist() == sorted(order.permutation(0)[:3].tolist())
    assert order.drawn(4).tolist() == sorted(first | second)
    assert order.drawn(0).tolist() == []


def test_further_training_and_the_line_between_know_both(
    photos: list[Path], tmp_path: Path
) -> None:
    first = trained(tmp_path / "a", CaptionDataset(items(photos[:4])))
    second = trained(tmp_path / "b", CaptionDataset(items(photos[4:])), load_clip(first))
    assert load_model(tmp_path / "b" / "t").trained_on == of(photos)
    other = load_clip(trained(tmp_path / "c", CaptionDataset(items(photos[4:]))))
    assert interpolate(load_clip(first), other, 0.5).trained_on == of(photos)
    assert second != first


def test_an_adaptation_knows_its_own_and_those_of_its_base(
    photos: list[Path], tmp_path: Path
) -> None:
    base = trained(tmp_path / "a", CaptionDataset(items(photos[:4])))
    low = {"tuning": "lora"}
    adapted = trained(
        tmp_path / "b", CaptionDataset(items(photos[4:])), load_clip(base), options=low
    )
    assert (adapted / "adapter.json").is_file()
    assert load_model(adapted).trained_on == of(photos)
    load_model(adapted).save_pretrained(tmp_path / "merged")
    assert load_clip(tmp_path / "merged").trained_on == of(photos)


def test_a_run_that_is_taken_up_knows_the_same(photos: list[Path], tmp_path: Path) -> None:
    source = CaptionDataset(items(photos[:6]))
    saving: dict[str, Any] = {"checkpoint_every": 2, "keep": 2}
    model = trained(tmp_path, source, steps=3, **saving)
    shutil.rmtree(model)
    shutil.rmtree(tmp_path / "t" / "checkpoints" / "step-00000003")
    assert load_clip(trained(tmp_path, source, steps=3, **saving)).trained_on == of(photos[:6])


def test_processes_share_the_reading(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source = CaptionDataset(items(photos))
    told: list[list[bytes]] = []

    def gathered(found: list[bytes]) -> list[bytes]:
        told.append(found)
        return [content_hash(photo.read_bytes()) for photo in photos]

    monkeypatch.setattr("trifocal.train.remember.gather_object", gathered)
    second: Any = SimpleNamespace(num_processes=2, process_index=1, is_main_process=False)
    clip = tiny_clip()
    remember(clip, source, np.arange(8), second, Quiet())
    assert TrainedOn.of(told[0]) == of(photos[4:])
    assert clip.trained_on == of(photos)


def test_it_can_be_left_out(photos: list[Path], tmp_path: Path) -> None:
    data = CaptionData(path="photos", remember=False)
    model = trained(tmp_path, CaptionDataset(items(photos[:6])), data=data)
    assert not (model / FILE).exists()


def test_kept_embeddings_remember_too(photos: list[Path], tmp_path: Path) -> None:
    kept = EmbeddingsRecipe(cache=str(tmp_path / "cache"))
    model = trained(
        tmp_path, CaptionDataset(items(photos[:4])), embeddings=kept, options={"tuning": "text"}
    )
    assert load_clip(model).trained_on == of(photos[:4])


def test_every_source_of_files_says_where_they_lie(photos: list[Path], tmp_path: Path) -> None:
    box = ((0.0, 0.0, 4.0, 4.0),)
    shards = write_shards(items(photos), tmp_path / "shards", per_shard=3)
    regions = [RegionItem(one.name, Region(one, box), "", "") for one in photos]
    sources: list[FromFiles] = [
        CaptionDataset(items(photos)),
        ShardDataset(str(shards[0].parent / "{00000..00002}.tar")),
        RegionDataset(regions),
        LabeledPictures(photos, [0] * len(photos), ["a"]),
    ]
    for source in sources:
        assert isinstance(source, FromFiles)
        parts = [source.file_part(index) for index in range(len(source))]
        content = [part.read() for part in parts if part is not None]
        assert content == [photo.read_bytes() for photo in photos], type(source)


def test_open_pictures_lie_nowhere() -> None:
    region = Region(Image.new("RGB", (8, 8)), ((0.0, 0.0, 4.0, 4.0),))
    assert RegionDataset([RegionItem("a", region, "", "")]).file_part(0) is None
