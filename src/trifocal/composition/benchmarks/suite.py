"""What the benchmarks of composition share: a file of questions, photos somewhere, and a rule.

A benchmark says where its files are (`files`), reads them into questions (`read`) and says which
rule scores them and what means are reported (`rows`). Photos are looked for, a part of the data may
be asked for, and what is missing, broken or cut is counted here, alike for all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from trifocal.clip.encoder import Encoder
from trifocal.errors import UserError
from trifocal.features.identity import Picture, file_of, picture_name
from trifocal.features.questions import Question, Scored, score_questions
from trifocal.metrics.benchmark import Missing, Sheet, digest_of, require
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.tally import MOST_LEFT_OUT

_MOST_SHOWN = 64  # scores of a question that are kept beside results


@dataclass(frozen=True)
class Questions:
    """The questions that are asked, and how many there are in the files."""

    items: Sequence[Question]
    of: int  # questions of the benchmark
    absent: int = 0  # questions left out because a picture of theirs is not there
    limited: bool = False  # whether only the first so many were asked for
    form: str = ""  # what a protocol says of the form that the data are in

    def __len__(self) -> int:
        return len(self.items)


@dataclass
class Suite:
    """A benchmark of questions; the base of those in this folder.

    Attributes:
        images: Folder of the photos, or of the folders of photos; by default those of the usual
            names below the root and beside it.
        available_only: Score the questions whose pictures are there instead of requiring all of them.
            The row says how many there were.
        limit: Ask only the first so many questions of each part; the row says so.
        official: Add rows under the authors' own rule for ties, where it differs.
        most_left_out: The largest share of the pictures that may turn out broken.
        batch_size: Pictures in one pass.
    """

    images: str | Path | None = None
    available_only: bool = False
    limit: int | None = None
    official: bool = False
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 128

    name: ClassVar[str]
    source: ClassVar[str]  # where the data come from, and their licence
    version: ClassVar[int] = 1
    protocol: ClassVar[str]  # how it is measured, in words
    headline: ClassVar[tuple[str, str]]  # task and metric of the row that stands for all of it
    photos_from: ClassVar[str]  # where the pictures are to be had, as a sentence
    true_texts: ClassVar[int] = (
        1  # how many of the first texts of a question are true of its picture
    )
    between_texts: ClassVar[bool] = False  # whether texts are compared with each other
    pooled: ClassVar[bool] = False  # whether there is retrieval among all of them, too

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be 1 or more, not {self.limit}")

    # --- what a benchmark says of itself ------------------------------------------------------

    def files(self, root: Path) -> list[Missing]:
        """Return the annotation files it needs, there or not, with where each is to be had."""
        raise NotImplementedError

    def read(self, root: Path) -> list[Question]:
        """Return all its questions, in the order of the files, whether pictures are there or not.

        Raises:
            UserError: A file is not in the benchmark's format.
        """
        raise NotImplementedError

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the rows of scored questions."""
        raise NotImplementedError

    def form(self, root: Path) -> str:
        """Return what a protocol says of the form that the data are in; "" if there is only one."""
        return ""

    # --- what is alike for all ----------------------------------------------------------------

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: annotation files, then pictures (one entry with their count)."""
        root = Path(root).expanduser()
        lacking = [entry for entry in self.files(root) if not Path(entry.path).exists()]
        return lacking or self._absent(self.read(root), _Present())

    def items(self, root: str | Path) -> Questions:
        """Read the questions.

        Raises:
            UserError: Files are missing, not in the benchmark's format or without a question, or of
                the questions that are asked none has its pictures.
        """
        root = Path(root).expanduser()
        files = self.files(root)
        require([entry for entry in files if not Path(entry.path).exists()], self.name)
        every = self.read(root)
        if not every:
            raise UserError(f"{self.name} cannot run; {_no_question(files)}")
        there = _Present()
        require(self._absent(every, there), self.name)
        asked = every if self.limit is None else _first_of_each(every, self.limit)
        found = [one for one in asked if all(map(there, one.images))]
        if not found:
            raise UserError(
                f"{self.name} cannot run; of the first {self.limit} questions of each part none has "
                "its pictures; ask for more (limit), or get the pictures."
            )
        absent = len(asked) - len(found)
        limited = len(asked) < len(every)
        return Questions(found, len(every), absent, limited, self.form(root))

    def score(
        self, model: Encoder, items: Questions, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return the rows of a Clip or a method."""
        protocol = self.protocol + (items.form and f"; {items.form}")
        if items.limited:
            protocol += f"; the first {self.limit} of each part"
        if items.absent:
            asked = len(items) + items.absent
            protocol += f"; {len(items)} of {asked} items, whose pictures are present"
        sheet = Sheet(self.name, model_name(model), protocol, version=self.version)
        scored = score_questions(
            model,
            items.items,
            name=self.name,
            most_left_out=self.most_left_out,
            batch_size=self.batch_size,
            between_texts=self.between_texts,
            pooled=self.pooled,
            progress=progress,
        )
        sheet.protocol += scored.note
        sheet.account = scored.account
        sheet.asked = asked_about(scored.questions)
        # Sets of hundreds of pictures (COLA's) are nothing to look at.
        sheet.scores = scored.scores if scored.scores[:1].numel() <= _MOST_SHOWN else None
        self.rows(sheet, scored)
        return sheet.done()

    def _absent(self, questions: Sequence[Question], there: _Present) -> list[Missing]:
        """Return the pictures that are not there, if that is too many to run."""
        files = dict.fromkeys(file_of(one) for each in questions for one in each.images)
        absent = sorted(str(file) for file in files if file is not None and not there(file))
        if not absent:
            return []
        if self.available_only and any(all(map(there, one.images)) for one in questions):
            return []
        option = "" if self.available_only else ", or set available_only=True to score the rest"
        return [Missing(absent[0], self.photos_from + option, len(absent))]

    def photos(self, root: Path, *names: str) -> PhotoFolders:
        """Return where photos are looked for: `images`, or folders of the usual names."""
        return PhotoFolders.of(root, self.images, names)


