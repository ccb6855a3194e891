"""Local alignment: how well the words of a caption find their patches in an image.

The local score of FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210). For the patches V (P, D) of
an image and the kept tokens Q (L, D) of a caption, none of them normalized,

    R = Q Vᵀ                       similarity map; no gradient flows through the weights made of it
    A_wp ∝ R_wp − min_p R_wp       weights over the patches for each word w, of sum 1
    v̂_w = normalize(Σ_p A_wp V_p)  what the word looks at
    c_w = v̂_w · normalize(Q_w)
    ℓ = log Σ_w exp(s · c_w)       (a sum: longer captions score higher, unless asked otherwise)

The kept tokens of all captions of one image are packed side by side before any product. So its
patches are read in place instead of copied for each caption, padding costs nothing, and neither
SOT nor padding can receive a gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from trifocal.losses.precision import no_autocast, widen

Weighting = Literal["minmax", "minmax_sparse", "softmax"]
WEIGHTINGS = ("minmax", "minmax_sparse", "softmax")
SHORTEST = 1e-12  # vectors no longer than this have no direction


@torch.no_grad()
def patch_weights(similarity: Tensor, weighting: Weighting = "minmax") -> Tensor:
    """Return for each word its weights over the patches, (..., P), of sum 1, without gradient.

    Args:
        similarity: (..., P) raw dot products of words and patches, float32 or wider.
        weighting: "minmax" gives the lowest patch 0 and is linear above it; "minmax_sparse" then
            drops patches below 1/P of the highest; "softmax" has no temperature.

    Where all patches are alike the weights are uniform.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}, not {weighting!r}")
    if weighting == "softmax":
        return similarity.softmax(dim=-1)
    low, high = similarity.aminmax(dim=-1, keepdim=True)
    span = high - low
    weights = similarity - low
    if weighting == "minmax_sparse":
        weights.masked_fill_(weights < span / similarity.shape[-1], 0.0)
    # A span within rounding carries no information, and would be a division by zero or nearly so.
    noise = 8 * torch.finfo(similarity.dtype).eps * torch.maximum(low.abs(), high.abs())
    flat = span <= noise
    weights.div_(weights.sum(dim=-1, keepdim=True).masked_fill_(flat, 1.0))
    return weights.masked_fill_(flat, 1.0 / similarity.shape[-1])


def word_cosines(patches: Tensor, words: Tensor, weighting: Weighting = "minmax") -> Tensor:
    """Return c (B, L), the cosine of each word with the patches it looks at.

    Args:
        patches: (B, P, D) raw patch embeddings, float32 or wider.
        words: (B, L, D) raw token embeddings of any number of captions of image i.
        weighting: See `patch_weights`.

    A word or a view of length 0 has cosine 0 and no gradient.
    """
    with torch.no_grad():
        weights = patch_weights(torch.bmm(words, patches.mT), weighting)
    views = torch.bmm(weights, patches)
    product = (views * words).sum(dim=-1)
    squares = views.square().sum(dim=-1), words.square().sum(dim=-1)
    usable = torch.minimum(*squares) > SHORTEST**2
    view_length, word_length = (torch.where(usable, square, 1.0).sqrt() for square in squares)
    return torch.where(usable, product / view_length / word_length, 0.0)


def _packing(mask: Tensor, owner: Tensor, images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lay the kept tokens of each image's captions side by side.

    Returns:
        source: (images, S) flat index into the (T·L) tokens; spare places repeat a kept token,
            since a dropped one may hold anything.
        place: (kept,) flat index into (images·S) of each kept token.
        token: (kept,) its flat index into (T·L).
    """
    token = mask.flatten().nonzero().squeeze(1)
    image = owner.repeat_interleave(mask.sum(dim=1), output_size=len(token))
    image, order = image.sort(stable=True)
    token = token[order]
    counts = torch.bincount(image, minlength=images)
    width = int(counts.max()) if images else 0
    starts = counts.cumsum(0) - counts
    place = torch.arange(len(token), device=mask.device) - starts[image] + image * width
    source = token[:1].repeat(images * width).scatter_(0, place, token)
    return source.view(images, width), place, token


def caption_scores(
    patches: Tensor,
    tokens: Tensor,
    mask: Tensor,
    owner: Tensor,
    scale: Tensor | float,
    weighting: Weighting = "minmax",
    *,
    length_normalized: bool = False,
) -> Tensor:
    """Return ℓ of each of N captions with the image it belongs to, (N,), float32 or wider.

    Args:
        patches: (B, P, D) raw patch embeddings.
        tokens: (N, L, D) raw token embeddings; masked ones are never read.
        mask: (N, L), true for the tokens that count.
        owner: (N,) long, index of each caption's image in 0..B-1.
        scale: Logit scale s, a number or a 0-dim tensor (with gradient).
        weighting: See `patch_weights`.
        length_normalized: Subtract log(number of tokens), so that length earns nothing.

    A caption without tokens scores −s, the lowest that one token could, with zero gradient.
    """
    kept = mask.bool()
    with no_autocast(patches):
        source, place, token = _packing(kept, owner, len(patches))
        packed = tokens.flatten(0, 1).index_select(0, source.flatten())
        words = widen(packed).view(*source.shape, tokens.shape[2])
        cosines = word_cosines(widen(patches), words, weighting).flatten()
        scaled = cosines.index_select(0, place) * scale
    none = ~kept.any(dim=1)
    # Places without a token hold −∞, and a caption of nothing else zeros, to keep the slope finite.
    places = scaled.new_full((kept.numel(),), float("-inf")).scatter(0, token, scaled)
    places = places.view_as(kept).masked_fill(none[:, None], 0.0)
    scores = places.logsumexp(dim=1)
    if length_normalized:
        scores = scores - kept.sum(dim=1).clamp_min(1).log()
    lowest = -torch.as_tensor(scale, device=scores.device, dtype=scores.dtype).detach()
    return torch.where(none, lowest, scores)


def local_alignment_scores(
    patches: Tensor,
    tokens: Tensor,
    mask: Tensor,
    scale: Tensor | float,
    weighting: Weighting = "minmax",
    *,
    length_normalized: bool = False,
) -> Tensor:
    """Return the local alignment score ℓ of B (image, caption) pairs, (B,), float32 or wider.

    Args:
        patches: (B, P, D) raw patch embeddings of each image.
        tokens: (B, T, D) raw token embeddings of each caption.
        mask: (B, T), true for the tokens that count; what stands in the others is never read.
        scale: Logit scale s, a number or a 0-dim tensor (with gradient).
        weighting: How a word spreads its attention over the patches, see `patch_weights`.
        length_normalized: Subtract log(number of tokens), so that length earns nothing.

    A caption without tokens scores −s with zero gradient.

    Raises:
        ValueError: for an unknown weighting or shapes that do not fit.

    Source:
        FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210), local hard-negative loss.
    """
    if (
        patches.ndim != 3
        or tokens.shape[::2] != patches.shape[::2]
        or mask.shape != tokens.shape[:2]
    ):
        raise ValueError(
            "patches (B, P, D), tokens (B, T, D) and mask (B, T) do not fit: "
            f"{tuple(patches.shape)}, {tuple(tokens.shape)}, {tuple(mask.shape)}"
        )
    owner = torch.arange(len(patches), device=patches.device)
    return caption_scores(
        patches, tokens, mask, owner, scale, weighting, length_normalized=length_normalized
    )
