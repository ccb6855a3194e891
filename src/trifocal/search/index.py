"""An index on the disk: a folder with the embeddings of pictures, where each lies, and by which model.

`vectors.safetensors` holds the unit embeddings `vectors` (N, D), float32 up to 100,000 pictures and
float16 above, the stamps and content hashes of the files, and mean and covariance of a background of
texts (`background.py`); `pictures.jsonl` a line a picture; `left_out.jsonl` those that cannot be read;
`index.json` the model's name and fingerprint. All is mapped: a query reads what it needs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.clip.weights import read_json
from trifocal.data.picture_lists import ListedPicture
from trifocal.data.reshaped import InTar
from trifocal.errors import UserError
from trifocal.files import MARKER
from trifocal.search.background import Background
from trifocal.search.nearest import Cells

KIND = "search index"
FORMAT = 1
FACTS, VECTORS, PICTURES, LEFT_OUT = (
    *("index.json", "vectors.safetensors"),
    *("pictures.jsonl", "left_out.jsonl"),
)
CELLS = "cells.faiss"
_TENSORS = ("vectors", "offsets", "stamps", "contents", "mean", "covariance")


@dataclass(frozen=True)
class PictureIndex:
    """An open index.

    Attributes:
        folder: Where it lies.
        model: Name of the model that made it.
        fingerprint: Of that model's weights and preprocessing.
        vectors: (N, D) unit rows, float32 or float16, mapped.
        offsets: (N,) where each picture's line begins.
        stamps, contents: (N, 16) and (N, 32) uint8: what tells that a file changed, and its hash.
        background: What any text says of a picture.
        sources: What was indexed.
    """

    folder: Path
    model: str
    fingerprint: str
    vectors: Tensor
    offsets: Tensor
    stamps: Tensor
    contents: Tensor
    background: Background
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def cells(self) -> Cells | None:
        """What finds the nearest without looking at all; None where all are looked at.

        Raises:
            UserError: the file is not as it was written; FAISS would crash on one that is cut short.
        """
        file = self.folder / CELLS
        if not file.is_file():
            return None
        marker = read_json(self.folder / MARKER) or {}
        if marker.get("files", {}).get(CELLS) != file.stat().st_size:
            raise UserError(
                f"{file} is damaged; delete it and run the same `trifocal search index` command again."
            )
        return Cells(file, self.vectors)

    def picture(self, place: int) -> ListedPicture:
        """Return a picture's name, and where it lies.

        Raises:
            UserError: the index is damaged.
        """
        try:
            with (self.folder / PICTURES).open("rb") as file:
                file.seek(int(self.offsets[place]))
                line = json.loads(file.readline())
            path = Path(os.path.normpath(os.path.join(os.path.abspath(self.folder), line["path"])))
            if "member" in line:
                held = InTar(path, line["member"], int(line["start"]), int(line["size"]))
                return ListedPicture(line["name"], held)
            return ListedPicture(line["name"], path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.folder / PICTURES} is damaged ({error}); delete the index and run `trifocal "
                "search index` again."
            ) from None

    def check_model(self, model: Encoder) -> None:
        """Refuse a model that did not make this index: its cosines would mean nothing.

        Raises:
            UserError: it is another.
        """
        fingerprint = getattr(model, "fingerprint", None)
        if fingerprint is None or fingerprint() != self.fingerprint:
            raise UserError(
                f"the index {self.folder} was made with the model {self.model!r}, and "
                f"{model.name!r} has other weights or preprocessing; give that model, or index the "
                "pictures anew with this one."
            )


def open_index(folder: str | os.PathLike[str], model: Encoder | None = None) -> PictureIndex:
    """Open an index.

    Args:
        folder: What `index_pictures` wrote.
        model: What will ask it; see `PictureIndex.check_model`.

    Raises:
        UserError: there is no index, it is damaged, or another model's.
    """
    place = Path(folder).expanduser()
    facts = read_json(place / FACTS)
    if not isinstance(facts, dict) or facts.get("kind") != KIND:
        raise UserError(
            f"{folder} is no search index; make one of your pictures with `trifocal search index`."
        )
    if facts.get("format") != FORMAT:
        raise UserError(
            f"the index {folder} has the format {facts.get('format')!r}, and this version reads "
            f"{FORMAT}; index the pictures again."
        )
    try:
        with safe_open(place / VECTORS, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in _TENSORS}
        count, width = tensors["vectors"].shape
        if count != facts["count"] or (place / PICTURES).stat().st_size != facts["bytes"]:
            raise ValueError("its parts do not fit each other")
        index = PictureIndex(
            place,
            str(facts["model"]),
            str(facts["sha256"]),
            background=Background(tensors.pop("mean"), tensors.pop("covariance")),
            sources=tuple(map(str, facts["sources"])),
            **tensors,
        )
        shape = index.background.covariance.shape
        if index.offsets.shape != (count,) or shape != (width, width):
            raise ValueError("its parts do not fit each other")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the index {folder} is damaged ({error}); delete it and index the pictures again."
        ) from None
    if model is not None:
        index.check_model(model)
    return index


def write_index(
    aside: Path,
    target: Path,
    tensors: dict[str, Tensor],
    pictures: Sequence[ListedPicture],
    left_out: Iterable[tuple[str, str]],
    facts: dict[str, Any],
) -> None:
    """Write all but the cells.

    Args:
        aside: The folder to write to.
        target: What it will be called; paths are kept relative to it.
        tensors: All of `_TENSORS` but "offsets".
        pictures: N pictures, as the rows are.
        left_out: Names of others, and why.
        facts: What else `index.json` says: "model", "sha256", "sources".
    """
    import torch

    offsets, at = [], 0
    with (aside / PICTURES).open("wb") as file:
        for picture in pictures:
            offsets.append(at)
            at += file.write(_line(picture, target))
    with (aside / LEFT_OUT).open("w", encoding="utf-8") as lines:
        lines.writelines(
            json.dumps({"name": name, "reason": reason}) + "\n" for name, reason in left_out
        )
    save_file({**tensors, "offsets": torch.tensor(offsets, dtype=torch.int64)}, aside / VECTORS)
    told = {"kind": KIND, "format": FORMAT, "count": len(pictures), "bytes": at, **facts}
    (aside / FACTS).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (aside / VECTORS).chmod((aside / FACTS).stat().st_mode)  # safetensors' own is the owner's alone


def _line(picture: ListedPicture, target: Path) -> bytes:
    held = picture.picture
    path = held.path if isinstance(held, InTar) else held
    line: dict[str, Any] = {
        "name": picture.name,
        "path": os.path.relpath(os.path.abspath(path), os.path.abspath(target)),
    }
    if isinstance(held, InTar):
        line |= {"member": held.member, "start": held.start, "size": held.size}
    return json.dumps(line).encode() + b"\n"
