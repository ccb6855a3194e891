"""What every source's `data` section of a recipe has: a frozen dataclass that opens the source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trifocal import config
from trifocal.data.batching import CenterCrop, RandomCrop, Transform
from trifocal.data.samples import Samples, Source
from trifocal.errors import UserError
from trifocal.tally import MOST_LEFT_OUT, Tally

if TYPE_CHECKING:
    from trifocal.clip.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class DataSection(ABC):
    """Where samples come from; it stands beside its source, with the fields of that source alone.

    Attributes:
        samples: What the samples are.
        source: The kind of source.
        bad_image_share: The run fails when more than this share of the pictures is unreadable.
        most_left_out: Nor does it begin when more than this share of a source's entries cannot be
            used, such as rows without a caption.
        remember: Whether the trained model keeps hashes of the picture files, so that a test on
            any of them says so. They are read once more for it, before the first step.
    """

    samples: ClassVar[Samples]

    source: str
    bad_image_share: float = 0.05
    most_left_out: float = MOST_LEFT_OUT
    remember: bool = True

    def __post_init__(self) -> None:
        config.at_least(self, {"bad_image_share": 0, "most_left_out": 0}, "data")

    def tally(self, source: str) -> Tally:
        """Return an empty account of what is read of a source."""
        remedy = "mend them, or allow for more with data.most_left_out"
        return Tally(source, self.most_left_out, remedy)

    @abstractmethod
    def open(self, image_size: tuple[int, int]) -> Source:
        """Open the source.

        Args:
            image_size: Height and width that the model wants.

        Raises:
            UserError: files are missing, or not in the form that the section says.
        """


@dataclass(frozen=True, kw_only=True)
class CroppedSection(DataSection):
    """A section of whole pictures, which are cropped for training.

    Attributes:
        crop: Bounds of the random crop's share of the image's area; null for a centered crop.
    """

    crop: tuple[float, float] | None = (0.9, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop is not None and not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise UserError(
                f"data.crop is {list(self.crop)}; give two shares with 0 < first <= second <= 1."
            )

    def transform(self, preprocess: Preprocess) -> Transform:
        """Return what makes a model's input of a picture."""
        return RandomCrop(preprocess, self.crop) if self.crop else CenterCrop(preprocess)


@dataclass(frozen=True, kw_only=True)
class CaptionedSection(CroppedSection):
    """A section of captioned pictures.

    Attributes:
        mirror: Whether half of the pictures, drawn anew each time, are mirrored. Captions that say
            left or right become wrong by it. (Pictures of classes are mirrored by method.flip.)
    """

    samples = "captions"

    mirror: bool = False


def drafted(draft: bool, image_size: tuple[int, int]) -> int | None:
    """Return how many pixels a JPEG must still cover that is decoded at a reduced scale."""
    return max(image_size) if draft else None
