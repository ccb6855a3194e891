"""Beside a frozen tower: the same training without running it, whatever happens to the run."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.train.support import CAPTIONS, largest_gap, recipe, shuffled, tiny_clip
from tests.train.support import weights as weights_of
from trifocal.composition.baselines import Finetune, FinetuneConfig
from trifocal.composition.fsc_clip import FscClip, FscClipConfig
from trifocal.concepts.low_rank import ClipLora, ClipLoraConfig
from trifocal.data.batching import CenterCrop, RandomCrop
from trifocal.data.captions import CaptionDataset, CaptionItem
from trifocal.data.labeled import LabeledPictures
from trifocal.data.loader import BatchMaker, Order
from trifocal.data.shards import ShardDataset, write_shards
from trifocal.errors import Stopped, UserError
from trifocal.progress import Quiet
from trifocal.train import train
from trifocal.train.embeddings import EmbeddingsRecipe, KeptSource, use_embeddings
from trifocal.train.gradient_cache import cached_step, direct_step
from trifocal.train.launch import make_accelerator
from trifocal.train.logs import read_lines
from trifocal.train.recipe import load_recipe
from trifocal.tuning import LoraConfig
from trifocal.world.few_shot_source import WorldFewShot
from trifocal.world.source import WorldCaptions, WorldData

BAD = 5  # the one picture that cannot be read


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[CaptionItem]:
    """Sixteen photos with two captions each; one is broken, and two are the same file."""
    folder = tmp_path_factory.mktemp("photos")
    made = []
    for number in range(16):
        file = folder / f"{number % 15}.png"
        pixels = np.random.default_rng(number % 15).integers(0, 256, (24, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)
        texts = (CAPTIONS[number], f"look, {CAPTIONS[number]}")
        made.append(CaptionItem(f"p{number}", str(file), texts))
    (folder / f"{BAD}.png").write_bytes(b"no picture")
    return made


def method(kind=Finetune, **options):
    config = {Finetune: FinetuneConfig, FscClip: FscClipConfig}[kind]
    torch.manual_seed(0)  # low-rank updates start from random factors
    return kind(tiny_clip(), config(**{"tuning": "text", **options}))


def shown(one, transform=CenterCrop):
    """A method's batches of photos."""
    negatives = shuffled if one.negative_kinds else None
    return one.batching(transform(one.clip.preprocess), negatives)


def kept(one, source, cache, batches=None, **options):
    """The source with its pictures embedded."""
    return use_embeddings(
        EmbeddingsRecipe(cache=str(cache), **options), one, source, batches or shown(one),
        make_accelerator("fp32"), Quiet(),
    )  # fmt: skip


def batch_of(source, batches):
    """A batch of eight, the substitute of the broken picture among them."""
    return BatchMaker(source, Order(len(source), 8, seed=3), batches).make(1)


def gradients(one, batch, step=direct_step, **options):
    one.zero_grad()
    one.train()
    terms = step(one, one.terms, batch, lambda loss: loss.backward(), **options)
    found = {name: p.grad.clone() for name, p in one.named_parameters() if p.grad is not None}
    return terms, found


DENSE = {"kind": FscClip, "negatives": ("swap", "shuffle")}
VISION = LoraConfig(towers=("vision",))


@pytest.mark.parametrize("step", [{}, {"step": cached_step, "chunk": 3}], ids=["whole", "cached"])
@pytest.mark.parametrize(
    "options",
    [{}, DENSE, {**DENSE, "tuning": "lora", "lora": VISION}],
    ids=["pooled", "dense", "texts"],
)
def test_loss_and_gradients_are_those_of_encoding_anew(items, tmp_path, options, step):
    one, source = method(**options), CaptionDataset(items)
    if "tuning" in options:  # nothing of the texts is trained, but both factors of the pictures
        for name, parameter in one.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
    anew = batch_of(source, shown(one))
    wanted = gradients(one, anew, **step)
    source = kept(one, source, tmp_path)
    for _ in range(2):  # the second time, texts of a frozen tower are looked up
        batch = batch_of(source, shown(one))
        assert (batch.ids, batch.captions) == (anew.ids, anew.captions)
        terms, found = gradients(one, batch, **step)
        assert terms.keys() == wanted[0].keys()
        assert len(found) > 3
        assert largest_gap(found, wanted[1]) < 1e-6
        assert largest_gap(terms, wanted[0]) < 1e-6


