"""FSC-CLIP's and NegCLIP's objectives: published verification numbers, then degenerate batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip.embeddings import ImageEmbedding, TextEmbedding
from trifocal.losses import contrastive_loss, fsc_clip_loss, negclip_loss

Batch = dict[str, Any]
LENGTHS = [3, 4, 2, 3, 2, 4, 3, 2, 4, 3]


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


def leaves(batch: Batch) -> list[Tensor]:
    image, text = batch["image"], batch["text"]
    found = [image.pooled, image.patches, text.pooled, text.tokens, batch["scale"]]
    return [leaf for leaf in found if leaf is not None]


def gradients(batch: Batch, **options: Any) -> list[Tensor]:
    """Gradients of the summed terms; zeros for a leaf out of reach."""
    terms = fsc_clip_loss(**batch, **options)
    total = torch.stack(list(terms.values())).sum()
    return list(torch.autograd.grad(total, leaves(batch), materialize_grads=True))


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
    terms = fsc_clip_loss(**verification_batch(), missing="zero", **options)
    assert list(terms) == ["contrastive", "global_negative", "local_negative"]
    values = [float(term) for term in terms.values()]
    assert [*values, sum(values)] == pytest.approx(expected, abs=1e-5)


def test_v5_full_loss_masked() -> None:
    terms = fsc_clip_loss(**verification_batch(), global_weight=1.0, local_weight=1.0)
    values = [float(term) for term in terms.values()]
    assert values == pytest.approx([1.959646, 6.561633, 1.164613], abs=1e-5)


def test_v6_gradients() -> None:
    batch = verification_batch()
    torch.stack(list(fsc_clip_loss(**batch, missing="zero").values())).sum().backward()
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
    terms = negclip_loss(
        image,
        TextEmbedding(torch.cat([captions, negatives])),
        torch.tensor([0, 2, 3]),
        torch.zeros(3, dtype=torch.long),
        10.0,
        kinds=1,
        missing=missing,
    )
    assert {name: float(term) for name, term in terms.items()} == {
        "contrastive": pytest.approx(expected, abs=1e-5)
    }
