"""What any text says of a picture: the ground that a good answer must stand out from.

A cosine of 0.3 is a hit for one picture and nothing for the next, as some pictures lie near every
text. So a question is compared with what a background of texts says of the same picture,

    z = (cos(q, v) − mean_b cos(b, v)) / deviation_b cos(b, v),

which mean m and covariance C of the background's embeddings give without looking at its texts:
z = (q − m)·v / √(vᵀ C v). The background is the shipped list of attributes and parts
(`concepts/concepts.txt`), which names no things.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.concepts.vocabulary import SHIPPED, load_vocabulary
from trifocal.features.embed import encode_texts
from trifocal.progress import Progress

CUT = 3.8
"""Below so many deviations nothing is found: a tenth of false alarms on Flickr8k's dev photos, chosen
there with a small CLIP; `benchmarks/search_cut.py` measures it."""


@dataclass(frozen=True)
class Background:
    """Moments of the embeddings of a background of texts.

    Attributes:
        mean: (D,) float32.
        covariance: (D, D) float32.
    """

    mean: Tensor
    covariance: Tensor

    def deviations(self, query: Tensor, rows: Tensor) -> Tensor:
        """Return (n,) z of a question (D,) for pictures (n, D), both unit."""
        spread = ((rows @ self.covariance) * rows).sum(dim=1).clamp_min(1e-12).sqrt()
        return rows @ (query - self.mean) / spread


def embed_background(model: Encoder, *, progress: Progress | None = None) -> Background:
    """Embed the shipped background with a model."""
    names = load_vocabulary(SHIPPED).names
    return Background(*moments(encode_texts(model, list(names), progress=progress)))


def moments(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (D,) and covariance (D, D), float32, of rows (N, D) of any float type."""
    width = vectors.shape[1]
    total, squares = torch.zeros(width), torch.zeros(width, width)
    for part in vectors.split(65_536):
        whole = part.float()
        total += whole.sum(dim=0)
        squares += whole.T @ whole
    mean = total / len(vectors)
    return mean, squares / len(vectors) - mean.outer(mean)
