"""The Sherlock leaderboard's own files: what it asks to be scored, and the answers on val.

Formats: github.com/allenai/sherlock, folder leaderboard_eval (Hessel et al., ECCV 2022). A task
is a list of (image, region, inference) triples with a `test_id`; scores are handed in as a vector
in the lexicographic order of these. Validation archives add an answer key, and the sorted ids.
Everything here is in that order from the moment it is read, and held as numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trifocal.data.box_formats import fault, read_box
from trifocal.data.json_stream import json_list
from trifocal.data.regions import Region
from trifocal.data.sherlock_files import ImageRoots
from trifocal.errors import UserError
from trifocal.regions.benchmarks.answer_keys import FAULTS, Key, named_fault, read_key
from trifocal.regions.benchmarks.pool import Embedded, Pool

FOLDS = 23
TASKS = ("comparison", "localization", "retrieval")


@dataclass(frozen=True)
class Task:
    """One instance file."""

    # "comparison", "localization", or "retrieval_0" to "retrieval_22": the name of the file that
    # its scores are handed in as.
    name: str
    region: np.ndarray  # (P,) number of each triple's region in the pool
    text: np.ndarray  # (P,) number of its inference
    group: np.ndarray  # (P,) triples that one matrix product serves
    key: Key | None = None  # the answers, where they are published

    def __len__(self) -> int:
        return len(self.region)

    def scores(self, embedded: Embedded) -> np.ndarray:
        """Return (P,) float32 scores in the order in which they are handed in."""
        return embedded.pairs(self.region, self.text, self.group)


def find_tasks(
    roots: Iterable[Path], split: str, folds: Iterable[int] | None = None
) -> dict[str, Path]:
    """Return the instance files below the first root that has any, by name of the task.

    Roots may hold `val_retrieval/`, `test_retrieval_public/` and so on; without `folds`, all
    retrieval folds are taken.
    """
    chosen = list(range(FOLDS)) if folds is None else sorted(set(folds))
    names = ["comparison", "localization", *(f"retrieval_{fold}" for fold in chosen)]
    for root in roots:
        found = {}
        for name in names:
            folder = f"{split}_{name.split('_')[0]}"
            for place in (f"{folder}/", f"{folder}_public/", ""):
                path = root / f"{place}{split}_{name}_instances.json"
                if path.is_file():
                    found[name] = path
                    break
        if found:
            return found
    return {}


def read_task(name: str, path: Path, pool: Pool, roots: ImageRoots) -> Task:
    """Read an instance file, and the answers and ids beside it; the pool takes up what it names.

    Raises:
        UserError: A file is not in the leaderboard's format, or two of them do not fit together.
    """
    ids, region, text, picture = _triples(path, pool, roots)
    # Retrieval pairs every region with every inference; other tasks do so within a picture.
    group = np.zeros_like(picture) if name.startswith("retrieval") else picture
    order = sorted(range(len(ids)), key=ids.__getitem__)
    ids = [ids[i] for i in order]
    if any(a == b for a, b in pairwise(ids)):
        raise UserError(f"{path} names a test_id twice; get it again")
    _check_ids(_beside(path, "instance_ids"), path, ids)
    key_file = _beside(path, "answer_key")
    key = read_key(name, key_file, ids) if key_file.is_file() else None
    return Task(name, region[order], text[order], group[order], key)


def _triples(
    path: Path, pool: Pool, roots: ImageRoots
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Return test ids, and numbers of regions, inferences and pictures, in the file's order."""
    regions: dict[Any, int] = {}
    pictures: dict[str, tuple[int, Path]] = {}
    ids: list[str] = []
    region, text, picture = array("i"), array("i"), array("i")  # C integers: 4 bytes, not 32
    try:
        for entry in json_list(path):
            url, boxes, test_id = entry["image"]["url"], entry["region"], entry["test_id"]
            # The same region comes a thousand times; its raw form is looked up first.
            raw = (url, *[(box["left"], box["top"], box["width"], box["height"]) for box in boxes])
            if url not in pictures:
                pictures[url] = (len(pictures), roots.path(url))
            if raw not in regions:
                frame = (int(entry["image"]["width"]), int(entry["image"]["height"]))
                sides = tuple(read_box(box, empty=True) for box in boxes)
                if not sides or min(frame) <= 0:
                    raise ValueError("has no box, or a picture of no size")
                wrong = [fault(box, None, frame) for box in sides]
                if all(wrong):
                    raise ValueError(f"has a {wrong[0]}")
                regions[raw] = pool.region(Region(pictures[url][1], sides, frame))
            if not isinstance(test_id, str) or not isinstance(entry["inference"], str):
                raise ValueError("has a test_id or an inference that is not a text")
            ids.append(test_id)
            region.append(regions[raw])
            text.append(pool.text(entry["inference"]))
            picture.append(pictures[url][0])
    except FAULTS as error:
        raise named_fault(error, path, f"entry {len(ids)}") from None
    if not ids:
        raise UserError(f"{path} holds no instances")
    return ids, np.array(region), np.array(text), np.array(picture)


def _check_ids(path: Path, instances: Path, ids: list[str]) -> None:
    """Refuse a file of sorted ids that names others than its instance file."""
    if path.is_file() and list(json_list(path)) != ids:
        raise UserError(
            f"{path} does not list the test_ids of {instances} in order; get both again"
        )


def _beside(path: Path, kind: str) -> Path:
    """Return the answer key or the ids that belong to an instance file."""
    return path.with_name(path.name.replace("_instances.json", f"_{kind}.json"))
