"""Terms that any method on captions may add, against their formulas, through every door."""

from __future__ import annotations

import copy
import logging
import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.train.support import CAPTIONS, Pictures, recipe, shuffled, tiny_clip, weights
from trifocal.composition import (
    Finetune,
    FinetuneConfig,
    FscClip,
    FscClipConfig,
    LabClip,
    LabClipConfig,
    NegClip,
    NegClipConfig,
)
from trifocal.composition.options import ClassPrompts, Distill, Noise, Teacher
from trifocal.data.captions import CaptionDataset, CaptionItem
from trifocal.errors import UserError
from trifocal.features.text_table import save_text_table
from trifocal.losses import contrastive_loss
from trifocal.losses.distillation import class_prompt_loss, teacher_loss
from trifocal.train.engine import train
from trifocal.train.gradient_cache import cached_step, direct_step
from trifocal.tuning import LoraConfig

METHODS = [
    (Finetune, FinetuneConfig), (NegClip, NegClipConfig), (FscClip, FscClipConfig),
    (LabClip, LabClipConfig),
]  # fmt: skip
NAMES = ["cat", "dog", "sun"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A teacher of all captions but the last, and classes in the tiny model's space."""
    folder = tmp_path_factory.mktemp("tables")
    known = [f"{opening}{text}" for text in CAPTIONS[:-1] for opening in ("", "look, ")]
    vectors = torch.randn(len(known), 5, generator=torch.manual_seed(0))
    save_text_table(folder / "teacher", known, vectors)
    save_text_table(folder / "classes", NAMES, torch.randn(3, 8, generator=torch.manual_seed(1)))
    return folder


def everything(tables, **options):
    return {
        "noise": Noise(words=0.2),
        "teacher": Teacher(str(tables / "teacher"), 0.5, 4.0),
        "prompts": ClassPrompts(str(tables / "classes"), 0.7, 0.5),
        "distill": Distill(text=0.3),
        **options,
    }


def batch_of(method, indices=range(16)):
    batching = method.batching(negatives=shuffled)
    drawn = [
        batching.draw(Pictures().sample(i, np.random.default_rng(i)), np.random.default_rng(i))
        for i in indices
    ]
    return batching.collate(drawn)


@pytest.mark.parametrize(("method", "config"), METHODS)
def test_every_method_takes_every_option(tables, method, config):
    kinds = {} if method is Finetune else {"negatives": ("swap", "shuffle")}
    plain = method(tiny_clip(), config(**kinds))
    noisy = method(tiny_clip(), config(**kinds, **everything(tables, noise=Noise())))
    own, all_terms = plain.loss(batch_of(plain)), noisy.loss(batch_of(noisy))
    assert all_terms.keys() == own.keys() | {"teacher", "prompts", "distill_text"}
    for name, value in own.items():
        torch.testing.assert_close(all_terms[name], value, msg=name)
    assert 0 < all_terms["teacher"].item() < 10
    assert all_terms["distill_text"].item() == pytest.approx(0, abs=1e-6)  # still the base
    sum(all_terms.values()).backward()  # pyright: ignore[reportAttributeAccessIssue]


def test_the_terms_are_their_formulas(tables):
    method = Finetune(tiny_clip(), FinetuneConfig(**everything(tables)))
    batch = batch_of(
        method, [*range(6), len(CAPTIONS) - 1]
    )  # of the last, the teacher knows nothing
    assert batch.classes is not None
    assert 0 < len(batch.classes) < 7
    encoded = method(batch.pixels, batch.text)
    terms = method.terms(encoded, batch)
    image, text = encoded.image.pooled, encoded.text.pooled[:7]
    teacher = method._teacher.table  # pyright: ignore[reportOptionalMemberAccess]
    rows = F.normalize(teacher.embeddings[teacher.rows(batch.captions[:6])], dim=-1)
    means = F.normalize(torch.randn(3, 8, generator=torch.manual_seed(1)), dim=-1)
    expected = {
        "contrastive": contrastive_loss(image, text, encoded.scale),
        "teacher": 0.5 * teacher_loss(image[:6], text[:6], rows, encoded.scale, 4.0),
        "prompts": 0.7
        * class_prompt_loss(encoded.text.pooled[7:], means, batch.classes, encoded.scale),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)
    prompts = method.clip.encode_text([f"a photo of a {NAMES[i]}." for i in batch.classes]).pooled
    torch.testing.assert_close(encoded.text.pooled[7:], prompts)


@pytest.mark.parametrize("tuning", ["full", "text", "lora"])
def test_nearness_is_to_the_base_however_it_is_kept(tuning):
    lora = LoraConfig(rank=2, dropout=0.3, layout="published")
    distill = Distill(image=0.0 if tuning == "text" else 2.0, text=3.0)
    base = tiny_clip()
    config = FinetuneConfig(tuning=tuning, lora=lora, distill=distill)
    method = Finetune(copy.deepcopy(base), config)
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad and parameter.ndim > 1:
                parameter += 0.2 * torch.randn_like(parameter)
    batch, before = batch_of(method), weights(method)
    method.eval()
    encoded = method(batch.pixels, batch.text)
    terms = method.terms(encoded, batch)
    for name, weight, found, was in (
        ("image", distill.image, encoded.image.pooled, base.encode_image(batch.pixels).pooled),
        ("text", 3.0, encoded.text.pooled[:16], base.encode_text(batch.captions).pooled),
    ):
        if weight:
            value = weight * (1 - (found * was).sum(-1)).mean()
            assert value.item() > 1e-3
            torch.testing.assert_close(terms[f"distill_{name}"], value, atol=1e-5, rtol=1e-4)
    sum(terms.values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
    assert all(torch.equal(before[name], value) for name, value in weights(method).items())
    trained = [p for p in method.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    shared = {p.data_ptr() for p in method.parameters()}
    copied = [p for p in method.further[0].base.clip.parameters() if p.data_ptr() not in shared]
    vision = sum(p.numel() for p in method.clip.network.vision_model.parameters())
    assert method.reads_base_in_place == (tuning == "lora")
    total = sum(p.numel() for p in base.parameters())
    most = {"full": total, "text": total - vision, "lora": 0}[tuning]
    assert sum(p.numel() for p in copied) <= most


def test_a_term_without_effect_is_refused(tables):
    for method, config, name in (
        (Finetune, FinetuneConfig(tuning="text", distill=Distill(image=1.0)), "image"),
        (LabClip, LabClipConfig(distill=Distill(image=1.0)), "image"),
    ):
        with pytest.raises(UserError, match=rf"method\.distill\.{name}"):
            method(tiny_clip(), config)
    with pytest.raises(UserError, match="joint space has 8"):
        Finetune(tiny_clip(), FinetuneConfig(prompts=ClassPrompts(str(tables / "teacher"))))


def test_captions_that_the_teacher_lacks_are_counted(tables, caplog):
    method = Finetune(tiny_clip(), FinetuneConfig(teacher=Teacher(str(tables / "teacher"))))

    def source(*captions: str) -> CaptionDataset:
        return CaptionDataset([CaptionItem(str(i), "x.png", (c,)) for i, c in enumerate(captions)])

    method.look_over(source(*CAPTIONS[:3]))
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        method.look_over(source(*CAPTIONS[:3], "never seen"))
    assert "1 of 4 captions" in caplog.text
    with pytest.raises(UserError, match="none of the 1 captions"):
        method.look_over(source("never seen"))


def test_gradients_in_pieces_are_the_whole_gradient(tables):
    kinds = {"negatives": ("swap", "shuffle")}
    method = NegClip(tiny_clip(), NegClipConfig(**kinds, **everything(tables)))
    batch = batch_of(method)
    found = []
    for step, options in ((direct_step, {}), (cached_step, {"chunk": 5})):
        method.zero_grad()
        step(method, method.terms, batch, torch.Tensor.backward, **options)
        found.append(
            {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}
        )
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_a_run_with_everything_goes_on_where_it_was(tables, tmp_path):
    def run(settings):
        options = everything(tables, noise=Noise(0.2, 0.1, 0.1))
        method = Finetune(tiny_clip(), FinetuneConfig(tuning="text", **options))
        train(method, Pictures(), method.batching(), settings)
        return weights(method)

    whole = run(recipe(tmp_path / "a"))
    again = recipe(tmp_path / "b", checkpoint_every=4, keep=9)
    run(again)
    shutil.rmtree(tmp_path / "b" / "t" / "checkpoints" / "step-00000008")
    for name, value in run(again).items():
        assert torch.equal(value, whole[name]), name
