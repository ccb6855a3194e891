"""Every method and every benchmark keeps its contract; nothing here knows them by name.

A method that is added to a `METHODS`, or a benchmark added to `BENCHMARKS`, is tested at once.
"""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

from trifocal.clip import Clip, ClipShape, TextBatch, build_clip, train_tokenizer
from trifocal.composition.batching import CaptionBatch
from trifocal.data.labeled import ClassSample
from trifocal.data.regions import RegionSample
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.train.build import METHODS, build_batching
from trifocal.train.recipe import Recipe
from trifocal.tuning import load_model
from trifocal.world.source import WorldData

CAPTIONS = ["a red ball", "a small blue cup left of a kite", "a hat", "two cats on a red sofa"]
SHAPE = ClipShape(
    image_size=32, patch_size=16, vision_width=32, vision_layers=2, vision_heads=2,
    text_width=32, text_layers=2, text_heads=2, embed_dim=16, context_length=32,
)  # fmt: skip
NEGATIVES = ("all", "some", "none")
VARIANTS = [
    (name, tuning)
    for name, (config, _) in METHODS.items()
    for tuning in (
        ("full", "lora") if "tuning" in {f.name for f in fields(config)} else ("default",)
    )
]
LOSSES = [
    (name, loss)
    for name, (config, _) in METHODS.items()
    for loss in get_args(get_type_hints(config).get("loss"))
]


def fresh_clip() -> Clip:
    """Return a tiny random Clip, the same at every call."""
    return build_clip(SHAPE, train_tokenizer(CAPTIONS, 600, context_length=32), seed=0)


def build(name: str, tuning: str, clip: Clip | None = None) -> Any:
    """Return a method on a tiny Clip."""
    config, method = METHODS[name]
    settings = config() if tuning == "default" else replace(config(), tuning=tuning)
    return method(clip or fresh_clip(), settings)


