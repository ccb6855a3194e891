"""Samples of tar shards with whatever lies beside the picture: classes, captions, targets.

The form of CLIP_benchmark's `wds_*` data sets: `test/0.tar`, `test/1.tar`, ... with members
`s0000000.webp` and `s0000000.cls` (or `.txt`, `.npy`), and `test/nshards.txt` with their number.
Headers are read once, nothing is extracted; pictures are opened at their place in the tar.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trifocal.data.classes import natural
from trifocal.data.images import EXTENSIONS
from trifocal.data.reshaped import InTar
from trifocal.errors import UserError

COUNT_FILE = "nshards.txt"
_MOST = 1 << 20  # bytes of what lies beside a picture


@dataclass(frozen=True)
class TarSample:
    """Members of one stem.

    Attributes:
        key: Their name.
        picture: The picture among them.
        beside: The content of the others that were asked for, by extension.
    """

    key: str
    picture: InTar
    beside: dict[str, bytes]


def find_shards(root: Path, split: str) -> list[Path]:
    """Return the shards of a part in their order: those in `root/split`, or else in `root`.

    Raises:
        UserError: there are fewer than their count says.
    """
    for folder in (root / split, root):
        found = sorted(folder.glob("*.tar"), key=lambda path: natural(path.name))
        if found:
            _check_count(folder, len(found))
            return found
    return []


def tar_samples(paths: Sequence[Path], beside: Collection[str]) -> Iterator[TarSample]:
    """Yield the samples of shards, in order.

    Args:
        paths: Tar files.
        beside: Extensions of the members to read, such as "cls".

    Raises:
        UserError: one is no complete plain tar, or has a picture without its fellows.
    """
    for path in paths:
        pictures: dict[str, InTar] = {}
        contents: dict[str, dict[str, bytes]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    key, _, kind = member.name.partition(".")
                    kind = kind.lower()
                    if not member.isreg() or member.sparse is not None:
                        continue
                    if f".{kind}" in EXTENSIONS:
                        pictures[key] = InTar(path, member.name, member.offset_data, member.size)
                    elif kind in beside and member.size <= _MOST:
                        file = tar.extractfile(member)
                        assert file is not None
                        contents.setdefault(key, {})[kind] = file.read()
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise UserError(
                f"{path} is not a complete plain tar ({error}); fetch it anew."
            ) from None
        for key, picture in pictures.items():
            if key not in contents:
                wanted = " or ".join(f".{one}" for one in beside)
                raise UserError(
                    f"{picture} has no {wanted} beside it, which says what it is; fetch the shard "
                    "anew."
                )
            yield TarSample(key, picture, contents[key])


def _check_count(folder: Path, found: int) -> None:
    file = folder / COUNT_FILE
    try:
        count = int(file.read_text(encoding="utf-8-sig")) if file.is_file() else found
    except (OSError, ValueError):
        raise UserError(f"{file} does not hold the number of shards; fetch it anew.") from None
    if found < count:
        raise UserError(f"{folder} has {found} of its {count} shards; fetch the others.")