def test_a_run_makes_the_same_weights_resumed_or_not(items, tmp_path, monkeypatch):
    def run(name, embeddings):
        one = method(**DENSE)
        made = recipe(
            tmp_path / name, steps=6, workers=2, embeddings=embeddings,
            data=WorldData(bad_image_share=0.5),
        )  # fmt: skip
        train(one, CaptionDataset(items), shown(one), made)
        return weights_of(one), read_lines(tmp_path / name / "t" / "skipped.jsonl")

    anew, skipped = run("anew", None)
    setting = EmbeddingsRecipe(cache=str(tmp_path / "cache"))
    monkeypatch.setattr("trifocal.train.engine._Run._keep", _stopped_at_three)
    with pytest.raises(Stopped):
        run("kept", setting)
    monkeypatch.undo()
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.safetensors")}
    again, counted = run("kept", setting)
    assert largest_gap(anew, again) < 1e-6
    assert {line["id"] for line in counted} == {line["id"] for line in skipped} == {f"p{BAD}"}
    assert len(files) == 2  # pooled embeddings and patches; the second run added nothing
    assert files == {file: file.stat().st_mtime_ns for file in files}
    start = read_lines(tmp_path / "kept" / "t" / "metrics.jsonl")[0]
    assert set(start["stores"]) == {file.parent.name for file in files}


def _stopped_at_three(run, stop):
    if run.step == 3:
        run._save()
        raise Stopped(15, 3, str(run.folder))


