"""Concept scores: how strongly a picture shows a concept, from their cosine."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Score = Literal["exp", "cosine", "softmax"]
SOFTMAX_TEMPERATURE = 0.01


def activated(cosines: Tensor, score: Score, beta: float) -> Tensor:
    """Return concept scores of cosines (n, I).

    Args:
        cosines: Of unit pictures and unit concepts.
        score: "exp" is exp(-beta (1 - cosine)), in (0, 1]; "cosine"; "softmax" of the cosines at
            temperature 0.01.
        beta: Sharpness of "exp".
    """
    if score == "exp":
        return (beta * (cosines - 1)).exp()
    return (cosines / SOFTMAX_TEMPERATURE).softmax(-1) if score == "softmax" else cosines


def transferred(text_concepts: Tensor, class_text: Tensor, mass: float) -> Tensor:
    """Return (I, D') associations of new classes from texts alone, each column of this mass."""
    shares = (text_concepts @ class_text.T / SOFTMAX_TEMPERATURE).softmax(1)
    return mass * shares / shares.sum(0).clamp_min(torch.finfo(shares.dtype).tiny)
