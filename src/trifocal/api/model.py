"""`load`: a model that takes what people pass, and gives one matrix.

>>> import trifocal
>>> model = trifocal.load("builtin")
>>> model.encode_images(["new.jpg", "photos/red/0.jpg"]).shape
torch.Size([2, 128])
>>> model.encode_text("a red ball").shape
torch.Size([128])
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import encode
from trifocal.data import given as pictures
from trifocal.data.given import Pictures
from trifocal.devices import usable_device
from trifocal.errors import UserError
from trifocal.features.reading import embed_ahead
from trifocal.progress import Progress, Quiet
from trifocal.tuning import load_model

if TYPE_CHECKING:
    from trifocal.clip import Clip

LONG_WORK = 256  # pictures or texts from which on a bar is drawn


class Model:
    """A CLIP that is ready to be asked; see `load`.

    One picture or text gives a vector (D,), several give a matrix (N, D): float32, on the CPU, of
    unit length, so that a matrix product is a table of cosines.

    Attributes:
        clip: The model underneath: towers, patches and tokens, preprocessing, tokenizer.

    Example:
        >>> import trifocal
        >>> model = trifocal.load("builtin")
        >>> cosines = model.encode_image("new.jpg") @ model.encode_texts(["a dog", "a cat"]).T
        >>> cosines.shape
        torch.Size([2])
    """

    clip: Clip

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def __repr__(self) -> str:
        return f"Model({self.name!r}, dimensions={self.embed_dim}, device={str(self.device)!r})"

    @property
    def name(self) -> str:
        """What it was loaded by."""
        return self.clip.name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.clip.device

    @property
    def embed_dim(self) -> int:
        """D, how many numbers a vector has."""
        return self.clip.embed_dim

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels of what the image tower sees."""
        return self.clip.image_size

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by before a softmax."""
        return float(self.clip.logit_scale.detach())

    def encode_images(
        self,
        images: Pictures,
        *,
        normalize: bool = True,
        urls: bool = False,
        batch_size: int = 64,
        threads: int = 4,
        progress: bool | Progress | None = None,
    ) -> Tensor:
        """Return vectors of pictures: (D,) of one, (N, D) of several; float32 on the CPU.

        Args:
            images: One picture or several of them: paths, the content of files (bytes), PIL images,
                arrays (H, W, 3) or (H, W), tensors (3, H, W); of arrays and tensors also a batch
                with a first dimension more. uint8, or floats in [0, 1]. Any size: they are resized
                and normalized here.
            normalize: Give vectors of length 1.
            urls: Fetch pictures whose path begins with http:// or https://.
            batch_size: Most pictures in one pass.
            threads: How many pictures are opened at a time.
            progress: True and False draw a bar or none; None draws one on a terminal, where there
                are many; or an object that is told.

        Raises:
            TypeError: something is no picture; the message names it by its place.
            UserError: a picture cannot be read, or the model has normalized vectors only.

        Example:
            >>> import numpy as np, trifocal
            >>> model = trifocal.load("builtin")
            >>> model.encode_image(np.zeros((48, 64, 3), np.uint8)).shape
            torch.Size([128])
        """
        items, alone = pictures.listed(images)
        pictures.check_addresses(items, urls)
        self._check_raw("image_features", normalize)
        if not items:
            return torch.empty(0, self.embed_dim)

        def show(place: int) -> list[Tensor]:
            image = pictures.open_picture(items[place], f"picture {place}")
            return [self.clip.preprocess(image)[None]]

        with _watched(progress, len(items)) as told:
            told.start("pictures", len(items))
            found, _ = embed_ahead(
                self.clip,
                range(len(items)),
                show,
                embed=encode.image_features,
                batch_size=batch_size,
                threads=threads if len(items) > 1 else 0,
                pictures=1,
                progress=told,
            )
        found = F.normalize(found, dim=-1) if normalize else found
        return found[0] if alone else found

    def encode_texts(
        self,
        texts: str | Iterable[str],
        *,
        normalize: bool = True,
        batch_size: int = 256,
        progress: bool | Progress | None = None,
    ) -> Tensor:
        """Return vectors of texts: (D,) of one, (N, D) of several; float32 on the CPU.

        Args:
            texts: One text or several. What is longer than the model reads is cut.
            normalize: Give vectors of length 1.
            batch_size: Most texts in one pass.
            progress: As for `encode_images`.

        Raises:
            TypeError: something is no text; the message names it by its place.
            UserError: the model has normalized vectors only.

        Example:
            >>> import trifocal
            >>> trifocal.load("builtin").encode_texts(["a red ball", "a blue box"]).shape
            torch.Size([2, 128])
        """
        items, alone = pictures.sentences(texts)
        self._check_raw("text_features", normalize)
        if not items:
            return torch.empty(0, self.embed_dim)
        with _watched(progress, len(items)) as told:
            if normalize:
                found = encode.encode_texts(self.clip, items, batch_size=batch_size, progress=told)
            else:
                found = encode.text_features(self.clip, items, batch_size=batch_size)
        found = pictures.as_float(found)
        return found[0] if alone else found

    encode_image = encode_images
    encode_text = encode_texts

    def similarity(self, images: Pictures, texts: str | Iterable[str], **options: Any) -> Tensor:
        """Return cosines of pictures with texts, (N, T).

        Args:
            images: One picture (N is 1) or several, as for `encode_images`.
            texts: One text (T is 1) or several.
            options: Those of `encode_images`, without `normalize`.

        Raises:
            TypeError, UserError: as `encode_images` and `encode_texts`.

        Example:
            >>> import trifocal
            >>> trifocal.load("builtin").similarity("new.jpg", ["a red box", "a dog"]).shape
            torch.Size([1, 2])
        """
        seen = self.encode_images(images, **options)
        read = self.encode_texts(texts)
        return torch.atleast_2d(seen) @ torch.atleast_2d(read).T

    def fingerprint(self) -> str:
        """Return a SHA-256 of all that decides a vector: weights, activation, preprocessing."""
        return self.clip.fingerprint()

    def _check_raw(self, member: str, normalize: bool) -> None:
        if not normalize and getattr(self.clip, member, None) is None:
            raise UserError(
                f"{self.name} gives normalized vectors only; leave out normalize=False."
            )


def load(
    name: str | os.PathLike[str] | Model | Clip = "builtin",
    device: str = "auto",
    *,
    base: Clip | str | None = None,
    force: bool = False,
    activation: str | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
) -> Model:
    """Load a model that takes pictures and texts as they come.

    Args:
        name: A run folder or an adaptation of trifocal's; a Hub id (`openai/clip-vit-base-patch32`);
            an architecture and a published tag (`ViT-B-32:openai`); a folder of transformers or
            open_clip; a `.pt` or `.safetensors` file of open_clip; `open_clip:RN50:openai` for a
            model of open_clip's own; or `builtin`, the tiny CLIP of drawings that comes with the
            package. Also a model that is loaded already, which stays where it is.
        device: "cpu", "cuda", "cuda:1", "mps"; "auto" takes a GPU where there is one.
        base: The model that an adaptation belongs to, where its recorded name cannot be found.
        force: Take a base with other weights than the recorded ones.
        activation: "quickgelu" or "gelu", for a file of weights that does not say.
        tokenizer: A tokenizer's folder or file, for a file of weights without one.

    Returns:
        A `Model`.

    Raises:
        UserError: there is no such model, something that cannot be guessed is missing, or the device
            cannot be used.

    Example:
        >>> import trifocal
        >>> trifocal.load("builtin", device="cpu")
        Model('builtin', dimensions=128, device='cpu')
    """
    if isinstance(name, Model):
        return name
    if not isinstance(name, str | os.PathLike):
        if not isinstance(name, torch.nn.Module):
            raise TypeError(
                f"a model is a name, a path or a Clip, not of type {type(name).__name__}."
            )
        return Model(name)
    with usable_device(device) as found:
        clip = load_model(
            name, base=base, force=force, device=found, activation=activation, tokenizer=tokenizer
        )
    return Model(clip.eval())


def encoder_of(model: str | os.PathLike[str] | Model | Clip, device: str = "auto") -> Clip:
    """Return what embeds under anything that `load` takes."""
    return load(model, device).clip


@lru_cache(maxsize=1)
def kept(name: str, device: str = "auto") -> Model:
    """Return a model by its name, the same one again: estimators are fitted many times over."""
    return load(name, device)


@contextmanager
def _watched(progress: bool | Progress | None, count: int) -> Iterator[Progress]:
    """Yield what is told of a job of `count` steps."""
    if progress is False or (progress is None and count < LONG_WORK):
        yield Quiet()
    elif progress is None or progress is True:
        from trifocal.bars import ProgressBars

        with ProgressBars() as bars:
            yield bars
    else:
        yield progress
