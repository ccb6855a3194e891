"""Which patches a word looks at: the maps behind the local score of FSC-CLIP.

Oh et al., EMNLP 2024 (arXiv 2410.05210), section 3.1: similarities of a token with all patches,
min-max over the patches, made to sum to one. A word of several tokens gets the mean of their maps.
Any CLIP has such maps, trained with a local loss or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.features.embed import Picture, load_pixels
from trifocal.losses.alignment import patch_weights
from trifocal.tuning.embedding import EmbedsAsClip


@dataclass(frozen=True)
class WordMap:
    """A word of a caption and the patches it looks at."""

    word: str  # as it stands in the caption
    weights: np.ndarray  # (rows, columns), sum 1


@torch.no_grad()
def word_maps(model: Clip | EmbedsAsClip, picture: Picture, caption: str) -> list[WordMap]:
    """Return the map of every word of a caption, in order, without punctuation.

    For a Clip or a method; see `losses.alignment.patch_weights` for the weighting.
    """
    clip = model if isinstance(model, Clip) else model.clip
    training = clip.training
    clip.eval()
    image = clip.encode_image(load_pixels(clip, picture)[None], patches=True)
    batch = clip.tokenize([caption])
    text = clip.encode_text(batch, tokens=True)
    clip.train(training)
    assert text.tokens is not None
    assert image.patches is not None
    similarity = text.tokens[0].float() @ image.patches[0].float().T  # (L, P)
    weights = patch_weights(similarity).cpu()
    grid = clip.patch_grid
    kept = int(batch.lengths[0]) - 1  # without end of text, which stands for the whole sentence
    return [
        WordMap(word, _mean(weights, places).reshape(grid).numpy())
        for word, places in _words(caption, clip.tokenizer.pieces(caption)[:kept])
    ]


def _mean(weights: Tensor, places: Sequence[int]) -> Tensor:
    return weights[list(places)].mean(dim=0)


def _words(caption: str, pieces: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Join pieces (the first is start of text) into the caption's words.

    Pieces spell the caption without its spaces, so letters are counted off word by word.
    """
    found: list[tuple[str, list[int]]] = []
    place = 1
    for word in caption.split():
        left, places = len(word), []
        while left > 0 and place < len(pieces):
            if any(letter.isalnum() for letter in pieces[place]):
                places.append(place)
            left -= len(pieces[place])
            place += 1
        bare = word.strip(".,;:!?\"'()")
        if places and bare:
            found.append((bare, places))
    return found


def maps_of(maps: Sequence[WordMap], words: Sequence[str]) -> list[WordMap]:
    """Return the maps of some words, in the order asked for; absent words are left out."""
    by_word = {entry.word.lower(): entry for entry in reversed(maps)}
    return [by_word[word.lower()] for word in words if word.lower() in by_word]
