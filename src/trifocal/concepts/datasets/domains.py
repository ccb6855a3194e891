"""Folders of domains, such as PACS: the same classes in pictures of several kinds.

Leave-one-domain-out, the protocol of PACS (Li et al., arXiv 1710.03077): fit to all domains but
one, test on that one. The layout is `root/<domain>/<class>/...`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.concepts.datasets.folders import list_classes
from trifocal.concepts.datasets.parts import VAL, divide
from trifocal.concepts.datasets.split_files import check_names
from trifocal.concepts.prompts import PHOTO
from trifocal.data.classes import class_folders, natural, readable
from trifocal.errors import UserError, nearest

_INNER = ("PACS", "images", "kfold")  # folders that archives of PACS put around the domains


@dataclass(frozen=True)
class Domains:
    """Pictures of the same classes in several domains."""

    name: str  # of the whole
    images: Path  # folder that the paths start from
    classnames: tuple[str, ...]  # D names
    domains: Mapping[str, Sequence[LabeledImage]]  # by name, in sorted order

    def leave_out(
        self, domain: str, *, val: float = VAL, seed: int = 1, templates: Sequence[str] = PHOTO
    ) -> ImageClasses:
        """Return the data set that trains on the other domains and tests on one.

        Selection sees the other domains only: a share of each of their classes is for validation.

        Args:
            domain: The one to test on.
            val: Share for validation of each class in each training domain.
            seed: Of this division.
            templates: Prompts with "{}" for the class name.

        Raises:
            UserError: there is no such domain, or no other.
        """
        if domain not in self.domains:
            raise UserError(
                f"{self.name} has no domain {domain!r}; it has {', '.join(self.domains)}."
                f"{nearest(domain, self.domains)}"
            )
        train: list[LabeledImage] = []
        held_out: list[LabeledImage] = []
        for other, items in self.domains.items():
            if other != domain:
                kept, chosen, _ = divide(items, val=val, test=0, seed=seed)
                train += kept
                held_out += chosen
        return ImageClasses(
            name=f"{self.name}-{domain}",
            images=self.images,
            classnames=self.classnames,
            templates=tuple(templates),
            train=train,
            val=held_out,
            test=self.domains[domain],
        )


def read_domains(root: str | Path, name: str | None = None) -> Domains:
    """Read a folder of domain folders with the same class folders in each.

    Args:
        root: The folder; where the domains are in a folder `PACS/`, `images/` or `kfold/` in it,
            they are found there.
        name: By default the folder's name, in small letters.

    Raises:
        UserError: there are fewer than two domains or classes, a domain lacks a class that
            another has, or a class has no picture.
    """
    given = Path(root).expanduser()
    if not given.is_dir():
        raise UserError(f"there is no folder {given}; give a folder with one folder per domain.")
    place = next((given / inner for inner in _INNER if (given / inner).is_dir()), given)
    folders = class_folders(place)
    classes = {folder.name: {one.name for one in class_folders(folder)} for folder in folders}
    if len(folders) < 2:
        raise UserError(
            f"{place} has fewer than two domain folders; make one per domain, with the class "
            "folders in it."
        )
    every = sorted(set().union(*classes.values()), key=lambda one: (natural(one), one))
    for domain, there in classes.items():
        for one in every:
            if one not in there:
                raise UserError(
                    f"the domain {place / domain} has no class folder {one!r}, which another "
                    "domain has; add it, or remove it everywhere."
                )
    names = [readable(one) for one in every]
    check_names(names, every)
    labels = {one: label for label, one in enumerate(every)}
    domains = {folder.name: list_classes(folder, labels, place)[1] for folder in folders}
    name = name or given.resolve().name.lower()
    return Domains(name, place, tuple(names), domains)
