"""What a model is asked to keep or to take over from another one.

    nearness_loss         embeddings near those that the frozen base gives (DeGLA, ACM MM 2025, and
                          CLIP-Refine, CVPR 2025, both keep a model by such a term)
    teacher_loss          which captions mean the same, as a sentence encoder sees it, as soft targets
                          of pictures among captions and of captions among pictures (the soft targets of
                          Hinton et al. 2015, arXiv 1503.02531)
    class_prompt_loss     the prompt of a class among pictures that stand for classes

All of them are means over the rows of all processes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.losses.distributed import gather_rows, mean_over_ranks
from trifocal.losses.precision import no_autocast, widen


def nearness_loss(embeddings: Tensor, base: Tensor) -> Tensor:
    """Return the mean over rows of half the squared distance: of unit vectors, 1 − cosine.

    Args:
        embeddings: (B, D), trained.
        base: (B, D), what they were; no gradient goes there.
    """
    if embeddings.shape != base.shape:
        raise ValueError(f"embeddings {tuple(embeddings.shape)}, base {tuple(base.shape)}")
    gaps = (widen(embeddings) - widen(base.detach())).square().sum(-1) / 2
    return mean_over_ranks(gaps.sum(), torch.tensor(len(gaps), device=gaps.device))


def teacher_loss(
    image: Tensor, text: Tensor, teacher: Tensor, scale: Tensor | float, sharpness: float
) -> Tensor:
    """Return how far both softmaxes of image-text similarities are from a teacher's of captions.

    With S_ij = s · a_i·b_j and T_ij = β · t_i·t_j over the pairs of all processes,

        L = 1/(2N) Σ_i [ KL(softmax_j T_ij ‖ softmax_j S_ij) + KL(softmax_j T_ij ‖ softmax_j S_ji) ]

    It is 0 where the model tells captions apart exactly as the teacher does, and holds (B, N)
    logits.

    Args:
        image: (B, D) unit vectors.
        text: (B, D) unit vectors of their captions.
        teacher: (B, K) unit vectors of the captions, without gradient.
        scale: Logit scale s.
        sharpness: β, the teacher's own logit scale.

    Raises:
        ValueError: the rows do not belong together.
    """
    if image.shape != text.shape or len(teacher) != len(text):
        shapes = tuple(image.shape), tuple(text.shape), tuple(teacher.shape)
        raise ValueError(f"image, text and teacher do not fit: {shapes}")
    with no_autocast(image):
        a, b, t = widen(image), widen(text), widen(teacher.detach())
        every_a, every_b, every_t = gather_rows(a), gather_rows(b), gather_rows(t)
        if not len(every_a):
            return a.sum() * 0
        target = (sharpness * t @ every_t.T).log_softmax(1)
        by_image, by_text = scale * a @ every_b.T, scale * b @ every_a.T
        gaps = sum(
            F.kl_div(logits.log_softmax(1), target, reduction="sum", log_target=True)
            for logits in (by_image, by_text)
        )
        count = torch.tensor(2 * len(a), device=a.device)
        return mean_over_ranks(torch.as_tensor(gaps), count)


def class_prompt_loss(
    prompts: Tensor, means: Tensor, classes: Tensor, scale: Tensor | float
) -> Tensor:
    """Return the mean cross-entropy of prompts among the pictures that stand for all classes.

    Args:
        prompts: (P, D) unit vectors of "a photo of a ..." texts.
        means: (K, D) unit vectors, one a class.
        classes: (P,) which class each prompt names.
        scale: Logit scale.
    """
    with no_autocast(prompts):
        logits = scale * widen(prompts) @ widen(means).T
        loss = F.cross_entropy(logits, classes, reduction="sum")
        return mean_over_ranks(loss, torch.tensor(len(classes), device=classes.device))
