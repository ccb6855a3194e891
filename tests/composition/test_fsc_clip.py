"""The objectives of FSC-CLIP and NegCLIP: numbers of the authors' code, then degenerate batches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tests.train.support import tiny_clip
from trifocal.clip import ImageEmbedding, TextEmbedding
from trifocal.composition import FscClip, FscClipConfig, NegClip, NegClipConfig
from trifocal.losses import contrastive_loss
from trifocal.tuning import Encoded

CLIP = tiny_clip()
Batch = dict[str, Any]
LENGTHS = [3, 4, 2, 3, 2, 4, 3, 2, 4, 3]


def terms_of(method: FscClip | NegClip, batch: Batch) -> dict[str, Tensor]:
    """What a method's objective makes of embeddings."""
    encoded = Encoded(batch["image"], batch["text"], torch.as_tensor(batch["scale"]))
    size = len(batch["image"].pooled)
    asked: Any = SimpleNamespace(owner=batch["owner"], kind=batch["kind"], size=size)
    return method.objective(encoded, asked)


def fsc_clip(batch: Batch, **options: Any) -> dict[str, Tensor]:
    return terms_of(FscClip(CLIP, FscClipConfig(**options)), batch)


def negclip(batch: Batch, **options: Any) -> dict[str, Tensor]:
    return terms_of(NegClip(CLIP, NegClipConfig(**options)), batch)


def sines(shape: tuple[int, ...], a: float, b: float) -> Tensor:
    """The float64 tensor whose n-th element is sin(a·n + b)."""
    count = int(torch.Size(shape).numel())
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + b).view(shape)


def verification_batch() -> Batch:
    """Three images with 2, 2 and 3 of three kinds of negatives (cases V5 and V6)."""
    position = torch.arange(5)
    lengths = torch.tensor(LENGTHS)[:, None]
    patches = sines((3, 4, 8), 0.37, 0.2).requires_grad_()
    tokens = sines((10, 5, 8), 0.53, 0.9).requires_grad_()
    return {
        "image": ImageEmbedding(F.normalize(sines((3, 8), 0.7, 0.1), dim=1), patches),
        "text": TextEmbedding(
            F.normalize(sines((10, 8), 0.9, 0.4), dim=1),
            tokens,
            (position >= 1) & (position <= lengths),
        ),
        "owner": torch.tensor([0, 1, 0, 2, 0, 1, 2]),
        "kind": torch.tensor([0, 0, 1, 1, 2, 2, 2]),
        "scale": 10.0,
    }


def random_batch(
    owner: list[int], kind: list[int], images: int = 3, dtype: torch.dtype = torch.float32
) -> Batch:
    """A batch of leaves that require gradients, with the negatives asked for."""
    rng = torch.Generator().manual_seed(0)
    texts = images + len(owner)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng).to(dtype).requires_grad_()

    mask = torch.rand((texts, 6), generator=rng) < 0.7
    mask[:, 0], mask[:, 1] = False, True
    return {
        "image": ImageEmbedding(leaf(images, 8), leaf(images, 4, 8)),
        "text": TextEmbedding(leaf(texts, 8), leaf(texts, 6, 8), mask),
        "owner": torch.tensor(owner, dtype=torch.long),
        "kind": torch.tensor(kind, dtype=torch.long),
        "scale": torch.tensor(5.0, requires_grad=True),
    }


def summed_gradients(batch: Batch, **options: Any) -> list[Tensor]:
    """Gradients of the sum of the terms for patches, tokens, pooled vectors and scale."""
    image, text = batch["image"], batch["text"]
    leaves = [image.patches, text.tokens, image.pooled, text.pooled, batch["scale"]]
    total = torch.stack(list(fsc_clip(batch, **options).values())).sum()
    return list(torch.autograd.grad(total, leaves, materialize_grads=True))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1.959646, 3.397176, 0.232925, 5.589747)),
        ({"weighting": "minmax_sparse"}, (1.959646, 3.397176, 0.230477, 5.587299)),
        ({"weighting": "softmax"}, (1.959646, 3.397176, 0.199197, 5.556019)),
        (
            {"gamma": 0.0, "smoothing": 0.0, "global_weight": 1.0, "local_weight": 1.0},
            (1.959646, 7.006751, 1.698075, 10.664473),
        ),
        (
            {"global_weight": 1.0, "local_weight": 1.0},
            (1.959646, 6.794351, 1.164625, 9.918622),
        ),
    ],
)
def test_v5_full_loss(options: dict[str, Any], expected: tuple[float, ...]) -> None:
    terms = fsc_clip(verification_batch(), missing="zero", **options)
    assert list(terms) == ["contrastive", "global_negative", "local_negative"]
    values = [term.item() for term in terms.values()]
    assert [*values, sum(values)] == pytest.approx(expected, abs=1e-5)


