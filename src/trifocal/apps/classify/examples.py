"""Labeled pictures for `trifocal classify`: class folders, a table, or a list of labeled regions.

A fitted classifier is measured on pictures that it was not fitted to: the folder's own test part,
or some of each class, and what is shipped is then fitted to all. Where only a few shots are wanted,
what was not drawn is the better test, and nothing has to be fitted twice.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trifocal.apps.region_lists import GivenRegion, parse_region
from trifocal.concepts.datasets.folders import read_folder
from trifocal.concepts.datasets.split_files import check_names
from trifocal.data.classes import named_wnids, natural, pictures, readable, say_pairs
from trifocal.data.copies import copies
from trifocal.data.images import EXTENSIONS
from trifocal.errors import UserError, nearest
from trifocal.features.identity import content_hash
from trifocal.tally import MOST_LEFT_OUT, Tally

logger = logging.getLogger(__name__)

_REST = 100  # pictures of a class beyond its shots that are measured on


@dataclass(frozen=True)
class Examples:
    """Labeled pictures or regions.

    Attributes:
        name: What results on them are filed under.
        regions: N pictures, with boxes or without.
        names: N names of theirs, from their source on, with "/".
        labels: N class numbers.
        folders: D names of the classes as the source has them, in words.
        tests: Which of the N are the source's own test part; often none.
    """

    name: str
    regions: tuple[GivenRegion, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    folders: tuple[str, ...]
    tests: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def have_boxes(self) -> bool:
        """Whether any of them is a part of a picture."""
        return any(region.boxes for region in self.regions)

    def by_class(self) -> list[list[int]]:
        """Return the numbers of each class's examples, without those of the test part."""
        groups: list[list[int]] = [[] for _ in self.folders]
        tests = set(self.tests)
        for index, label in enumerate(self.labels):
            if index not in tests:
                groups[label].append(index)
        return groups


@dataclass(frozen=True)
class Parts:
    """Which examples a head is fitted to, and which it is measured on.

    Attributes:
        support: What it is fitted to in the end.
        fitted: What it is fitted to where it is measured: the same, or less.
        held_out: What it is measured on; empty where no class can spare any.
        protocol: How that was done, in words.
        note: What could not be done; empty if nothing.
    """

    support: list[int]
    fitted: list[int]
    held_out: list[int]
    protocol: str = ""
    note: str = ""

    def only(self, readable: Collection[int]) -> Parts:
        """Return the parts without examples that cannot be read."""
        support, fitted, held_out = (
            [index for index in part if index in readable]
            for part in (self.support, self.fitted, self.held_out)
        )
        protocol = self.protocol if held_out else ""
        return replace(self, support=support, fitted=fitted, held_out=held_out, protocol=protocol)


def read_examples(
    source: str | os.PathLike[str], *, most_left_out: float = MOST_LEFT_OUT
) -> Examples:
    """Read a folder of class folders, a table of pictures, or a .jsonl list of labeled regions.

    A line of a list is {"image": "a.jpg", "boxes": [[x, y, w, h]], "label": "cat"}, paths from its
    own folder; without boxes the whole picture is meant. A part of a folder for validation is left
    alone.

    Args:
        source: Where they are.
        most_left_out: The largest share of a folder's or a table's files that may be left out.

    Raises:
        UserError: there is nothing there, fewer than two classes, a class without a picture, two
            of one name, or a line that cannot be read.
    """
    path = Path(source).expanduser()
    if path.suffix.lower() == ".jsonl":
        return _listed(path)
    data = read_folder(path, val=0, test=0, most_left_out=most_left_out)
    items = [*data.train, *data.test]
    return Examples(
        data.name,
        tuple(GivenRegion(data.images / item.path, ()) for item in items),
        tuple(item.path for item in items),
        tuple(item.label for item in items),
        data.classnames,
        tuple(range(len(data.train), len(items))),
    )


