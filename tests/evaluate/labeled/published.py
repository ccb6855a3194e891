"""Small data sets in the forms of the Hub, written for tests."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

COLORS = ((200, 10, 10), (10, 200, 10), (10, 10, 200))


def picture(label: int, form: str = "webp") -> bytes:
    """Return a picture in the color of a class."""
    file = io.BytesIO()
    Image.new("RGB", (12, 10), COLORS[label]).save(file, form, lossless=True)
    return file.getvalue()


def write_shard(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a tar of members by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_wds(root: Path, beside: Sequence[Mapping[str, bytes]], *, shards: int = 2) -> Path:
    """Write a `wds_*` folder: a picture in the color of its number, and what lies beside it."""
    for shard in range(shards):
        members: dict[str, bytes] = {}
        for number in range(shard, len(beside), shards):
            members[f"s{number:07d}.webp"] = picture(number % len(COLORS))
            members |= {f"s{number:07d}.{kind}": text for kind, text in beside[number].items()}
        write_shard(root / "test" / f"{shard}.tar", members)
    (root / "test" / "nshards.txt").write_text(f"{shards}\n")
    return root


def write_parquet(
    path: Path, columns: Mapping[str, list[Any]], features: Mapping[str, Any]
) -> Path:
    """Write a parquet file with the schema that `datasets` leaves in it."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(dict(columns))
    if features:
        said = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": said})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, row_group_size=2)
    return path