def test_v5_full_loss_masked() -> None:
    terms = fsc_clip(verification_batch(), global_weight=1.0, local_weight=1.0)
    values = [term.item() for term in terms.values()]
    assert values == pytest.approx([1.959646, 6.561633, 1.164613], abs=1e-5)


def test_v6_gradients() -> None:
    batch = verification_batch()
    torch.stack(list(fsc_clip(batch, missing="zero").values())).sum().backward()
    patches, tokens = batch["image"].patches.grad, batch["text"].tokens.grad
    assert float(patches.abs().sum()) == pytest.approx(1.333744, abs=1e-5)
    assert float(tokens.abs().sum()) == pytest.approx(2.031506, abs=1e-5)
    assert torch.count_nonzero(tokens[:, 0]) == 0  # start of text gets none
    assert patches[0, 0, :3].tolist() == pytest.approx([0.029146, 0.032095, 0.026406], abs=1e-5)
    assert tokens[0, 1, :3].tolist() == pytest.approx([-0.059489, -0.071255, -0.068181], abs=1e-5)


@pytest.mark.parametrize(("missing", "expected"), [("zero", 4.217926), ("mask", 4.214490)])
def test_v2_negclip(missing: Any, expected: float) -> None:
    image = ImageEmbedding(F.normalize(sines((4, 8), 0.7, 0.1), dim=1))
    captions = F.normalize(sines((4, 8), 0.9, 0.4), dim=1)
    negatives = F.normalize(sines((3, 8), 1.1, 0.2), dim=1)
    batch = {
        "image": image,
        "text": TextEmbedding(torch.cat([captions, negatives])),
        "owner": torch.tensor([0, 2, 3]),
        "kind": torch.zeros(3, dtype=torch.long),
        "scale": 10.0,
    }
    terms = negclip(batch, negatives=("swap",), missing=missing)
    assert {name: term.item() for name, term in terms.items()} == {
        "contrastive": pytest.approx(expected, abs=1e-5)
    }


def test_negclip_without_negatives_is_the_contrastive_loss() -> None:
    batch = random_batch([], [])
    loss = negclip(batch)["contrastive"]
    expected = contrastive_loss(batch["image"].pooled, batch["text"].pooled, batch["scale"])
    torch.testing.assert_close(loss, expected)


def test_negclip_gradient_reaches_negatives_and_every_image() -> None:
    batch = random_batch([1], [0])
    negclip(batch)["contrastive"].backward()
    assert batch["text"].pooled.grad[3].abs().sum() > 0
    # A negative of image 1 is contrasted with all images: their captions' gradients differ from
    # those of the plain loss.
    plain = random_batch([], [])
    contrastive_loss(plain["image"].pooled, plain["text"].pooled, plain["scale"]).backward()
    moved = (batch["image"].pooled.grad - plain["image"].pooled.grad).abs().sum(dim=1)
    assert (moved > 0).all()


@pytest.mark.parametrize("missing", ["mask", "zero"])
def test_no_negatives(missing: Any) -> None:
    batch = random_batch([], [])
    terms = fsc_clip(batch, missing=missing)
    assert terms["contrastive"] > 0
    assert terms["global_negative"] == terms["local_negative"] == 0
    patches, tokens, *pooled = summed_gradients(batch, missing=missing)
    assert torch.count_nonzero(patches) == torch.count_nonzero(tokens) == 0
    alone = torch.autograd.grad(
        contrastive_loss(batch["image"].pooled, batch["text"].pooled, batch["scale"]),
        [batch["image"].pooled, batch["text"].pooled, batch["scale"]],
    )
    for got, want in zip(pooled, alone, strict=True):
        torch.testing.assert_close(got, want)


def test_skipped_terms_need_nothing_and_are_zero() -> None:
    batch = random_batch([0, 2], [1, 0])
    full = fsc_clip(batch)
    batch["image"] = ImageEmbedding(batch["image"].pooled)
    batch["text"] = TextEmbedding(batch["text"].pooled)
    some = fsc_clip(batch, local_weight=0.0)
    assert some["local_negative"] == 0
    torch.testing.assert_close(some["global_negative"], full["global_negative"])
    none = fsc_clip(batch, global_weight=0.0, local_weight=0.0)
    assert list(none) == list(full)
    assert none["global_negative"] == 0
    torch.testing.assert_close(none["contrastive"], full["contrastive"])


