"""Where words look: for each word of a caption, the patches of a picture that show it.

A word is embedded by itself ("a cup"), patches by `clip.dense`, without training. What all words find in
a patch is taken away: the mean over the words of the caption and a few everyday ones. `map_quality`
says what that is worth for a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.clip.dense import dense_features
from trifocal.features.embed import Picture, load_pixels
from trifocal.losses.alignment import patch_weights
from trifocal.tuning.embedding import EmbedsAsClip

# What other words find in a patch is noise to one.
EVERYDAY = (
    "ball", "box", "star", "house", "tree", "car", "boat", "fish", "cup", "flower", "umbrella", "hat",
    "flag", "person", "dog", "cat", "bird", "horse", "bicycle", "train", "chair", "table", "bed",
    "window", "wall", "street", "grass", "water", "sky", "snow", "sand", "food", "bottle", "book",
)  # fmt: skip


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


@torch.no_grad()
def word_similarities(clip: Clip, pixels: Tensor, words: Sequence[str]) -> Tensor:
    """Return (B, L, rows, columns), float32 on the CPU: how much more patches show L words than others.

    Args:
        clip: The model, as `Clip.encode_image` takes the pixels (B, 3, H, W).
        pixels: Pictures.
        words: What to look for.
    """
    training = clip.training
    clip.eval()
    patches = dense_features(clip, pixels).cpu()
    texts = [_prompt(word) for word in words]
    every = list(dict.fromkeys([*texts, *map(_prompt, EVERYDAY)]))
    known = clip.encode_text(every).pooled.float().cpu()
    clip.train(training)
    found = torch.einsum("brcd,ld->blrc", patches, known)
    return found[:, [every.index(text) for text in texts]] - found.mean(1, keepdim=True)


def _prompt(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word.lower()}"


def maps_of(maps: Sequence[WordMap], words: Sequence[str]) -> list[WordMap]:
    """Return the maps of some words, in the order asked for; absent words are left out."""
    by_word = {entry.word.lower(): entry for entry in reversed(maps)}
    return [by_word[word.lower()] for word in words if word.lower() in by_word]
