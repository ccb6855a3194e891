"""What training draws from: a source, and the captioned picture that many of them yield.

A source is anything with `__len__` and `sample(index, rng)`. The generator it is handed is made
from (seed, epoch, index), so that what is drawn never depends on workers or processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor

    from trifocal.clip.embeddings import ImageEmbedding
    from trifocal.data.file_part import FilePart

Samples = Literal["captions", "regions", "classes"]  # what a source has, and a method learns from


@dataclass
class Sample:
    """One picture with the caption drawn for it.

    Attributes:
        id: Names the sample in logs and error messages.
        image: A PIL image, still to be cropped, a ready uint8 tensor (3, H, W), or what a frozen
            tower made of it, an embedding of one row.
        caption: The sentence that goes with it.
        negatives: Hard negatives written ahead for this caption, if its table has any.
    """

    id: str
    image: Image.Image | Tensor | ImageEmbedding
    caption: str
    negatives: tuple[str, ...] = ()


class Source(Protocol):
    """A map-style collection of samples: captioned pictures, regions, or pictures with classes."""

    def __len__(self) -> int: ...

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        """Draw sample `index`; raises `trifocal.data.images.BadImage` for an unreadable one."""
        ...


class PictureSource(Source, Protocol):
    """A source that tells its samples apart from their pictures.

    So a picture that a frozen tower has seen need not be opened again.
    """

    def sample(
        self, index: int, rng: np.random.Generator, image: ImageEmbedding | None = None
    ) -> Any:
        """Draw sample `index`; `image` stands for its picture, which is then not opened."""
        ...

    def picture(self, index: int) -> Image.Image | Tensor:
        """Open the picture of sample `index`; raises `BadImage` for an unreadable one."""
        ...

    def picture_key(self, index: int) -> bytes:
        """Return what the picture of sample `index` is known by on disk; see `picture_keys.py`."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """A source whose pictures lie in files, so that a model can remember them by their content."""

    def __len__(self) -> int: ...

    def file_part(self, index: int) -> FilePart | None:
        """Return where the picture of sample `index` lies; None for one that is in memory."""
        ...


@dataclass(frozen=True)
class Skipped:
    """A sample that could not be read, and why."""

    id: str
    reason: str
