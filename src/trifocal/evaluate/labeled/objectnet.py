"""ObjectNet's pictures of the 113 classes that ImageNet has, too (Barbu et al., NeurIPS 2019).

The published folder has a folder of pictures for each of 313 objects, and `mappings/` that say which
of them are classes of ImageNet. The classes are sorted by folder and named as ObjectNet names them,
in small letters, as in CLIP_benchmark.
"""

from __future__ import annotations

from pathlib import Path

from trifocal.composition.benchmarks.files import first_there, malformed, read_json
from trifocal.data.classes import pictures
from trifocal.errors import UserError
from trifocal.evaluate.labeled.pictures import Labeled

_NAMES = "folder_to_objectnet_label.json"
_SHARED = "objectnet_to_imagenet_1k.json"
_PLACES = ("", "mappings/", "objectnet-1.0/mappings/")
_WHAT = "ObjectNet's mapping"


def read_objectnet(root: Path, split: str) -> Labeled | None:
    """Return the pictures of the shared classes; None where the folder has no mappings.

    Raises:
        UserError: a mapping is malformed, or a class has no pictures.
    """
    shared = first_there(root, *(place + _SHARED for place in _PLACES))
    if not shared.is_file():
        return None
    names = _mapping(shared.parent / _NAMES)
    wanted = set(_mapping(shared))
    folders = sorted(folder for folder, name in names.items() if name in wanted)
    if len(folders) < 2:
        raise malformed(shared, "of names", _WHAT, f"names of {_NAMES}")
    place = first_there(root, "objectnet-1.0/images", "images", "objectnet-1.0")
    images, labels = list[Path](), list[int]()
    for label, folder in enumerate(folders):
        found = pictures(place / folder) if (place / folder).is_dir() else []
        if not found:
            raise UserError(f"{place / folder} has no pictures; unpack ObjectNet's archive again.")
        images += found
        labels += [label] * len(found)
    return Labeled(images, labels, tuple(names[folder].lower() for folder in folders))


def _mapping(path: Path) -> dict[str, str]:
    content = read_json(path, _WHAT)
    if not isinstance(content, dict) or not all(isinstance(x, str) for x in content.values()):
        raise malformed(path, "of it", _WHAT, "a text for each name")
    return content
