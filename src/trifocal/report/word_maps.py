"""Where words look: for each word of a caption, the patches of a picture that show it.

`features.word_maps` says how; `map_quality` and the benchmark `word_maps`, what it is worth for a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trifocal.clip import Clip
from trifocal.features.embed import Picture, load_pixels
from trifocal.features.word_maps import word_similarities
from trifocal.losses.alignment import patch_weights
from trifocal.tuning.embedding import EmbedsAsClip


@dataclass(frozen=True)
class WordMap:
    """A word of a caption and the patches it looks at."""

    word: str  # as it stands in the caption
    weights: np.ndarray  # (rows, columns), sum 1


def word_maps(model: Clip | EmbedsAsClip, picture: Picture, caption: str) -> list[WordMap]:
    """Return the map of every word of a caption, in order, without punctuation.

    For a Clip or a method; the weights are linear above the patch that shows a word least.
    """
    clip = model if isinstance(model, Clip) else model.clip
    words = [bare for word in caption.split() if (bare := word.strip(".,;:!?\"'()"))]
    if not words:
        return []
    found = word_similarities(clip, load_pixels(clip, picture)[None], words)[
        0
    ]  # (L, rows, columns)
    grid = found.shape[1:]
    weights = patch_weights(found.flatten(1)).unflatten(1, grid)
    return [WordMap(word, one.numpy()) for word, one in zip(words, weights, strict=True)]


def maps_of(maps: Sequence[WordMap], words: Sequence[str]) -> list[WordMap]:
    """Return the maps of some words, in the order asked for; absent words are left out."""
    by_word = {entry.word.lower(): entry for entry in reversed(maps)}
    return [by_word[word.lower()] for word in words if word.lower() in by_word]