def class_names(folders: Sequence[str], file: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names that prompts use: the classes' own, or those of a file.

    Args:
        folders: D names of classes, in words.
        file: A JSON object from class folder to name, or a text file: a line for each class, in
            their order (sorted, 2 before 10), or lines such as "n01440764 tench".

    Raises:
        UserError: the file cannot be read, names are missing, or two classes have the same.
    """
    if file is None:
        return list(folders)
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
        given = json.loads(text) if path.suffix.lower() == ".json" else text.split("\n")
    except OSError as error:
        raise UserError(f"cannot read the names in {path} ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not UTF-8 text, or not JSON; put it right.") from None
    lines = [] if isinstance(given, Mapping) else _lines(given)
    given = given if isinstance(given, Mapping) else named_wnids(lines)
    names = _by_class(given, folders, path) if given else lines
    if len(names) != len(folders):
        raise UserError(
            f"{path} has {len(names)} names for {len(folders)} classes; give one a line in sorted "
            "order of the classes, or a JSON object from class to name."
        )
    check_names(names, folders)
    if not given:
        say_pairs(folders, names, str(path))
    return names


def split(examples: Examples, shots: int | None, holdout: float, seed: int) -> Parts:
    """Choose what to fit to and what to measure on, class by class.

    Args:
        examples: All there is.
        shots: Pictures of a class to fit to; None for all.
        holdout: Share of a class to measure on, rounded, one at least; 0 measures nothing. Where
            shots leave pictures over in every class, these are measured on, 100 a class at most.
        seed: Of the draw.

    Raises:
        UserError: shots or holdout are out of range.
    """
    if shots is not None and shots < 1:
        raise UserError(f"--shots is {shots}; fit to at least 1 picture of a class.")
    if not 0 <= holdout < 1:
        raise UserError(f"--holdout is {holdout:g}; give a share from 0 to below 1, such as 0.2.")
    rng = random.Random(seed)
    groups = [_drawn(group, shots, rng) for group in examples.by_class()]
    support = sorted(index for drawn, _ in groups for index in drawn)
    if not holdout:
        return Parts(support, support, [], note="nothing was held out to measure on")
    if examples.tests:
        return Parts(support, support, list(examples.tests), "its own test part")
    if all(rest for _, rest in groups):
        held = [index for _, rest in groups for index in rng.sample(rest, len(rest))[:_REST]]
        kept = _without_copies(examples, sorted(held), support)
        note = _copies_left(len(held) - len(kept))
        protocol = f"pictures beyond the {shots} shots" if kept else ""
        return Parts(support, support, kept, protocol, note)
    # Of one picture none can be spared; of several, at least one stays to fit to.
    sizes = [min(_share(holdout, len(drawn)), len(drawn) - 1) for drawn, _ in groups]
    held = {i for (drawn, _), size in zip(groups, sizes) for i in rng.sample(drawn, size)}
    if not held:
        note = "each class has a single picture, so none could be held out to measure on"
        return Parts(support, support, [], note=note)
    fitted = [index for index in support if index not in held]
    kept = _without_copies(examples, sorted(held), fitted)
    alone = sizes.count(0)
    notes = [_copies_left(len(held) - len(kept))]
    if alone:
        notes.append(f"{alone} of {len(sizes)} classes have a single picture and are not measured")
    return Parts(
        support,
        [index for index in support if index not in kept],
        kept,
        f"{holdout:.0%} of each class, held out from a first fit" if kept else "",
        "; ".join(note for note in notes if note),
    )


def _without_copies(examples: Examples, held: list[int], fitted: list[int]) -> list[int]:
    """Return the held-out examples that are no copies of fitted ones, whatever their names."""
    both = [*held, *fitted]
    same = copies([file_of(examples.regions[index]) for index in both])
    known = set(fitted)
    gone = set()
    for group in same:
        boxes = {examples.regions[both[i]].boxes for i in group if both[i] in known}
        gone |= {both[i] for i in group if examples.regions[both[i]].boxes in boxes}
    return [index for index in held if index not in gone]


def _copies_left(count: int) -> str:
    return (
        f"{count} held-out pictures are copies of fitted ones and are not measured" if count else ""
    )


def _drawn(group: list[int], shots: int | None, rng: random.Random) -> tuple[list[int], list[int]]:
    """Return the pictures of a class that a head is fitted to (the field's draw), and the rest."""
    if shots is None or len(group) <= shots:
        return group, []
    drawn = rng.sample(group, shots)
    return drawn, [index for index in group if index not in drawn]


def _share(holdout: float, count: int) -> int:
    return max(1, int(holdout * count + 0.5))


def file_of(region: GivenRegion) -> Path:
    """Return the picture's file; the regions here all come from files."""
    assert isinstance(region.image, Path)
    return region.image


def content_key(region: GivenRegion) -> str:
    """Return what tells whether two examples are the same: a hash of the file and the boxes.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        content = file_of(region).read_bytes()
    except OSError as error:
        raise UserError(
            f"{region.where}cannot open the picture {region.image} ({error.strerror})."
        ) from None
    measured = f" in {region.frame}" if region.frame else ""
    return content_hash(content, repr(region.boxes) + measured).hex()[:16]


def find_pictures(paths: Sequence[str]) -> list[str]:
    """Return the pictures that a command line names: files, and all that folders hold.

    Raises:
        UserError: a path does not exist, or there is no picture.
    """
    found: list[str] = []
    for path in (Path(one).expanduser() for one in paths):
        if path.is_dir():
            tally = Tally(str(path), most_left_out=1.0)  # what is asked for is told, one by one
            inside = pictures(path, tally)
            found += map(str, inside)
            tally.use(len(inside))
            if inside:
                tally.close()
        elif path.is_file():
            found.append(str(path))
        else:
            raise UserError(f"there is no picture or folder {path}; check the path.")
    if not found:
        kinds = ", ".join(sorted(EXTENSIONS))
        raise UserError(f"there is no picture in {', '.join(paths)}; give files in {kinds}.")
    return found


def _listed(file: Path) -> Examples:
    regions: list[GivenRegion] = []
    names: list[str] = []
    said: list[str] = []
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    region, label = _example(line, file, f"{file}, line {number}: ")
                    regions.append(region)
                    names.append(f"{file_of(region).name} (line {number})")
                    said.append(label)
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}); check the path.") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text; save it as such.") from None
    folders = sorted(set(said), key=lambda label: (natural(label), label))
    words = tuple(readable(folder) for folder in folders)
    check_names(words, folders)
    labels = tuple(folders.index(label) for label in said)
    return Examples(file.stem, tuple(regions), tuple(names), labels, words)


def _example(line: str, file: Path, where: str) -> tuple[GivenRegion, str]:
    """Return the region and the label of a line of a list."""
    region = parse_region(line, file, where).region
    label = json.loads(line).get("label")
    if not isinstance(label, str) or not label.strip():
        raise UserError(f'{where}there is no "label"; write the name of its class.')
    return region, label.strip()


def _by_class(given: Mapping[str, object], folders: Sequence[str], path: Path) -> list[str]:
    """Return the names that a mapping gives; its keys are class folders, or these in words."""
    names = {_key(folder): name for folder, name in given.items()}
    absent = [f for f in folders if not str(names.get(_key(f)) or "").strip()]
    if absent:
        raise UserError(
            f"{path} has no name for the class {absent[0]!r}.{nearest(absent[0], given)}"
        )
    known = {_key(folder) for folder in folders}
    others = [folder for folder in given if _key(folder) not in known]
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        logger.warning("%s names %d classes that are not there (%s)", path, len(others), shown)
    return [str(names[_key(folder)]).strip() for folder in folders]


def _lines(given: object) -> list[str]:
    lines = given if isinstance(given, list) else []
    return [line.strip() for line in lines if isinstance(line, str) and line.strip()]


def _key(folder: str) -> str:
    """Return what is the same for "AnnualCrop", "annual_crop" and "Annual Crop"."""
    return readable(folder).casefold()