def test_weights_scale_their_terms() -> None:
    batch = random_batch([0, 2], [1, 0])
    one = fsc_clip(batch, global_weight=1.0, local_weight=1.0)
    two = fsc_clip(batch, global_weight=2.0, local_weight=3.0)
    torch.testing.assert_close(two["contrastive"], one["contrastive"])
    torch.testing.assert_close(two["global_negative"], 2 * one["global_negative"])
    torch.testing.assert_close(two["local_negative"], 3 * one["local_negative"])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_order_of_negatives_and_padding_do_not_matter(data: st.DataObject) -> None:
    slots = [(i, k) for i in range(3) for k in range(3)]
    chosen = data.draw(st.lists(st.sampled_from(slots), unique=True, min_size=1))
    batch = random_batch([i for i, _ in chosen], [k for _, k in chosen])
    order = torch.tensor(data.draw(st.permutations(range(len(chosen)))))
    rows = torch.cat([torch.arange(3), 3 + order])
    text = batch["text"]
    shuffled = {
        **batch,
        "text": TextEmbedding(
            text.pooled[rows],
            F.pad(text.tokens[rows], (0, 0, 0, 2), value=9.0),
            F.pad(text.mask[rows], (0, 2)),
        ),
        "owner": batch["owner"][order],
        "kind": batch["kind"][order],
    }
    for name, term in fsc_clip(batch).items():
        torch.testing.assert_close(fsc_clip(shuffled)[name], term)


def test_captions_without_words_drop_out_of_the_local_term_only() -> None:
    batch = random_batch([0, 0, 1, 2], [0, 1, 0, 2])
    batch["text"].mask[1] = False  # the caption of image 1
    batch["text"].mask[3] = False  # the first negative of image 0
    terms = fsc_clip(batch)
    rest = {**batch, "owner": torch.tensor([0, 2]), "kind": torch.tensor([1, 2])}
    rows = torch.tensor([0, 1, 2, 4, 6])
    rest["text"] = TextEmbedding(*(part[rows] for part in vars(batch["text"]).values()))
    torch.testing.assert_close(terms["local_negative"], fsc_clip(rest)["local_negative"])
    full = random_batch([0, 0, 1, 2], [0, 1, 0, 2])
    torch.testing.assert_close(terms["global_negative"], fsc_clip(full)["global_negative"])
    for grad in summed_gradients(batch):
        assert grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("missing", ["mask", "zero"])
@pytest.mark.parametrize("broken", ["nothing", "flat patches", "no words", "zero vectors"])
def test_half_precision_and_broken_inputs_are_finite(
    dtype: torch.dtype, missing: Any, broken: str
) -> None:
    batch = random_batch([0, 2, 0], [1, 0, 2], dtype=dtype)
    batch["scale"] = torch.tensor(100.0, requires_grad=True)
    with torch.no_grad():
        if broken == "flat patches":
            batch["image"].patches[:] = 1
        elif broken == "no words":
            batch["text"].mask[:] = False
        elif broken == "zero vectors":
            for part in (batch["image"].pooled, batch["text"].pooled, batch["text"].tokens):
                part.zero_()
    for term in fsc_clip(batch, missing=missing).values():
        assert term.dtype == torch.float32
        assert term.isfinite()
    for grad in summed_gradients(batch, missing=missing):
        assert grad.isfinite().all()


def test_wrong_arguments_are_named() -> None:
    batch = random_batch([0, 2], [1, 0])
    with pytest.raises(ValueError, match="3 captions and 1 negatives"):
        fsc_clip({**batch, "owner": batch["owner"][:1], "kind": batch["kind"][:1]})
    with pytest.raises(ValueError, match=r"\(2,\), \(1,\)"):
        fsc_clip({**batch, "kind": batch["kind"][:1]})
    with pytest.raises(IndexError):
        fsc_clip(batch, negatives=("swap",))
    with pytest.raises(ValueError, match="'skip'"):
        fsc_clip(batch, missing="skip")
    with pytest.raises(ValueError, match="blanks must be at least 0"):
        negclip(random_batch([0, 0, 1, 2], [0, 1, 0, 0]), negatives=("swap",), missing="zero")
    with pytest.raises(ValueError, match="local_weight=0"):
        fsc_clip({**batch, "image": ImageEmbedding(batch["image"].pooled)})
