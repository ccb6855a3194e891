"""The model that a recipe's training starts from. There are three ways to begin:

`model.name`    with a CLIP (whose text tower may be drawn anew: `fresh_text`)
`model.vision`  with a pre-trained image tower, around which a CLIP is built
`model.shape`   with nothing: random weights of a shape

The vocabulary of the last two is CLIP's, a given one, or learned from the data's captions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trifocal.clip import Clip, Tokenizer, build_clip, train_tokenizer
from trifocal.clip.image_tower import load_image_tower
from trifocal.clip.init import renew_text
from trifocal.clip.own_clip import build_around, standardize
from trifocal.clip.shape import CLIP_VOCABULARY
from trifocal.clip.vocabulary import find_tokenizer
from trifocal.data.images import BadImage
from trifocal.data.labeled import ClassSample
from trifocal.data.regions import RegionSample
from trifocal.data.samples import Source
from trifocal.errors import UserError
from trifocal.train.recipe import Recipe
from trifocal.tuning import load_model

_VOCABULARY = 1024  # ids of a tokenizer that is learned from the data
_CAPTIONS_TO_READ = 50_000  # enough for a small vocabulary to settle
_BATCH = 32  # pictures that are embedded together


def build_model(recipe: Recipe) -> Clip:
    """Load or make the model that a recipe starts from.

    Raises:
        UserError: a part of it is not there, or does not fit.
    """
    if recipe.model.vision is not None:
        return _around_tower(recipe)
    if recipe.model.shape is not None:
        return _from_nothing(recipe)
    clip = load_model(recipe.model.name)
    if recipe.model.fresh_text:
        renew_text(clip.network, recipe.seed)
    return clip


def _from_nothing(recipe: Recipe) -> Clip:
    shape = recipe.model.shape
    assert shape is not None
    size = (shape.image_size, shape.image_size)
    tokenizer = _learned(recipe, size, shape.vocab_size or _VOCABULARY, shape.context_length)
    # The recipe bounds the vocabulary; the tower gets as many ids as the data gave.
    fitting = replace(shape, vocab_size=tokenizer.vocab_size)
    return build_clip(fitting, tokenizer, seed=recipe.seed, name=recipe.name)


def _around_tower(recipe: Recipe) -> Clip:
    model = recipe.model
    assert model.vision is not None
    tower = load_image_tower(model.vision, model.pixels)
    length = model.text.context_length
    if model.vocabulary == "data":
        size = tower.preprocess.size
        tokenizer = _learned(recipe, size, model.text.vocab_size, length)
    elif model.vocabulary == "clip":
        tokenizer = _clips_own(tower.folder)
    else:
        tokenizer = Tokenizer.load(Path(model.vocabulary).expanduser())
    clip = build_around(
        tower, model.text, tokenizer, embed_dim=model.embed_dim, seed=recipe.seed, name=recipe.name
    )
    if model.standardize:
        standardize(clip, *_statistics(clip, recipe.data.open(clip.image_size), model.standardize))
    return clip


def _clips_own(folder: Path | None) -> Tokenizer:
    try:
        return find_tokenizer(None, folder, CLIP_VOCABULARY)
    except UserError as error:
        raise UserError(
            f"{error} Or set model.vocabulary to the folder of a model that has one, or to data."
        ) from None


def _learned(
    recipe: Recipe, size: tuple[int, int], vocab_size: int, context_length: int
) -> Tokenizer:
    """Learn a vocabulary from the first captions of a recipe's data."""
    texts = itertools.islice(_captions(recipe.data.open(size)), _CAPTIONS_TO_READ)
    return train_tokenizer(texts, vocab_size, context_length=context_length)


def _captions(source: Source) -> Iterator[str]:
    """Yield one text a sample, wordings drawn as for epoch 0 of seed 0."""
    wording = getattr(source, "caption", None)
    for index in range(len(source)):
        rng = np.random.default_rng((0, 0, index))
        if wording is not None:
            yield wording(index, rng)
            continue
        sample = source.sample(index, rng)
        if isinstance(sample, ClassSample):
            yield sample.classnames[sample.label]
            continue
        regional = isinstance(sample, RegionSample)
        yield f"{sample.clue} {sample.inference}" if regional else sample.caption


@torch.inference_mode()
def _statistics(clip: Clip, source: Source, count: int) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (W,) of the image tower's outputs over pictures of a source.

    They are rounded, to a power of 2^(1/8) and to a 32nd of the deviation: a run that goes on with
    another number of threads, whose sums differ in the last digit, must find the same tower.
    """
    features, pixels = [], []
    for index in np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int):
        try:
            image = source.sample(int(index), np.random.default_rng((0, 0, int(index)))).image
        except BadImage:
            continue
        pixels.append(image if isinstance(image, Tensor) else clip.preprocess(image))
        if len(pixels) == _BATCH:
            features.append(clip.image_features(torch.stack(pixels), projected=False))
            pixels = []
    if pixels:
        features.append(clip.image_features(torch.stack(pixels), projected=False))
    seen = torch.cat(features).double() if features else torch.empty(0)
    if len(seen) < 2:
        raise UserError("model.standardize needs two readable pictures at least.")
    deviation = ((seen.std(0).clamp_min(1e-6).log2() * 8).round() / 8).exp2()
    return (seen.mean(0) / deviation * 32).round() / 32 * deviation, deviation
