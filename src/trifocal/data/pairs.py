"""Pictures with their captions, as somebody's own program has them: a list, or a torch Dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trifocal.data.file_part import FilePart
from trifocal.data.given import open_picture, sentences
from trifocal.data.images import BadImage
from trifocal.data.samples import Sample, Source
from trifocal.data.section import CaptionedSection
from trifocal.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_IMAGES = ("image", "picture", "img", "jpg", "png")
_TEXTS = ("caption", "captions", "text", "texts", "txt", "sentences")


class Pairs:
    """A source of captioned pictures over anything with `len` and items.

    Args:
        data: Its items are pairs (picture, text or texts), or tables such as {"image": ...,
            "caption": ...}. Pictures are whatever `trifocal.load(...).encode_image` takes.

    Raises:
        TypeError: it has no length, or its first item is no such pair.
        UserError: it is empty.
    """

    def __init__(self, data: Any) -> None:
        if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
            raise TypeError(
                f"data is of type {type(data).__name__}; give a list of pairs (picture, text), or a "
                "Dataset with a length: an iterable one as list(data)."
            )
        if not len(data):
            raise UserError("data is empty; give pairs of a picture and a text.")
        self.data = data
        self._pair(0)

    def __len__(self) -> int:
        return len(self.data)

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """Return the caption that `sample` would draw, without opening the picture."""
        return self._drawn(self._pair(index)[1], index, rng)

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Open the picture of pair `index`, with one of its texts.

        Raises:
            BadImage: it cannot be read, or has no text.
        """
        picture, texts = self._pair(index)
        return Sample(
            _name(picture, index), self._opened(picture, index), self._drawn(texts, index, rng)
        )

    def file_part(self, index: int) -> FilePart | None:
        """Return where the picture of pair `index` lies; None for one that is in memory."""
        if not isinstance(self.data, list | tuple):
            return None  # asking a Dataset would open the picture
        picture = self._pair(index)[0]
        return FilePart(os.fspath(picture)) if isinstance(picture, str | os.PathLike) else None

    def _opened(self, picture: Any, index: int) -> Image.Image:
        try:
            return open_picture(picture, f"the picture of pair {index}")
        except UserError as error:
            raise BadImage(_name(picture, index), str(error)) from error

    def _drawn(self, texts: tuple[str, ...], index: int, rng: np.random.Generator) -> str:
        if not texts:
            raise BadImage(f"pair {index}", "it has no text")
        return texts[int(rng.integers(len(texts)))]

    def _pair(self, index: int) -> tuple[Any, tuple[str, ...]]:
        item = self.data[index]
        if isinstance(item, Mapping):
            picture, text = (_one_of(item, names, index) for names in (_IMAGES, _TEXTS))
        elif isinstance(item, Sequence) and not isinstance(item, str | bytes) and len(item) == 2:
            picture, text = item
        else:
            raise TypeError(
                f"item {index} of data is of type {type(item).__name__}; give a pair (picture, text)."
            )
        try:
            return picture, tuple(sentences(text)[0])
        except TypeError as error:
            raise TypeError(f"item {index} of data: {error}") from None


def _one_of(item: Mapping[str, Any], names: Sequence[str], index: int) -> Any:
    for name in names:
        if name in item:
            return item[name]
    raise TypeError(
        f"item {index} of data has the keys {', '.join(map(str, item))}, and none of "
        f"{', '.join(names)}; give a pair (picture, text)."
    )


def _name(picture: Any, index: int) -> str:
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"pair {index}"


@dataclass(frozen=True, kw_only=True)
class PairData(CaptionedSection):
    """Pairs that a program hands to `trifocal.train`, as a recipe's data; a file cannot hold them.

    Attributes:
        count: How many pairs they were.
    """

    source: Literal["pairs"] = "pairs"
    count: int = 0

    def open(self, image_size: tuple[int, int]) -> Source:
        """Return the pairs.

        Raises:
            UserError: the recipe was read from a file.
        """
        raise UserError(
            "data.source is pairs, which a program hands over: trifocal.train(recipe, data=pairs)."
        )
