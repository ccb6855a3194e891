"""SVO-Probes: of two photos, which does a sentence describe, if only its subject, verb or object differs?

Hendricks and Nematzadeh, Findings of ACL 2021 (arXiv 2106.09141). Scored as by those who came after (`acc`, pairs
of photos, the mean over subject, verb and object); the authors' own accuracy judges single photos
by a threshold of a trained head. Many of the 14,102 addresses are dead, and the photos must not be
passed on: everyone scores the pairs that could still be had, so compare only rows with the same count.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trifocal.composition.benchmarks.files import first_there, malformed, read_csv
from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_image

PARTS = {"subj_neg": "subject", "verb_neg": "verb", "obj_neg": "object"}
_TREE = {"mean": tuple(PARTS.values())}
_COLUMNS = ("sentence", "pos_image_id", "neg_image_id", *PARTS)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_WHAT = "SVO-Probes' table"


@dataclass
class SvoProbes(Suite):
    """The benchmark over the table in its published form (see `Suite` for its options)."""

    name: ClassVar[str] = "svo_probes"
    source: ClassVar[str] = "github.com/google-deepmind/svo_probes (data CC BY 4.0), svo_probes.csv"
    protocol: ClassVar[str] = (
        "2 pictures, rows in which one role differs, ties are errors; mean macro over roles"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "acc")
    photos_from: ClassVar[str] = (
        "get the photos that image_urls.txt (or pos_url and neg_url) still leads to, as <image id>.jpg"
    )

    def files(self, root: Path) -> list[Missing]:
        """Return the table."""
        path = first_there(root, "svo_probes.csv", "data/svo_probes.csv")
        return [Missing(str(path), f"get it from {self.source}")]

    def read(self, root: Path) -> list[Question]:
        """Read the rows in which exactly one role differs; the true photo is the first."""
        photos = self.photos(root, "images", "svo_images", "data/images")
        path = Path(self.files(root)[0].path)
        found = []
        for number, row in enumerate(read_csv(path, _COLUMNS, _WHAT)):
            differs = [role for flag, role in PARTS.items() if _flag(row[flag], path, number)]
            ids = (row["pos_image_id"], row["neg_image_id"])
            if not all(map(str.isdecimal, ids)):
                raise malformed(path, number, _WHAT, "pos_image_id and neg_image_id, numbers")
            if len(differs) == 1:
                pictures = tuple(
                    photos.find(*(f"{one}{ending}" for ending in (".jpg", ".jpeg", ".png")))
                    for one in ids
                )
                found.append(Question(differs[0], pictures, (row["sentence"],), str(number)))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the accuracy of roles and their mean, and that of all pairs."""
        answers = scored.answers(choose_image(scored.scores), scored.chance(images=True))
        answers.add_rows(sheet, "acc", _TREE)
        answers.add_row(sheet, "all", "acc_micro", answers.micro())


def _flag(written: str, path: Path, where: int) -> bool:
    """Return whether a role differs."""
    found = _FLAGS.get(written.strip().lower())
    if found is None:
        raise malformed(path, where, _WHAT, f"True or False for {', '.join(PARTS)}")
    return found
