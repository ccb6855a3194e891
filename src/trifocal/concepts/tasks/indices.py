"""Few-shot draws that other repositories have written down.

`shot_{M}-seed_{s}.json` of cross-modal adaptation (Lin et al., arXiv 2301.06267), and the pairs
`shot_{M}-seed_{s}_train.jsonl` and `..._val.jsonl` of 2SFS (Farina et al., arXiv 2503.11609). CoOp's
own `.pkl` files are never opened: they hold objects of its framework.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.concepts.tasks.sampling import Drawn
from trifocal.data.tables import json_lines
from trifocal.errors import UserError


def read_indices(file: str | Path, dataset: ImageClasses) -> Drawn:
    """Read a draw.

    Args:
        file: The JSON, or either of the two JSON lines files.
        dataset: What was drawn from. Pictures are found in it by the end of their path, so that
            it does not matter where the repository's copy was.

    Returns:
        Support and validation pictures, in the order of the file.

    Raises:
        UserError: the file cannot be read, is a pickle, or names a picture that is not in the
            training or validation part, has another class there, or is a test picture.
    """
    file = Path(file)
    if file.suffix == ".pkl":
        raise UserError(
            f"{file} is a pickle, which can run code when it is opened; draw the same pictures "
            "with sample_few_shot, which follows CoOp exactly."
        )
    known = _Known(dataset)
    if file.suffix == ".jsonl":
        train, val = _pair(file)
        return known.found(_lines(train), "_", train), known.found(_lines(val), "_", val)
    content = _json(file)
    train, val = (_data(content, part, file) for part in ("train", "val"))
    return known.found(train, "", file), known.found(val, "", file)


class _Known:
    """The pictures that may be drawn, by path."""

    def __init__(self, dataset: ImageClasses) -> None:
        self.name = dataset.name
        self.items = {item.path: item for item in (*dataset.train, *dataset.val)}
        self.tested = {item.path for item in dataset.test}

    def found(
        self, entries: Iterable[Mapping[str, Any]], prefix: str, file: Path
    ) -> list[LabeledImage]:
        """Return the pictures that entries name, with keys that begin with `prefix`."""
        return [self._find(entry, prefix, file) for entry in entries]

    def _find(self, entry: Mapping[str, Any], prefix: str, file: Path) -> LabeledImage:
        path, label = entry.get(f"{prefix}impath"), entry.get(f"{prefix}label")
        if not isinstance(path, str) or not path or type(label) is not int:
            raise UserError(f"{file}: {entry!r} has no {prefix}impath or {prefix}label.")
        parts = PurePosixPath(path.replace("\\", "/")).parts
        endings = ["/".join(parts[start:]) for start in range(len(parts))]
        known = next((self.items[ending] for ending in endings if ending in self.items), None)
        if known is None:
            tested = any(ending in self.tested for ending in endings)
            where = "is a test picture" if tested else "is not in the training or validation part"
            raise UserError(f"{file}: {path} {where} of {self.name}; take the file of its split.")
        if known.label != label:
            raise UserError(
                f"{file}: {path} has the label {label}, but {known.label} in {self.name}; take "
                "the file of its split."
            )
        return known


def _pair(file: Path) -> tuple[Path, Path]:
    """Return the files of the support and of the validation pictures, given either."""
    for part in ("_train", "_val"):
        if file.stem.endswith(part):
            stem = file.stem.removesuffix(part)
            return file.with_name(f"{stem}_train.jsonl"), file.with_name(f"{stem}_val.jsonl")
    raise UserError(f"{file} must end in _train.jsonl or _val.jsonl, with the other beside it.")


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as stream:
            return list(json_lines(stream, file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file} ({error}).") from None


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON ({error}).") from None


def _data(content: Any, part: str, file: Path) -> list[dict[str, Any]]:
    """Return the entries of a part."""
    inner = content.get(part) if isinstance(content, dict) else None
    data = inner.get("data") if isinstance(inner, dict) else None
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise UserError(f'{file} must hold {part}: {{"data": [{{impath, label, ...}}]}}.')
    return data
