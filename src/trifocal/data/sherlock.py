"""Regions in Sherlock's layout (Hessel et al., ECCV 2022), as a recipe's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trifocal.data.box_formats import BoxFormat
from trifocal.data.regions import RegionDataset
from trifocal.data.section import DataSection, drafted
from trifocal.data.sherlock_files import ImageRoots, read_instances


@dataclass(frozen=True, kw_only=True)
class SherlockData(DataSection):
    """A file in Sherlock's layout, with the folders of its pictures.

    Attributes:
        path: The annotation file.
        images: The folder that image paths start from (by default the file's own folder).
        vg, vcr: The folders of Visual Genome's and of VCR's pictures.
        missing: Refuse a file whose pictures are not all there, or leave those out.
        box_format: What the boxes' four numbers are, where the file does not say so itself.
        draft: Let JPEG decode at a reduced scale that still covers the model's image size.
    """

    samples = "regions"

    source: Literal["sherlock"] = "sherlock"
    path: str
    images: str | None = None
    vg: str | None = None
    vcr: str | None = None
    missing: Literal["error", "skip"] = "error"
    box_format: BoxFormat | None = None
    draft: bool = False

    def open(self, image_size: tuple[int, int]) -> RegionDataset:
        """Read the file; pictures are opened one by one."""
        roots = ImageRoots(self.vg, self.vcr, self.images or Path(self.path).parent)
        missing = "drop" if self.missing == "skip" else "error"
        instances = read_instances(
            self.path,
            roots=roots,
            missing=missing,
            box_format=self.box_format,
            tally=self.tally(self.path),
        )
        return RegionDataset(
            [each.item for each in instances], draft=drafted(self.draft, image_size)
        )
