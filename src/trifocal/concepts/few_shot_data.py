"""A few-shot draw of a data set's pictures, as the data of a recipe.

The draw is CoOp's (Zhou et al., arXiv 2109.01134), as for heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trifocal import config
from trifocal.concepts.datasets.coop import read_dataset
from trifocal.concepts.datasets.dataset import ImageClasses
from trifocal.concepts.datasets.folders import read_folder
from trifocal.concepts.tasks.sampling import sample_few_shot
from trifocal.data.labeled import LabeledPictures
from trifocal.data.section import CroppedSection, drafted


@dataclass(frozen=True, kw_only=True)
class FewShotData(CroppedSection):
    """A few pictures of each class of a data set."""

    samples = "classes"

    source: Literal["few-shot"] = "few-shot"
    path: str  # the folder that holds the data set's, or any folder of class folders
    dataset: str | None = None  # the data set's key, such as "eurosat"; null for class folders
    shots: int = 16  # pictures of each class to train on (all where there are fewer)
    # Draw validation pictures before those to train on, as the authors of CLIP-LoRA do; the same
    # seed then gives other pictures. They are not used.
    val_first: bool = False
    seed: int = 0  # which pictures are drawn
    # Refuse a data set whose pictures are not all there, or leave those out.
    missing: Literal["error", "skip"] = "error"
    # Let JPEG decode at a reduced scale that still covers the model's image size.
    draft: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"shots": 1}, "data")

    def read(self) -> ImageClasses:
        """Return the whole data set that pictures are drawn from, test pictures included.

        Raises:
            UserError: it is not there, or not in its published form.
        """
        if self.dataset is None:
            return read_folder(self.path, most_left_out=self.most_left_out)
        return read_dataset(self.dataset, self.path, missing=self.missing)

    def open(self, image_size: tuple[int, int]) -> LabeledPictures:
        """Draw the pictures; they are opened one by one."""
        dataset = self.read()
        support, _ = sample_few_shot(
            dataset,
            self.shots,
            self.seed,
            order="val-first" if self.val_first else "train-first",
            val_from="train" if self.val_first and not dataset.val else "val",
        )
        labels = [one.label for one in support]
        return LabeledPictures(
            dataset.files(support),
            labels,
            dataset.classnames,
            draft=drafted(self.draft, image_size),
        )
