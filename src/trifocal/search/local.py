"""A second look at the first hits: whether each word of the question finds its place in the picture.

The local score of FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210; `losses/alignment.py`) compares
words with patches, which one pooled vector cannot. It is for a model that was tuned with that loss; a
plain CLIP's patches were never trained to match words, and alone they would order hits far worse than
the pooled vectors do. So the local score counts beside the cosine (benchmarks/search_quality.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.data.images import BadImage, open_image
from trifocal.data.picture_lists import ListedPicture
from trifocal.errors import UserError
from trifocal.features.reading import read_ahead
from trifocal.losses.alignment import local_alignment_scores

WEIGHT = 0.1
"""What the local score counts in a rank beside the whole picture's cosine; chosen on Flickr8k's dev
photos, where more of it costs a plain CLIP hits."""


@torch.no_grad()
def local_scores(
    clip: Clip,
    pictures: Sequence[ListedPicture],
    text: str,
    *,
    batch_size: int = 32,
    threads: int = 4,
) -> Tensor:
    """Return (n,) mean cosine of the text's words with where they look; -inf for a lost picture.

    Args:
        clip: The model; it must have patches.
        pictures: The hits.
        text: The question.
        batch_size: Pictures in one pass.
        threads: How many are opened at a time.

    Raises:
        UserError: the model has pooled features only.
    """
    check_patches(clip)
    scale = clip.logit_scale.item()
    texts = clip.encode_text(clip.tokenize([text]), tokens=True)
    assert texts.tokens is not None
    assert texts.mask is not None
    scores: list[Tensor] = []
    for start in range(0, len(pictures), batch_size):
        some = pictures[start : start + batch_size]
        shown = list(read_ahead(some, lambda one: pixels_of(clip, one), threads, batch_size))
        good = [one for one in shown if one is not None]
        made = torch.full((len(some),), -torch.inf)
        if good:
            patches = clip.encode_image(torch.stack(good), patches=True).patches
            assert patches is not None
            count = len(good)
            local = local_alignment_scores(
                patches,
                texts.tokens.expand(count, -1, -1),
                texts.mask.expand(count, -1),
                scale,
                length_normalized=True,
            )
            there = torch.tensor([one is not None for one in shown])
            made[there] = local.float().cpu() / scale
        scores.append(made)
    return torch.cat(scores) if scores else torch.empty(0)


def check_patches(model: object) -> None:
    """Refuse a model that has no patches to look at.

    Raises:
        UserError: it has none.
    """
    if not hasattr(model, "patch_grid") or not hasattr(model, "network"):
        raise UserError(
            f"{getattr(model, 'name', 'the model')} offers pooled features only, so nothing in a "
            "picture can be looked at; leave out what re-ranks or finds boxes."
        )


def pixels_of(clip: Clip, one: ListedPicture) -> Tensor | None:
    """Return a picture's pixels, or None where it cannot be read any more."""
    try:
        return clip.preprocess(open_image(one.content(), name=one.name))
    except (BadImage, OSError):
        return None