def make_batch(method: Any, negatives: str = "all") -> Any:
    """Return a batch of what the method learns from.

    Its hard negatives are "all" there, "some" missing, or there are "none"; captions alone have
    any.
    """
    if method.samples != "captions":
        return drawn_batch(method)
    size, kinds = len(CAPTIONS), len(method.negative_kinds)
    slots = [(kind, owner) for kind in range(kinds) for owner in range(size)]
    kept = {"all": slots, "some": slots[1:-2:2], "none": []}[negatives]
    texts = [" ".join(reversed(CAPTIONS[owner].split())) for _, owner in kept]
    pixels = torch.randint(
        0, 256, (size, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return CaptionBatch(
        pixels=pixels,
        text=method.clip.tokenize(CAPTIONS + texts),
        owner=torch.tensor([owner for _, owner in kept], dtype=torch.long),
        kind=torch.tensor([kind for kind, _ in kept], dtype=torch.long),
        ids=[str(i) for i in range(size)],
        captions=CAPTIONS,
        negatives=texts,
    )


def region_sample(index: int, picture: Image.Image) -> RegionSample:
    text = CAPTIONS[index]
    return RegionSample(str(index), picture, ((9, 8 + index, 30, 25),), text, text[::-1])


def class_sample(index: int, picture: Image.Image) -> ClassSample:
    return ClassSample(str(index), picture, index, tuple(CAPTIONS))


SAMPLES = {"regions": region_sample, "classes": class_sample}


def drawn_batch(method: Any) -> Any:
    """Return a batch of samples with pictures of noise, as the method's own batching makes it."""
    batching, drawn = build_batching(Recipe(data=WorldData(crop=None)), method), []
    for index in range(len(CAPTIONS)):
        rng = np.random.default_rng(index)
        picture = Image.fromarray(rng.integers(256, size=(60, 80, 3), dtype=np.uint8))
        drawn.append(batching.draw(SAMPLES[method.samples](index, picture), rng))
    return batching.collate(drawn)


def sentences(batch: Any) -> list[str]:
    """Return the texts of a batch."""
    captions = isinstance(batch, CaptionBatch)
    return [*batch.captions, *batch.negatives] if captions else batch.sentences


def train_a_little(method: Any, steps: int = 3) -> None:
    """Move the trained parameters."""
    optimizer = torch.optim.AdamW(method.param_groups(0.1), 1e-2)
    for _ in range(steps):
        torch.stack(list(method.loss(make_batch(method)).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def embed(model: Any, batch: Any) -> torch.Tensor:
    """Return pooled embeddings of both towers in one tensor."""
    with torch.no_grad():
        image, text = model.encode_image(batch.pixels), model.encode_text(batch.text)
    return torch.cat([image.pooled, text.pooled])


@pytest.fixture(params=VARIANTS, ids="-".join)
def variant(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


def test_equals_its_backbone_at_step_zero(variant: tuple[str, str]) -> None:
    clip = fresh_clip()
    method = build(*variant, copy.deepcopy(clip)).eval()
    batch = make_batch(method)
    gap = (embed(method, batch) - embed(clip, batch)).abs().max()
    if method.starts_as_base:
        assert gap <= 1e-6
    else:
        assert gap > 1e-4  # it says so for a reason


@pytest.mark.parametrize(
    ("name", "tuning", "negatives"),
    [
        (name, tuning, negatives)
        for name, tuning in VARIANTS
        for negatives in (NEGATIVES if METHODS[name][1].samples == "captions" else ("all",))
    ],
)
def test_terms_are_finite_and_reach_every_trained_parameter(
    name: str, tuning: str, negatives: str
) -> None:
    check_gradients(build(name, tuning), negatives)


@pytest.mark.parametrize(("name", "loss"), LOSSES)
def test_every_loss_is_finite_and_reaches_every_trained_parameter(name: str, loss: str) -> None:
    config, method = METHODS[name]
    check_gradients(method(fresh_clip(), config(loss=loss)))


def check_gradients(method: Any, negatives: str = "all") -> None:
    """Every trained parameter has a finite gradient, and no other one has any."""
    terms = method.loss(make_batch(method, negatives))
    total = torch.stack(list(terms.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
    assert trained
    missing = [n for n, p in trained.items() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not missing
    assert all(p.grad is None for p in method.parameters() if not p.requires_grad)


def test_a_blank_image_and_an_empty_caption_are_finite(variant: tuple[str, str]) -> None:
    method = build(*variant)
    batch = make_batch(method)
    blank = replace(batch, pixels=torch.zeros_like(batch.pixels))
    blank.text = method.clip.tokenize([""] * batch.size + sentences(batch)[batch.size :])
    total = torch.stack(list(method.loss(blank).values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def test_groups_hold_exactly_the_trained_parameters(variant: tuple[str, str]) -> None:
    method = build(*variant)
    grouped = [id(p) for group in method.param_groups(0.1) for p in group["params"]]
    trained = [id(p) for p in method.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trained)


def test_saved_and_loaded_it_embeds_the_same(variant: tuple[str, str], tmp_path: Path) -> None:
    base = fresh_clip()
    base.save_pretrained(tmp_path / "base")
    base.name = str(tmp_path / "base")
    method = build(*variant, base)
    train_a_little(method)
    method.eval().save(tmp_path / "model")
    batch = make_batch(method)
    loaded = load_model(tmp_path / "model").eval()
    assert isinstance(loaded, Clip)
    torch.testing.assert_close(embed(loaded, batch), embed(method, batch), rtol=0, atol=1e-5)
    moved = (embed(loaded, batch) - embed(fresh_clip(), batch)).abs().max()
    assert moved > 1e-4  # otherwise the round trip of nothing would pass


def test_text_batches_may_be_longer_than_their_longest(variant: tuple[str, str]) -> None:
    method = build(*variant).eval()
    batch = make_batch(method)
    wide = torch.nn.functional.pad(batch.text.ids, (0, 5))
    padded = replace(batch, text=TextBatch(wide, batch.text.lengths))
    for name, term in method.loss(batch).items():
        torch.testing.assert_close(method.loss(padded)[name], term)


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_benchmarks_name_what_is_missing(name: str, tmp_path: Path) -> None:
    benchmark = BENCHMARKS[name]()
    assert benchmark.name == name
    assert benchmark.source
    missing = benchmark.check(tmp_path)
    assert all(str(tmp_path) in str(item) or len(str(item)) > 10 for item in missing)
    if not missing:  # needs no data, so it can be read at once
        assert len(benchmark.items(tmp_path)) > 0
