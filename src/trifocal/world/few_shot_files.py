"""The few-shot classes as files: CoOp's folders and split file, and domains as class folders.

CoOp (Zhou et al., arXiv 2109.01134) has one image folder a data set and `split_zhou_<Name>.json`
beside it: an object with "train", "val" and "test", each a list of [path, label, class name].
Domains are laid out as PACS is (Li et al., ICCV 2017): a folder a domain, in it one a class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from trifocal.world.domains import DOMAINS, shift
from trifocal.world.few_shot import FewShotItem, few_shot_dataset

SPLIT_FILE = "split_zhou_World.json"
IMAGES = "few_shot/images"
SHIFTED = "few_shot_domains"
PHOTO = "photo"  # the domain that is not shifted

Save = Callable[[Image.Image, Path], None]


def few_shot_parts(per_class: int, seed: int) -> dict[str, list[FewShotItem]]:
    """Return all items: `per_class` for training, a quarter for validation, half for testing."""
    counts = {"train": per_class, "val": -(-per_class // 4), "test": -(-per_class // 2)}
    return {split: few_shot_dataset(count, seed, split) for split, count in counts.items()}


def few_shot_split(
    parts: Mapping[str, Sequence[FewShotItem]], suffix: str
) -> dict[str, list[tuple[str, int, str]]]:
    """Return the content of CoOp's split file; paths start from `IMAGES`."""
    return {
        split: [(f"{PHOTO}/{_path(item, suffix)}", item.label, item.classname) for item in items]
        for split, items in parts.items()
    }


def write_few_shot(
    folder: Path, per_class: int, seed: int, size: int | tuple[int, int], suffix: str, save: Save
) -> None:
    """Write pictures, split file, scene graphs and the shifted test pictures below `folder`.

    A shifted picture has the name of the test picture it was made from.
    """
    parts = few_shot_parts(per_class, seed)
    items = [item for part in parts.values() for item in part]
    for item in items:
        picture = item.picture(size)
        _save_below(folder / IMAGES / PHOTO, item, picture, suffix, save)
        for domain in DOMAINS if item.split == "test" else ():
            shifted = shift(picture, domain, item.seed, item.index)
            _save_below(folder / SHIFTED / domain, item, shifted, suffix, save)
    root = folder / "few_shot"
    root.mkdir(exist_ok=True)
    content = json.dumps(few_shot_split(parts, suffix), indent=4, separators=(",", ": "))
    (root / SPLIT_FILE).write_text(content, encoding="utf-8")
    lines = (json.dumps(item.scene.to_dict()) + "\n" for item in items)
    (root / "scenes.jsonl").write_text("".join(lines), encoding="utf-8")


def _save_below(
    root: Path, item: FewShotItem, picture: Image.Image, suffix: str, save: Save
) -> None:
    path = root / _path(item, suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(picture, path)


def _path(item: FewShotItem, suffix: str) -> str:
    return f"{item.classname}/{item.scene.id}.{suffix}"
