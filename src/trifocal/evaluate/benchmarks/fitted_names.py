"""Names for the classes of a data set: a list, a mapping or a file, fitted to its folders or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trifocal.concepts.datasets.split_files import check_names
from trifocal.data.classes import named_wnids, readable, say_pairs, warn_of_wnids
from trifocal.errors import UserError, nearest
from trifocal.evaluate.benchmarks.prompt_files import CLASSNAMES_FILE, load_names, names_beside
from trifocal.evaluate.labeled.pictures import Labeled

_IMAGENET = 1000  # classes


@dataclass(frozen=True)
class GivenNames:
    """Class names as they were given.

    Attributes:
        names: In the order of the classes, or by folder (or WordNet id).
        file: Where they were read; "" for names that are in no file.
    """

    names: Sequence[str] | Mapping[str, str]
    file: str = ""

    def by_id(self) -> Mapping[str, str] | None:
        """Return the names by folder or id; None where they go by their order."""
        if isinstance(self.names, Mapping):
            return self.names
        return named_wnids(self.names) or None


def find_names(
    given: Sequence[str] | Mapping[str, str] | str | Path | None,
    root: Path,
    dataset: str,
    family: str,
) -> GivenNames | None:
    """Return the names that were given, or those in files of the usual names; None without any.

    Args:
        given: Names, or a file of them.
        root: Where such files may lie.
        dataset: The data set's name, a key in files for several.
        family: Whose names are wanted, where several are there.
    """
    if given is None:
        beside = names_beside(root, dataset, family)
        return None if beside is None else GivenNames(beside[1], str(beside[0]))
    if isinstance(given, str | Path):
        return GivenNames(load_names(Path(given), dataset), str(given))
    return GivenNames(given)


def names_of_folders(given: GivenNames | None, folders: Sequence[str], root: Path) -> list[str]:
    """Return a name for each class folder, by default its own in words.

    Raises:
        UserError: They do not fit the folders, or two classes have the same.
    """
    if given is None:
        names = [readable(name) for name in folders]
        warn_of_wnids(names, str(root))
        check_names(names, folders)
        return names
    source = f"{given.file}: " if given.file else ""
    listed = given.by_id()
    if listed is not None:
        listed = _by_rank(listed) if all(map(str.isdecimal, folders)) else listed
        absent = [folder for folder in folders if folder not in listed]
        if absent:
            hint = nearest(absent[0], listed)
            raise UserError(f"{source}no class name for the folder {absent[0]!r}.{hint}")
        names = [listed[folder] for folder in folders]
    elif len(given.names) != len(folders):
        raise UserError(
            f"{source}{len(given.names)} class names for {len(folders)} class folders; give one "
            "name per folder in sorted order, or a mapping from folder to name"
        )
    else:
        names = list(given.names)
        say_pairs(folders, names, given.file or "classnames")
    if len(folders) < _IMAGENET:  # in the field's list for ImageNet, two names occur twice
        check_names(names, folders)
    return names


def names_of_numbers(given: GivenNames | None, found: Labeled, root: Path) -> list[str]:
    """Return a name for each class that the data have by number.

    Raises:
        UserError: There are none, or fewer than classes.
    """
    if given is None and found.classnames is None:
        raise UserError(
            f"the classes in {root} are numbers; put their names there, a line each, as "
            f"{CLASSNAMES_FILE}."
        )
    if given is None:
        names = list(found.classnames or ())
    else:
        listed = given.by_id()
        names = list(given.names) if listed is None else list(_by_rank(listed).values())
    several = found.positives
    classes = max(found.labels, default=-1) + 1 if several is None else several.shape[1]
    if len(names) < classes or (several is not None and len(names) != classes):
        raise UserError(f"{root} has {len(names)} class names for {classes} classes.")
    return names


def _by_rank(names: Mapping[str, str]) -> Mapping[str, str]:
    """Return names by the rank of their WordNet ids, as ImageNet numbers its classes; others as they are."""
    if not named_wnids([f"{key} {name}" for key, name in names.items()]):
        return names
    return {str(rank): name for rank, (_, name) in enumerate(sorted(names.items()))}
