"""EqBen: pairs of pictures with a visual difference as small as can be, in seven sets.

Wang et al., ICCV 2023 (arXiv 2303.14465): frames of videos (`ag`, `gebc`, `youcook2`), drawn scenes
(`kubric`: location, attribute, count), edited pictures (`sd`). This is the authors' public tenth, whose
labels are open; the number is the group score's mean over the five, kubric's being that of its three.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trifocal.composition.benchmarks.files import first_there, malformed, read_list, strings
from trifocal.composition.benchmarks.square import SquareSuite
from trifocal.composition.benchmarks.suite import PhotoFolders
from trifocal.data.held import InArray
from trifocal.features.identity import Picture
from trifocal.features.questions import Question
from trifocal.metrics.answers import Tree
from trifocal.metrics.benchmark import Missing

_PICTURES = ("image0", "image1")
_TEXTS = ("caption0", "caption1")
_KUBRIC = ("kubric_loc", "kubric_attr", "kubric_cnt")
_SETS = ("ag", "gebc", "youcook2", "sd")
_FILE = "eqben_subset_10percent_final.json"
_WHAT = "EqBen's annotation of the tenth"


@dataclass
class EqBen(SquareSuite):
    """The benchmark over the public tenth of its test set (see `Suite` for its options)."""

    name: ClassVar[str] = "eqben"
    source: ClassVar[str] = f"github.com/Wangt-CN/EqBen (Apache-2.0), {_FILE}"
    protocol: ClassVar[str] = (
        "the public 10 %; 2 pictures and 2 texts; ties are errors; mean macro over 5 sets"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "group")
    photos_from: ClassVar[str] = (
        "unpack subset_image.tar.gz (10 GB) of github.com/Wangt-CN/EqBen there"
    )
    tree: ClassVar[Tree] = {"kubric": _KUBRIC, "mean": (*_SETS, "kubric")}

    def files(self, root: Path) -> list[Missing]:
        """Return the annotation of the tenth."""
        path = first_there(root, _FILE, f"eqben_subset/{_FILE}")
        return [Missing(str(path), f"get it from {self.source}")]

    def read(self, root: Path) -> list[Question]:
        """Read the squares; the first folder of a picture's path says which set it is of."""
        path = Path(self.files(root)[0].path)
        photos = self.photos(root, "image_subset", "eqben_subset/image_subset", "images")
        found = []
        for number, entry in enumerate(read_list(path, _WHAT)):
            fields = entry if isinstance(entry, dict) else {}
            captions = {name: _first(fields.get(name)) for name in _TEXTS}
            first, second, *texts = strings(
                {**fields, **captions}, (*_PICTURES, *_TEXTS), path, number, _WHAT
            )
            part = first.split("/")[0].removeprefix("eqben")
            if part not in _SETS and part not in _KUBRIC:
                raise malformed(path, number, _WHAT, "a picture in a folder of one of the sets")
            pictures = (_picture(photos, first), _picture(photos, second))
            found.append(Question(part, pictures, tuple(texts), str(number)))
        return found


def _first(caption: Any) -> Any:
    """Return a caption; where there are several, the authors take the first."""
    return caption[0] if isinstance(caption, list) and caption else caption


def _picture(photos: PhotoFolders, name: str) -> Picture:
    """Return where a picture is: in an array of YouCook2, a PNG, or the light JPEG of one."""
    file = photos.find(name, f"{name.removesuffix('.png')}.jpg")
    return InArray(file) if file.suffix == ".npy" else file
