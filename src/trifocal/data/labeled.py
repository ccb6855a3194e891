"""Pictures with classes, as training draws them: the sample, and a source made of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trifocal.data.file_part import FilePart
from trifocal.data.images import open_image
from trifocal.data.picture_keys import drafted_part, picture_key

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor

    from trifocal.clip.embeddings import ImageEmbedding


@dataclass
class ClassSample:
    """One picture, and the classes that it is one of.

    Attributes:
        id: Names the sample in logs and error messages.
        image: A PIL image, still to be cropped, a ready uint8 tensor (3, H, W), or what a frozen
            tower made of it, an embedding of one row.
        label: The number of its class.
        classnames: The names of all classes, the same for all samples of a source.
    """

    id: str
    image: Image.Image | Tensor | ImageEmbedding
    label: int
    classnames: tuple[str, ...]


class LabeledPictures:
    """Files with classes as a source for training.

    Args:
        files: N pictures.
        labels: N numbers of classes.
        classnames: D names.
        draft: Let JPEGs be decoded at a reduced scale that still covers this many pixels.
    """

    def __init__(
        self,
        files: Sequence[Path],
        labels: Sequence[int],
        classnames: Sequence[str],
        *,
        draft: int | None = None,
    ) -> None:
        self.files, self.labels, self.classnames = files, labels, tuple(classnames)
        self.draft = draft

    def __len__(self) -> int:
        return len(self.files)

    def sample(
        self, index: int, rng: np.random.Generator, image: ImageEmbedding | None = None
    ) -> ClassSample:
        """Open picture `index`, or take `image` for it.

        Raises:
            BadImage: it cannot be read.
        """
        shown = self.picture(index) if image is None else image
        return ClassSample(str(self.files[index]), shown, self.labels[index], self.classnames)

    def picture(self, index: int) -> Image.Image:
        """Open picture `index`.

        Raises:
            BadImage: it cannot be read.
        """
        return open_image(self.files[index], draft=self.draft)

    def picture_key(self, index: int) -> bytes:
        """Return what picture `index` is known by on disk."""
        return picture_key(self.files[index], drafted_part(self.draft))

    def file_part(self, index: int) -> FilePart:
        """Return where picture `index` lies."""
        return FilePart(str(self.files[index]))
