"""What a classifier says of each labeled picture, as a table for other programs: `evaluate --csv`."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from trifocal.apps.classify.classifier import Classifier, Labeled
from trifocal.errors import UserError
from trifocal.files import atomic_write, check_file

_KIND = "table of answers"
_FACTS = ("path", "box", "label", "prediction", "probability")  # then a column a class


def check_answer_table(path: str | os.PathLike[str]) -> None:
    """Refuse a path that such a table cannot be written to.

    Raises:
        UserError: It does not end in .csv, or is there already.
    """
    if Path(path).suffix.lower() != ".csv":
        raise UserError(f"--csv {path} is a table with commas; end its name in .csv.")
    check_file(path, _KIND)


def write_answer_table(
    path: str | os.PathLike[str], classifier: Classifier, labeled: Labeled
) -> None:
    """Write a row for each picture: where it is, its label, the answer, how probable each class is.

    A class's column is called "p:" and its name. Pictures that cannot be read have no row.

    Raises:
        UserError: See `check_answer_table`, or it cannot be written.
    """
    check_answer_table(path)
    classes = classifier.saved.classes
    shares = classifier.saved.head.predict_proba(labeled.features)
    best = shares.argmax(1).tolist()
    with (
        atomic_write(path, _KIND) as aside,
        # File names that are no UTF-8 go out with the bytes that they came with.
        open(aside, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_FACTS, *(f"p:{name}" for name in classes)])
        rows = zip(labeled.kept, labeled.labels.tolist(), best, shares.tolist(), strict=True)
        for place, label, named, chance in rows:
            region = labeled.examples.regions[place]
            box = ";".join(",".join(f"{side:g}" for side in each) for each in region.boxes)
            told = [region.image, box, classes[label], classes[named], f"{chance[named]:.6f}"]
            writer.writerow([*told, *(f"{share:.6f}" for share in chance)])