class _Signals:
    """Progress during which somebody asks the run to stop, at the third picture."""

    def __init__(self) -> None:
        self.told = 0

    def start(self, what: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        self.told += 1
        if self.told == 3:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_that_still_embeds_stops_when_it_is_asked_to(items, tmp_path):
    setting = EmbeddingsRecipe(cache=str(tmp_path / "kept"))
    run = recipe(tmp_path, embeddings=setting, data=WorldData(bad_image_share=0.5))
    one, progress = method(), _Signals()
    with pytest.raises(Stopped, match="after step 0") as stopped:
        train(one, CaptionDataset(items), shown(one), run, progress=progress)
    assert (stopped.value.status, progress.told) == (143, 3)
    one = method()
    assert train(one, CaptionDataset(items), shown(one), run).step > 0


def test_views_are_fixed_crops_and_each_is_drawn(items, tmp_path):
    one, source = method(), CaptionDataset([item for item in items if str(BAD) not in item.id])
    crops = shown(one, lambda preprocess: RandomCrop(preprocess, (0.3, 0.6)))
    crops = replace(crops, flip=True)
    found = kept(one, source, tmp_path, crops, views=4)
    assert isinstance(found, KeptSource)
    rows = [found.kept.row(2, view).pooled for view in range(4)]
    assert len({tuple(row[0].tolist()) for row in rows}) == 4
    drawn = [found.sample(2, np.random.default_rng(k)).image.pooled for k in range(40)]
    assert {tuple(row[0].tolist()) for row in drawn} == {tuple(row[0].tolist()) for row in rows}
    # They depend on the picture, not on the list; another seed draws others.
    alone = kept(one, CaptionDataset([items[2]]), tmp_path / "alone", crops, views=4)
    assert torch.allclose(alone.kept.row(0, 3).pooled, rows[3], atol=1e-6)
    other = kept(one, CaptionDataset([items[2]]), tmp_path / "alone", crops, views=4, seed=1)
    assert not torch.allclose(other.kept.row(0, 3).pooled, rows[3], atol=1e-3)
    with pytest.raises(UserError, match=r"embeddings.views is 2.*data.crop"):
        kept(one, source, tmp_path, views=2)


def test_a_changed_picture_is_embedded_anew_and_another_text_tower_shares_the_store(
    items, tmp_path, caplog
):
    file = tmp_path / "one.png"
    Image.fromarray(np.zeros((24, 20, 3), np.uint8)).save(file)
    chosen = [CaptionItem("one", str(file), ("a red cat",)), *items[:3]]
    source, cache = CaptionDataset(chosen), tmp_path / "cache"
    before = kept(method(), source, cache).kept
    other = method(kind=FscClip, local_weight=0.0)
    torch.nn.init.normal_(other.clip.network.text_projection.weight)
    assert kept(other, source, cache).kept.folders == before.folders
    assert len(list(cache.rglob("*.safetensors"))) == 1
    Image.fromarray(np.full((24, 20, 3), 99, np.uint8)).save(file)
    os.utime(file, ns=(1, 1))
    after = kept(method(), source, cache).kept
    assert not torch.equal(before.row(0, 0).pooled, after.row(0, 0).pooled)
    assert torch.equal(before.row(1, 0).pooled, after.row(1, 0).pooled)
    tower = method()
    torch.nn.init.normal_(tower.clip.network.visual_projection.weight)
    assert kept(tower, source, cache).kept.folders != before.folders


def test_the_size_is_said_and_bounded_before_anything_is_written(items, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    one, source = method(**DENSE), CaptionDataset(items)
    each = 4 * 8 * (1 + 4)  # a pooled embedding of 8 numbers, and 4 patches
    with pytest.raises(UserError, match=r"would take 2.4e-06 GB.*max_gb allows for 1e-09.*float16"):
        kept(one, source, tmp_path / "new", max_gb=1e-9)
    assert not (tmp_path / "new").exists()
    found = kept(one, source, tmp_path / "new").kept
    assert found.bytes == 15 * each  # two of the sixteen are one file
    assert "embeddings of 15 pictures (one view each) take 2.4e-06 GB" in caplog.text
    half = kept(one, source, tmp_path / "new", patches="float16").kept
    assert half.bytes == 15 * 4 * (8 + 4 * 4)
    assert half.folders[0] == found.folders[0]
    first, second = found.row(0, 0), half.row(0, 0)
    assert second.patches.dtype == torch.float16
    assert torch.allclose(first.patches, second.patches.float(), atol=1e-3)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be kept.*embeddings.cache"):
        kept(one, source, tmp_path / "file")


def test_every_source_of_whole_pictures_can_be_kept(items, tmp_path):
    good = [item for item in items if item.id != f"p{BAD}"]
    pictures = CaptionDataset(good)
    write_shards(good, tmp_path / "shards")
    classes = LabeledPictures([tmp_path / "c.png"], [0], ["cat"])
    Image.fromarray(np.zeros((24, 20, 3), np.uint8)).save(tmp_path / "c.png")
    one = method()
    for source in (
        pictures,
        ShardDataset(str(tmp_path / "shards" / "*.tar")),
        WorldCaptions(size=3, image_size=16),
        WorldFewShot(1, (16, 16)),
        classes,
    ):
        found = kept(one, source, tmp_path / "cache")
        sample = source.sample(0, np.random.default_rng(0))
        pixels = shown(one).showing(sample.image, np.random.default_rng(0))
        wanted = one.clip.encode_image(pixels[None]).pooled
        image = found.sample(0, np.random.default_rng(0)).image
        assert torch.allclose(image.pooled, wanted, atol=1e-6)


def test_what_cannot_be_kept_is_refused(items, tmp_path):
    source = CaptionDataset(items)
    for one in (method(tuning="full"), method(tuning="lora")):
        with pytest.raises(UserError, match="trains both"):
            kept(one, source, tmp_path)
    with pytest.raises(UserError, match="shows its pictures otherwise"):
        kept(method(), source, tmp_path, batches=object())
    with pytest.raises(UserError, match="views"):
        load_recipe(None, ["--embeddings.views", "0"])
    assert load_recipe(None, ["--embeddings.views", "3"]).embeddings == EmbeddingsRecipe(views=3)
    assert load_recipe(None).embeddings is None


def test_classes_with_a_frozen_image_tower(items, tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for number, file in enumerate(files):
        Image.fromarray(np.full((24, 20, 3), 60 * number, np.uint8)).save(file)
    source = LabeledPictures(files, [0, 1, 0, 1], ["cat", "dog"])
    torch.manual_seed(0)
    lora = LoraConfig(rank=2, towers=("text",))
    one = ClipLora(tiny_clip(), ClipLoraConfig(lora=lora, flip=False))
    batches = one.batching(CenterCrop(one.clip.preprocess))
    order = Order(4, 4, seed=0)
    wanted = gradients(one, BatchMaker(source, order, batches).make(0))
    found = gradients(one, BatchMaker(kept(one, source, tmp_path, batches), order, batches).make(0))
    assert largest_gap(found[1], wanted[1]) < 1e-6
