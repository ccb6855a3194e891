"""NegBench, retrieval: does a caption that also denies something still find its photo?

Alhamoud et al., CVPR 2025 (arXiv 2501.09425): COCO val2017's photos with their captions, and the same
photos with captions to which a denial was added. What a model loses between the two is the point; the
authors report text to image recall@5.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from trifocal.clip.encoder import Encoder
from trifocal.composition.benchmarks.files import first_there, malformed, read_csv
from trifocal.composition.benchmarks.negbench import SOURCE
from trifocal.composition.benchmarks.photo_places import coco
from trifocal.composition.benchmarks.suite import PhotoFolders
from trifocal.data.written_lists import written_list
from trifocal.evaluate.benchmarks.retrieval import RetrievalItems, score_retrieval
from trifocal.metrics.benchmark import Missing, require
from trifocal.metrics.result import Result
from trifocal.progress import Progress
from trifocal.tally import MOST_LEFT_OUT

_FILES = {
    "plain": "COCO_val_retrieval.csv",
    "negated": "COCO_val_negated_retrieval_llama3.1_rephrased_affneg_true.csv",
}
_WHAT = "a NegBench file of captions"
_PHOTOS = "get COCO's val2017 photos (cocodataset.org, val2017.zip, 1 GB)"


@dataclass
class NegBenchRetrieval:
    """The benchmark over files in their published form.

    Attributes:
        images: Folder of the photos; by default looked for below the root and beside it.
        most_left_out: The largest share of the photos that may turn out broken.
        batch_size: Pictures in one pass.
    """

    images: str | Path | None = None
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 128

    name: ClassVar[str] = "negbench_retrieval"
    source: ClassVar[str] = SOURCE
    version: ClassVar[int] = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: the two files, then photos (one entry with their count)."""
        root = Path(root).expanduser()
        lacking = [entry for entry in self._files(root) if not Path(entry.path).is_file()]
        return lacking or self._absent(self._read(root))

    def items(self, root: str | Path) -> list[RetrievalItems]:
        """Read the plain and the negated captions, each with their photos.

        Raises:
            UserError: Files are missing or not in the benchmark's format.
        """
        root = Path(root).expanduser()
        require([entry for entry in self._files(root) if not Path(entry.path).is_file()], self.name)
        found = self._read(root)
        require(self._absent(found), self.name)
        return found

    def score(
        self, model: Encoder, items: list[RetrievalItems], *, progress: Progress | None = None
    ) -> list[Result]:
        """Return recall@1, 5 and 10 of both directions, of the plain and of the negated captions.

        The tasks are "plain" and "negated"; the authors' number is `image_retrieval_recall@5`.
        """
        rows = []
        for one in items:
            scored = score_retrieval(
                model,
                one,
                batch_size=self.batch_size,
                most_left_out=self.most_left_out,
                progress=progress,
            )
            rows += [replace(row, benchmark=self.name, task=one.dataset) for row in scored]
        return rows

    def _files(self, root: Path) -> list[Missing]:
        names = (
            first_there(root, name, f"images/{name}", f"data/images/{name}")
            for name in _FILES.values()
        )
        return [Missing(str(path), f"get it from {self.source}") for path in names]

    def _read(self, root: Path) -> list[RetrievalItems]:
        photos = PhotoFolders.of(root, self.images, coco("val2017"))
        return [
            _captions(Path(file.path), task, photos)
            for task, file in zip(_FILES, self._files(root), strict=True)
        ]

    @staticmethod
    def _absent(items: list[RetrievalItems]) -> list[Missing]:
        """Return the photos that are not there: a smaller pool would be another, easier test."""
        names = {Path(str(photo)) for one in items for photo in one.images}
        absent = sorted(str(path) for path in names if not os.path.isfile(path))
        return [Missing(absent[0], _PHOTOS, len(absent))] if absent else []


def _captions(path: Path, task: str, photos: PhotoFolders) -> RetrievalItems:
    """Return the photos and captions of one file.

    Raises:
        UserError: It is in another form.
    """
    place: dict[str, int] = {}
    texts: list[str] = []
    owner: list[int] = []
    for number, row in enumerate(read_csv(path, ("filepath", "captions"), _WHAT)):
        try:
            listed = written_list(row["captions"])
        except ValueError:
            listed = None
        if not listed or not all(isinstance(text, str) for text in listed):
            raise malformed(path, number, _WHAT, "captions, a list of texts")
        photo = PurePosixPath(row["filepath"]).name
        own = place.setdefault(photo, len(place))
        texts += listed
        owner += [own] * len(listed)
    if not texts:
        raise malformed(path, 0, _WHAT, "captions, a list of texts")
    return RetrievalItems(task, [photos.find(photo) for photo in place], texts, owner)
