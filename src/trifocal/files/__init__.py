"""Files written wholly or not at all, and never in place of what is not ours."""

from trifocal.files.atomic import atomic_folder, atomic_write, mark_folder
from trifocal.files.proofs import (
    MARKER,
    SOFTWARE,
    SOFTWARE_TAG,
    Place,
    archive_comment,
    is_marked,
    kind_of,
    marker,
)
from trifocal.files.targets import check_apart, check_file, check_folder

__all__ = [
    "MARKER",
    "SOFTWARE",
    "SOFTWARE_TAG",
    "Place",
    "archive_comment",
    "atomic_folder",
    "atomic_write",
    "check_apart",
    "check_file",
    "check_folder",
    "is_marked",
    "kind_of",
    "mark_folder",
    "marker",
]