@dataclass(frozen=True)
class PhotoFolders:
    """Folders in which photos of one collection may lie."""

    folders: tuple[Path, ...]
    usual: Path  # where a photo is said to belong if it is in none of them
    # What was found by its names: a photo has many questions, and a disk may be slow.
    _found: dict[tuple[str, ...], Path] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, root: Path, images: str | Path | None, names: Sequence[str]) -> PhotoFolders:
        """Return the folders that there are.

        Args:
            root: Folder of the benchmark's data; photos that several benchmarks share may lie beside
                it.
            images: Folder that a user gave: of the photos themselves, or of folders of these names.
            names: What the field calls the folder, the usual name first.
        """
        if images is not None:
            given = Path(images).expanduser()
            bases, usual = (given,), given
        else:
            bases, usual = (
                (root, root / "images", root.parent, root.parent / "images"),
                root / names[0],
            )
        inner = [base / name for base in bases for name in names]
        found = [folder for folder in (*inner, *bases) if folder.is_dir()]
        return cls(tuple(dict.fromkeys(found)), usual)

    def find(self, *files: str) -> Path:
        """Return a photo; where it belongs if it is absent.

        Args:
            files: Its name (or its path below a folder); then others that it may have.
        """
        if files not in self._found:
            self._found[files] = self._find(files)
        return self._found[files]

    def _find(self, files: tuple[str, ...]) -> Path:
        for folder in map(str, self.folders):
            for file in files:
                path = os.path.join(folder, file)
                if os.path.isfile(path):  # false, too, of a name that no disk can have
                    return Path(path)
        return self.usual / files[0]


def asked_about(questions: Sequence[Question]) -> str:
    """Return the digest that rows about some questions have (`Result.asked`)."""
    return digest_of(
        (one.part, one.id, *one.texts, *map(picture_name, one.images)) for one in questions
    )


class _Present:
    """Asks of every file once whether it is there."""

    def __init__(self) -> None:
        self._known: dict[Path, bool] = {}

    def __call__(self, picture: Picture) -> bool:
        path = file_of(picture)
        if path is None:
            return True
        if path not in self._known:
            self._known[path] = os.path.isfile(path)
        return self._known[path]


def _no_question(files: Sequence[Missing]) -> str:
    """Return a sentence of files that can be read and hold nothing."""
    more = f" (nor do {len(files) - 1} more)" if len(files) > 1 else ""
    return f"{files[0].path} holds no question{more}: {files[0].remedy}"


def _first_of_each(questions: Sequence[Question], limit: int) -> list[Question]:
    """Return the first `limit` questions of each part."""
    count: dict[str, int] = {}
    chosen = []
    for one in questions:
        count[one.part] = count.get(one.part, 0) + 1
        if count[one.part] <= limit:
            chosen.append(one)
    return chosen
