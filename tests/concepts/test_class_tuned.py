"""Training on pictures with classes: batches, the loss, class texts that are computed once."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from trifocal.clip import Clip, ClipShape, build_clip, train_tokenizer
from trifocal.clip.preprocess import Preprocess
from trifocal.concepts.batching import ClassBatching
from trifocal.concepts.class_tuned import CONVENTION, ClassTuned, trained_template
from trifocal.concepts.low_rank import ClipLora, ClipLoraConfig
from trifocal.data.batching import CenterCrop
from trifocal.data.images import BadImage
from trifocal.data.labeled import ClassSample, LabeledPictures
from trifocal.train.gradient_cache import cached_step, direct_step
from trifocal.tuning import LoraConfig, Surgery

NAMES = ("red ball", "hat", "two cats")
SHAPE = ClipShape(
    image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
    text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=32,
)  # fmt: skip


def tiny() -> Clip:
    tokenizer = train_tokenizer(["a photo of a red ball."], 540, context_length=32)
    return build_clip(SHAPE, tokenizer).double()


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(256, size=(40, 50, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def make_batch(method: ClassTuned, labels: tuple[int, ...] = (2, 0, 0, 1, 2)) -> Any:
    batching: Any = method.batching(CenterCrop(method.clip.preprocess))
    samples = [ClassSample(f"p{n}", picture(n), label, NAMES) for n, label in enumerate(labels)]
    return batching.collate(
        [batching.draw(s, np.random.default_rng(n)) for n, s in enumerate(samples)]
    )


def low_rank(**options: Any) -> ClipLora:
    torch.manual_seed(0)
    lora = replace(ClipLoraConfig().lora, dropout=0.0, **options)
    method = ClipLora(tiny(), ClipLoraConfig(lora, template="a {}!", flip=False))
    for parameter in method.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    return method.double()


# Batches


def test_a_batch_has_the_prompts_of_all_classes() -> None:
    method = low_rank()
    batch = make_batch(method)
    assert batch.sentences == ["a red ball!", "a hat!", "a two cats!"]
    assert torch.equal(batch.text.ids, method.clip.tokenize(batch.sentences).ids)
    assert batch.labels.tolist() == [2, 0, 0, 1, 2]
    assert batch.pixels.shape == (5, 3, 32, 32)
    assert batch.size == 5
    moved = batch.to("cpu")
    assert torch.equal(moved.labels, batch.labels)


def test_prompts_are_tokenized_once() -> None:
    asked = []
    tokenizer = tiny().tokenizer

    def tokenize(texts: list[str]) -> Any:
        asked.append(texts)
        return tokenizer(texts)

    batching = ClassBatching(tokenize, CenterCrop(Preprocess(size=(32, 32))), "{}")
    for names in (NAMES, NAMES, NAMES[:2]):
        drawn = batching.draw(ClassSample("p", picture(0), 1, names), np.random.default_rng(0))
        assert len(batching.collate([drawn]).text) == len(names)
    assert len(asked) == 2


def test_half_of_the_pictures_are_mirrored() -> None:
    transform = CenterCrop(Preprocess(size=(32, 32)))
    batching = ClassBatching(tiny().tokenizer, transform, "{}", flip=True)
    sample = ClassSample("p", picture(0), 1, NAMES)
    plain = transform(picture(0), np.random.default_rng(0))
    seen = [batching.draw(sample, np.random.default_rng(n))[1] for n in range(200)]
    mirrored = [torch.equal(pixels, plain.flip(-1)) for pixels in seen]
    assert all(torch.equal(pixels, plain) for pixels, turned in zip(seen, mirrored) if not turned)
    assert 70 < sum(mirrored) < 130


def test_a_source_of_files(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    source = LabeledPictures([tmp_path / "a.png", tmp_path / "b.png"], [1, 0], NAMES)
    assert len(source) == 2
    sample = source.sample(0, np.random.default_rng(0))
    assert (sample.label, sample.classnames) == (1, NAMES)
    assert sample.id == str(tmp_path / "a.png")
    assert not isinstance(sample.image, torch.Tensor)
    assert sample.image.size == (50, 40)
    with pytest.raises(BadImage):
        source.sample(1, np.random.default_rng(0))


# The loss


def test_the_loss_is_cross_entropy_over_all_classes() -> None:
    method = low_rank()
    batch = make_batch(method)
    (loss,) = method.loss(batch).values()
    images = method.clip.encode_image(batch.pixels).pooled
    texts = method.clip.encode_text([f"a {name}!" for name in NAMES]).pooled
    logits = method.clip.logit_scale * images @ texts.T
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([2, 0, 0, 1, 2])))


@pytest.mark.parametrize("towers", [("vision", "text"), ("vision",), ("text",)])
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_the_cached_gradient_is_the_same(towers: Any, chunk: int) -> None:
    """Also where there are more pieces of pictures than classes."""
    gradients = []
    for step in (direct_step, cached_step):
        method = low_rank(towers=towers)
        options: Any = {} if step is direct_step else {"chunk": chunk}
        step(method, method.objective, make_batch(method), lambda loss: loss.backward(), **options)
        gradients.append([p.grad for p in method.parameters() if p.requires_grad])
    assert len(gradients[0]) > 0
    for first, second in zip(*gradients):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)


# Texts of a frozen tower


@pytest.mark.parametrize(("towers", "passes"), [(("vision",), 1), (("vision", "text"), 3)])
def test_class_texts_of_a_frozen_tower_are_computed_once(towers: Any, passes: int) -> None:
    method = low_rank(towers=towers)
    calls = []
    inner = method.clip.encode_text
    method.clip.encode_text = lambda *a, **k: calls.append(1) or inner(*a, **k)  # type: ignore[method-assign]
    losses = [method.loss(make_batch(method))["cross_entropy"] for _ in range(3)]
    assert len(calls) == passes
    assert len({float(loss.detach()) for loss in losses}) == 1
    sum(losses).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def test_another_set_of_classes_is_another_computation() -> None:
    method = low_rank(towers=("vision",))
    batch = make_batch(method)
    first = method(batch.pixels, batch.text).text.pooled
    fewer = method(batch.pixels, batch.text.rows(slice(0, 2))).text.pooled
    torch.testing.assert_close(fewer, first[:2])


# What goes with the weights


def test_the_prompt_goes_with_the_weights() -> None:
    clip = tiny()
    clip.conventions = {"regions": {"variant": "mix"}}
    assert trained_template(clip) is None
    before = copy.deepcopy(clip.conventions)
    method = ClassTuned(clip, Surgery("none", lora=LoraConfig()), "a {}!", flip=False)
    assert clip.conventions == {**before, CONVENTION: {"template": "a {}!"}}
    assert trained_template(clip) == trained_template(method) == "a {}!"
    assert trained_template(object()) is None
