"""The local alignment score: numbers of the authors' code, plain formulation, bad inputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from trifocal.losses import local_alignment_scores
from trifocal.losses.alignment import WEIGHTINGS, caption_scores, patch_weights


def plain_views(patches: Tensor, tokens: Tensor, weighting: str) -> Tensor:
    """What each token looks at, (B, T, D), step by step."""
    similarity = torch.einsum("btd,bpd->btp", tokens, patches).detach()
    if weighting == "softmax":
        weights = similarity.softmax(dim=-1)
    else:
        low, high = similarity.amin(-1, keepdim=True), similarity.amax(-1, keepdim=True)
        weights = (similarity - low) / (high - low)
        if weighting == "minmax_sparse":
            weights = weights * (weights >= 1 / patches.shape[1])
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return F.normalize(torch.einsum("btp,bpd->btd", weights, patches), dim=-1)


def plain_cosines(patches: Tensor, tokens: Tensor, weighting: str) -> Tensor:
    return (plain_views(patches, tokens, weighting) * F.normalize(tokens, dim=-1)).sum(dim=-1)


def plain_scores(
    patches: Tensor, tokens: Tensor, mask: Tensor, scale: Tensor, weighting: str
) -> Tensor:
    cosines = plain_cosines(patches, tokens, weighting)
    return (scale * cosines).masked_fill(~mask, float("-inf")).logsumexp(dim=1)


def sines(shape: tuple[int, ...], a: float, b: float) -> Tensor:
    """The float64 tensor whose n-th element is sin(a·n + b)."""
    count = int(torch.Size(shape).numel())
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + b).view(shape)


V4_PATCHES, V4_TOKENS = sines((2, 4, 6), 0.37, 0.2), sines((2, 5, 6), 0.53, 0.9)
V4_MASK = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 1, 0, 0]])


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ("minmax", (10.491076, 9.790778)),
        ("minmax_sparse", (10.386381, 9.790778)),
        ("softmax", (10.511508, 10.022795)),
    ],
)
def test_v4_scores(weighting: Any, expected: tuple[float, float]) -> None:
    got = local_alignment_scores(V4_PATCHES, V4_TOKENS, V4_MASK, 10.0, weighting)
    assert got.tolist() == pytest.approx(expected, abs=1e-5)


def test_v4_weights_views_and_cosines() -> None:
    similarity = V4_TOKENS[0, 1] @ V4_PATCHES[0].T
    assert similarity.tolist() == pytest.approx(
        [-1.687086, -0.974088, 2.864861, -2.489828], abs=1e-5
    )
    assert patch_weights(similarity).tolist() == pytest.approx(
        [0.104617, 0.197538, 0.697846, 0], abs=1e-5
    )
    views = plain_views(V4_PATCHES, V4_TOKENS, "minmax")  # the reference of the tests below
    assert views[0, 1].tolist() == pytest.approx(
        [-0.561329, -0.559205, -0.481395, -0.338431, -0.149661, 0.059364], abs=1e-5
    )
    # With one token kept and scale 1, the score is that token's cosine.
    one = torch.eye(5, dtype=torch.bool)
    cosines = local_alignment_scores(
        V4_PATCHES[:1].expand(5, -1, -1), V4_TOKENS[:1].expand(5, -1, -1), one, 1.0
    )
    assert cosines.tolist() == pytest.approx(
        [0.822662, 0.971054, 0.796013, 0.971944, 0.769070], abs=1e-5
    )


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 4),
    captions=st.integers(1, 9),
    patches=st.integers(2, 6),
    length=st.integers(1, 6),
    width=st.integers(2, 5),
    weighting=st.sampled_from(WEIGHTINGS),
    seed=st.integers(0, 999),
)
def test_packed_captions_equal_the_plain_formulation(
    images: int, captions: int, patches: int, length: int, width: int, weighting: Any, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    inputs = [
        torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_()
        for shape in ((images, patches, width), (captions, length, width), ())
    ]
    owner = torch.randint(images, (captions,), generator=rng)
    mask = torch.rand((captions, length), generator=rng) < 0.6
    mask[torch.arange(captions), torch.randint(length, (captions,), generator=rng)] = True
    got = caption_scores(inputs[0], inputs[1], mask, owner, inputs[2], weighting)
    want = plain_scores(inputs[0][owner], inputs[1], mask, inputs[2], weighting)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    upstream = torch.randn(captions, generator=rng, dtype=torch.float64)
    for one, other in zip(
        torch.autograd.grad(got, inputs, upstream),
        torch.autograd.grad(want, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


def test_single_precision_at_real_size() -> None:
    rng = torch.Generator().manual_seed(0)
    patches = torch.randn((4, 49, 512), generator=rng).requires_grad_()
    tokens = torch.randn((4, 20, 512), generator=rng).requires_grad_()
    mask = torch.arange(20) < torch.tensor([3, 8, 19, 20])[:, None]
    exact = [x.detach().double().requires_grad_() for x in (patches, tokens)]
    scale = torch.tensor(100.0)
    got = local_alignment_scores(patches, tokens, mask, scale)
    want = plain_scores(*exact, mask, scale.double(), "minmax")
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad(got.sum(), (patches, tokens)),
        torch.autograd.grad(want.sum(), exact),
        strict=True,
    ):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-5)


def test_patches_are_not_copied_for_each_caption() -> None:
    class LargestResult(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                self.largest = max(self.largest, result.numel())
            return result

    images, captions, patches, width = 3, 12, 40, 16
    owner = torch.arange(captions) % images
    V = torch.randn(images, patches, width).requires_grad_()
    Q = torch.randn(captions, 9, width).requires_grad_()
    mask = torch.arange(9) < 4
    with LargestResult() as seen:
        caption_scores(V, Q, mask.expand(captions, -1), owner, 10.0).sum().backward()
    assert seen.largest <= max(V.numel(), Q.numel()) < captions * patches * width


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_dropped_tokens_are_never_read(weighting: Any) -> None:
    poisoned = V4_TOKENS.masked_fill(V4_MASK[..., None] == 0, float("nan")).requires_grad_()
    patches = V4_PATCHES.clone().requires_grad_()
    scores = local_alignment_scores(patches, poisoned, V4_MASK, 10.0, weighting)
    expected = local_alignment_scores(V4_PATCHES, V4_TOKENS, V4_MASK, 10.0, weighting)
    assert torch.equal(scores, expected)
    scores.sum().backward()
    assert poisoned.grad is not None
    assert patches.grad is not None
    assert patches.grad.isfinite().all()
    assert torch.count_nonzero(poisoned.grad[V4_MASK == 0]) == 0
    assert torch.count_nonzero(poisoned.grad[V4_MASK == 1]) > 0


def finite_scores(patches: Tensor, tokens: Tensor, mask: Tensor, weighting: Any) -> Tensor:
    """Scores at scale 100, after checking that they and their gradients are finite."""
    inputs = [patches.requires_grad_(), tokens.requires_grad_(), torch.tensor(100.0)]
    inputs[2].requires_grad_()
    scores = local_alignment_scores(inputs[0], inputs[1], mask, inputs[2], weighting)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()
    for grad in torch.autograd.grad(scores.sum(), inputs):
        assert grad.isfinite().all()
    return scores.detach()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
class TestDegenerate:
    """Each case is a batch of two, the second pair healthy."""

    def inputs(self, dtype: torch.dtype, patches: int = 4) -> tuple[Tensor, Tensor, Tensor]:
        rng = torch.Generator().manual_seed(1)
        V = torch.randn((2, patches, 8), generator=rng).to(dtype)
        Q = torch.randn((2, 5, 8), generator=rng).to(dtype)
        return V, Q, torch.ones(2, 5, dtype=torch.bool)

    def test_equal_patches_get_uniform_weights(self, dtype: torch.dtype, weighting: Any) -> None:
        V, Q, mask = self.inputs(dtype)
        V[0] = V[0, :1]
        scores = finite_scores(V, Q, mask, weighting)
        cosines = F.cosine_similarity(Q[0].float(), V[0, 0].float(), dim=-1)
        torch.testing.assert_close(scores[0], (100 * cosines).logsumexp(0), rtol=1e-4, atol=1e-3)

    def test_zero_tokens_and_zero_patches(self, dtype: torch.dtype, weighting: Any) -> None:
        V, Q, mask = self.inputs(dtype)
        V[0] = 0
        Q[1, 2] = 0
        scores = finite_scores(V, Q, mask, weighting)
        torch.testing.assert_close(scores[0], torch.tensor(5.0).log())  # five cosines of 0

    def test_opposite_patches(self, dtype: torch.dtype, weighting: Any) -> None:
        V, Q, mask = self.inputs(dtype, patches=2)
        V[0, 1] = -V[0, 0]
        scores = finite_scores(V, Q, mask, weighting)
        assert scores.abs().max() <= 100 + torch.tensor(5.0).log() + 1e-3

    def test_no_token_scores_the_floor(self, dtype: torch.dtype, weighting: Any) -> None:
        V, Q, mask = self.inputs(dtype)
        mask[0] = False
        scores = finite_scores(V, Q, mask, weighting)
        assert scores[0] == -100
        mask[:] = False
        assert finite_scores(V, Q, mask, weighting).tolist() == [-100, -100]

    def test_one_token_and_one_patch(self, dtype: torch.dtype, weighting: Any) -> None:
        V, Q, mask = self.inputs(dtype, patches=1)
        mask[0] = torch.tensor([0, 0, 1, 0, 0])
        scores = finite_scores(V, Q, mask, weighting)
        cosine = F.cosine_similarity(V[0, 0].float(), Q[0, 2].float(), dim=0)
        torch.testing.assert_close(scores[0], 100 * cosine, rtol=1e-4, atol=1e-4)

    def test_huge_values(self, dtype: torch.dtype, weighting: Any) -> None:
        V, Q, mask = self.inputs(dtype)
        finite_scores(V * 1e4, Q * 1e4, mask, weighting)


def test_sparse_weights_drop_what_lies_below_the_uniform_share() -> None:
    weights = patch_weights(torch.tensor([[0.0, 0.1, 0.3, 1.0]]), "minmax_sparse")
    torch.testing.assert_close(weights, torch.tensor([[0.0, 0.0, 0.3, 1.0]]) / 1.3)


def test_length_normalization_forgives_repetition() -> None:
    tokens = V4_TOKENS[:1, 1:2].expand(2, 4, 6)
    patches = V4_PATCHES[:1].expand(2, 4, 6)
    mask = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1]])
    short, long = local_alignment_scores(patches, tokens, mask, 10.0)
    torch.testing.assert_close(long - short, torch.tensor(4.0).double().log())
    short, long = local_alignment_scores(patches, tokens, mask, 10.0, length_normalized=True)
    torch.testing.assert_close(long, short)


def test_autocast_leaves_the_map_alone() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        got = local_alignment_scores(V4_PATCHES.float(), V4_TOKENS.float(), V4_MASK, 10.0)
    expected = local_alignment_scores(V4_PATCHES.float(), V4_TOKENS.float(), V4_MASK, 10.0)
    assert torch.equal(got, expected)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4, 6\), \(2, 5, 6\), \(2, 4\)"):
        local_alignment_scores(V4_PATCHES, V4_TOKENS, V4_MASK[:, :4], 10.0)
    with pytest.raises(ValueError, match="'max'"):
        local_alignment_scores(V4_PATCHES, V4_TOKENS, V4_MASK, 10.0, "max")  # type: ignore[arg-type]
