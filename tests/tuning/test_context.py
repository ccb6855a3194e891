"""A learned context: where it stands, what it leaves alone, whose it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trifocal.clip import Clip, ClipShape, TextBatch, build_clip, towers, train_tokenizer
from trifocal.errors import UserError
from trifocal.tuning import ContextConfig, Surgery, operate
from trifocal.tuning.context import attach_context

TEXTS = ["a photo of a red ball.", "two small cats", "a hat"]
SHAPE = ClipShape(
    image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
    text_width=24, text_layers=2, text_heads=2, embed_dim=16, context_length=24,
)  # fmt: skip
NAMES = ["red ball.", "hat.", "two small cats."]


def tiny() -> Clip:
    return build_clip(SHAPE, train_tokenizer(TEXTS, 560, context_length=24)).double()


def ids_of(clip: Clip, text: str) -> tuple[int, ...]:
    return tuple(clip.tokenizer.encode(text)[1:-1])


def with_words(words: str, position: Any = "end") -> tuple[Clip, Clip]:
    """Return a Clip, and the same one with these words as its context."""
    plain, clip = tiny(), tiny()
    start = ids_of(clip, words)
    operate(clip.network, Surgery("none", context=ContextConfig(len(start), position, start)))
    return plain, clip


def embed(clip: Clip, texts: list[str] | TextBatch) -> torch.Tensor:
    with torch.no_grad():
        return clip.encode_text(texts).pooled


# Where it stands


@pytest.mark.parametrize(
    ("position", "template"),
    [
        ("end", "a photo of {}."),
        ("middle", "a {} photo of."),  # the first half of three is one word
        ("front", "{} a photo of."),
    ],
)
def test_words_as_a_context_are_the_words_of_a_prompt(position: Any, template: str) -> None:
    plain, clip = with_words("a photo of", position)
    prompts = [template.format(name.rstrip(".")) for name in NAMES]
    torch.testing.assert_close(embed(clip, NAMES), embed(plain, prompts), rtol=0, atol=1e-12)


def test_it_goes_with_any_class_names() -> None:
    plain, clip = with_words("a photo of a")
    texts = ["a", "", "two cats, one hat."]
    prompts = [f"a photo of a {text}" for text in texts]
    torch.testing.assert_close(embed(clip, texts), embed(plain, prompts), rtol=0, atol=1e-12)


def test_states_are_those_of_the_texts_own_positions() -> None:
    plain, clip = with_words("a photo", "middle")
    words = clip.tokenize(["red ball."])
    count = len(ids_of(clip, "red ball"))
    with torch.no_grad():
        inner = towers.text_states(clip.network, words.ids, words.lengths)
        whole = plain.tokenize(["a red ball photo."])
        outer = towers.text_states(plain.network, whole.ids)
    assert inner.shape == (1, count + 3, 24)  # start, the name, full stop, end
    kept = [0, *range(2, 2 + count), count + 3, count + 4]
    torch.testing.assert_close(inner, outer[:, kept], rtol=0, atol=1e-12)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_padding_and_company_change_nothing(position: Any) -> None:
    _, clip = with_words("a photo of a", position)
    alone = torch.cat([embed(clip, [name]) for name in NAMES])
    batch = clip.tokenize(NAMES)
    wide = TextBatch(torch.nn.functional.pad(batch.ids, (0, 5), value=7), batch.lengths)
    torch.testing.assert_close(embed(clip, wide), alone, rtol=0, atol=1e-12)
    clip.text_in_one_pass = True
    torch.testing.assert_close(embed(clip, wide), alone, rtol=0, atol=1e-12)


def test_tokens_and_mask_are_as_long_as_the_text() -> None:
    _, clip = with_words("a photo of a")
    found = clip.encode_text(NAMES, tokens=True)
    batch = clip.tokenize(NAMES)
    assert found.tokens is not None
    assert found.mask is not None
    assert found.tokens.shape[:2] == found.mask.shape == batch.ids.shape
    assert torch.equal(found.mask, batch.mask)
    assert torch.isfinite(found.tokens).all()


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_a_text_that_leaves_no_room_is_cut_but_keeps_its_end(position: Any) -> None:
    _, clip = with_words("a photo of a", position)
    tokens = len(ids_of(clip, "a photo of a"))
    long = "red " * 40
    (encoded,) = clip.tokenize([long]).ids.tolist()
    assert len(encoded) == 24
    short = torch.tensor([[*encoded[: 24 - tokens - 1], encoded[-1]]])
    cut = TextBatch(short, torch.tensor([24 - tokens]))
    torch.testing.assert_close(embed(clip, [long]), embed(clip, cut), rtol=0, atol=1e-12)
    assert torch.isfinite(embed(clip, [long, "a hat."])).all()


def test_no_text_at_all() -> None:
    _, clip = with_words("a photo")
    assert embed(clip, clip.tokenize([]).rows(slice(0, 0))).shape == (0, 16)


# What it consists of


def test_drawn_vectors_alone_are_new_and_trained() -> None:
    clip = tiny()
    torch.manual_seed(0)
    (vectors,) = operate(clip.network, Surgery("none", context=ContextConfig(16)))
    assert vectors.shape == (16, 24)
    assert 0.015 < float(vectors.detach().std()) < 0.025
    assert [p for p in clip.network.parameters() if p.requires_grad] == [vectors]
    clip.encode_text(NAMES).pooled[:, 0].sum().backward()
    assert vectors.grad is not None
    assert (vectors.grad.abs().sum(dim=1) > 0).all()


def test_classes_have_contexts_of_their_own() -> None:
    clip = tiny()
    classes = tuple(tuple(clip.tokenizer.encode(name)) for name in NAMES)
    vectors = attach_context(clip.network, ContextConfig(4, classes=classes))
    assert vectors.shape == (3, 4, 24)
    assert not torch.equal(vectors[0], vectors[1])
    before = embed(clip, NAMES)
    with torch.no_grad():
        vectors[1].normal_()
    moved = (embed(clip, NAMES) - before).abs().amax(dim=1)
    assert (moved > 1e-3).tolist() == [False, True, False]
    # The order and number of the texts is free; it is the text that says which class it is.
    torch.testing.assert_close(
        embed(clip, NAMES[::-1] + NAMES[:1]), embed(clip, NAMES)[[2, 1, 0, 0]]
    )
    clip.encode_text([NAMES[2]]).pooled[:, 0].sum().backward()
    assert vectors.grad is not None
    assert (vectors.grad.abs().sum(dim=(1, 2)) > 0).tolist() == [False, False, True]


def test_a_text_of_no_class_is_refused() -> None:
    clip = tiny()
    classes = tuple(tuple(clip.tokenizer.encode(name)) for name in NAMES)
    attach_context(clip.network, ContextConfig(4, classes=classes))
    with pytest.raises(UserError, match="only the 3 classes that were learned have a context"):
        embed(clip, [NAMES[0], "an apple."])


def test_words_start_all_classes() -> None:
    clip = tiny()
    start = ids_of(clip, "a photo of a")
    classes = tuple(tuple(clip.tokenizer.encode(name)) for name in NAMES)
    attach_context(clip.network, ContextConfig(len(start), "end", start, classes))
    prompts = [f"a photo of a {name}" for name in NAMES]
    torch.testing.assert_close(embed(clip, NAMES), embed(tiny(), prompts), rtol=0, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_it_is_in_the_mode_of_its_tower(training: bool) -> None:
    network = tiny().network.train(training)
    operate(network, Surgery("none", context=ContextConfig(3)))
    assert {part.training for part in network.modules()} == {training}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ContextConfig(0), r"context\.tokens is 0"),
        (lambda: ContextConfig(4, "left"), r"context\.position is 'left'; it must be one of end"),
        (lambda: ContextConfig(4, "end", (1, 2)), "has 2 ids for 4 tokens"),
        (lambda: attach_context(tiny().network, ContextConfig(21)), "24 positions; use 20 at most"),
    ],
)
def test_slips(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
