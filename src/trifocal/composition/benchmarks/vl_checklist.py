"""VL-CheckList: objects, attributes and relations, one word of a short caption exchanged.

Zhao et al., EMNLP 2022 Demonstrations (arXiv 2207.00221). Of each of its 56 files the first 1,000 items
are asked, whether their pictures are there or not: the authors' loader counts its cap after missing
pictures are dropped, so that its items depend on the disk. A number is a mean of means: a file, the
files of one source of pictures, the sources of a sub-task, the sub-tasks of a group, the three groups.

HAKE's pictures can no longer be had. `acc` is the full tree, and `acc_no_hake` the one without them, which
everyone can measure; the two must not be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trifocal.composition.benchmarks.files import first_there, malformed, read_list
from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_text

EACH = 1000  # items of a file that are asked
NO_HAKE = "acc_no_hake"
_PLACES = {"Location": ("center", "margin", "mid"), "Size": ("large", "medium", "small")}
_ROLES = ("agent", "destination", "item", "tool")
_QUALITIES = ("action", "color", "material", "size", "state")
_WHAT = "a VL-CheckList file"
_FIELDS = "a picture's path and {POS: [text, ...], NEG: [text, ...]}"


@dataclass(frozen=True)
class Corpus:
    """One file: the sub-task it is of, where its pictures are from, and its path below data/."""

    group: str
    task: str
    source: str  # "vg", "vaw" (attributes of VG's pictures), "swig" or "hake"
    path: str

    @property
    def part(self) -> str:
        """Return the file's name in results."""
        return Path(self.path).stem if self.group == "object" else f"{self.task}_{self.source}"

    @property
    def folder(self) -> str:
        """Return the folder of its pictures, as the authors call it."""
        return "vg" if self.source == "vaw" else self.source


def _corpora() -> Iterator[Corpus]:
    for axis, places in _PLACES.items():
        low = axis.lower()
        for place in places:
            names = [("hake", f"hake_obj_{place}")]
            names += [("swig", f"swig_{role}/swig_{role}_{place}") for role in _ROLES]
            names += [("vg", f"vg_{thing}_{place}") for thing in ("obj", "subj")]
            for source, name in names:
                path = f"Object/{axis}/{source}_{low}/{name}.json"
                yield Corpus("object", f"{low}_{place}", source, path)
    for quality in _QUALITIES:
        for source in ("vg", "vaw"):
            path = f"Attribute/{source}/{quality}.json"
            yield Corpus("attribute", f"attribute_{quality}", source, path)
    for source in ("hake", "swig"):
        yield Corpus("relation", "relation_action", source, f"Relation/{source}_action.json")
    for kind in ("action", "spatial"):
        yield Corpus("relation", f"relation_{kind}", "vg", f"Relation/vg/{kind}.json")


CORPORA = tuple(_corpora())


def tree(corpora: tuple[Corpus, ...] = CORPORA) -> dict[str, list[str]]:
    """Return the means: for each the names of its members, which are files, or means above it."""
    found: dict[str, dict[str, None]] = {}
    for one in corpora:
        source = f"{one.task}_{one.source}"
        if source != one.part:
            found.setdefault(source, {})[one.part] = None
    for one in corpora:
        found.setdefault(one.task, {})[f"{one.task}_{one.source}"] = None
    for one in corpora:
        found.setdefault(one.group, {})[one.task] = None
    found["mean"] = dict.fromkeys(one.group for one in corpora)
    return {name: list(members) for name, members in found.items()}


@dataclass
class VlChecklist(Suite):
    """The benchmark over files in their published form (see `Suite` for its options).

    Attributes:
        no_hake: Ask nothing about HAKE's pictures, instead of missing them.
    """

    no_hake: bool = False

    name: ClassVar[str] = "vl_checklist"
    source: ClassVar[str] = (
        "github.com/om-ai-lab/VL-CheckList (paper CC BY 4.0, no licence file), folder data/; "
        "photos: Visual Genome, SWiG, HAKE (HAKE's can no longer be had)"
    )
    protocol: ClassVar[str] = (
        "image to text, 2 choices, the first 1,000 of each file, first positive and first negative, "
        "ties are errors; mean of files, sources, sub-tasks, groups"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", NO_HAKE)
    photos_from: ClassVar[str] = (
        "put Visual Genome's, SWiG's and HAKE's photos into folders vg, swig and hake, or set "
        "no_hake"
    )

    @property
    def corpora(self) -> tuple[Corpus, ...]:
        """Return the files that are asked."""
        return tuple(one for one in CORPORA if not (self.no_hake and one.source == "hake"))

    def files(self, root: Path) -> list[Missing]:
        """Return the files of all sub-tasks."""
        folder = first_there(root, "Attribute", "data/Attribute").parent
        remedy = f"get it from {self.source}"
        return [Missing(str(folder / one.path), remedy) for one in self.corpora]

    def read(self, root: Path) -> list[Question]:
        """Read the first items of each; texts are kept as they are, spaces and case included."""
        photos = {
            name: self.photos(root, name, *others)
            for name, *others in (("vg", "VG", "visual_genome"), ("swig", "SWiG"), ("hake", "HAKE"))
        }
        found = []
        for corpus, file in zip(self.corpora, self.files(root), strict=True):
            path = Path(file.path)
            for number, entry in enumerate(read_list(path, _WHAT)[:EACH]):
                photo, texts = _read(entry, path, number)
                image = photos[corpus.folder].find(photo)
                found.append(Question(corpus.part, (image,), texts, str(number)))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the accuracies of files and means, then those of means without HAKE."""
        outcome, blind = choose_text(scored.scores), choose_text(scored.blind)
        answers = scored.answers(outcome, scored.chance(), blind)
        answers.add_rows(sheet, "acc", tree())
        without = tree(tuple(one for one in CORPORA if one.source != "hake"))
        weights = answers.mean_weights(without)
        hake = [one for one in CORPORA if one.source == "hake"]
        other = [one.task for one in hake] + [one.group for one in hake]  # means that it changes
        for name in dict.fromkeys([*other, "mean"]):
            if name in weights:
                answers.add_row(sheet, name, NO_HAKE, weights[name])


def _read(entry: Any, path: Path, number: int) -> tuple[str, tuple[str, str]]:
    """Return an item's picture, and its first positive and first negative text.

    Raises:
        UserError: It is in another form.
    """
    try:
        photo, texts = entry
        found = [photo, texts["POS"][0], texts["NEG"][0]]
    except (TypeError, ValueError, KeyError, IndexError):
        found = []
    match [one for one in found if isinstance(one, str)]:
        case [photo, positive, negative]:
            return photo, (positive, negative)
    raise malformed(path, number, _WHAT, _FIELDS)
