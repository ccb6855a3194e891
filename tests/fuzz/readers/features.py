"""Features: files of them, of texts, of answers, and the folders where they are kept."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from tests.fuzz.reader import Reader, Seed
from trifocal.concepts.tasks.feature_source import FeatureFileSource
from trifocal.evaluate.few_shot.pairs import Answers, _file
from trifocal.evaluate.few_shot.rows import place_of, told_apart
from trifocal.features.files import NamedFeatures, read_feature_file, read_named_features
from trifocal.features.list_cache import ListCache
from trifocal.features.store import KEY_BYTES, FeatureStore
from trifocal.metrics.result import Result
from trifocal.progress import Quiet


def _features() -> bytes:
    rows: dict[str, torch.Tensor] = {}
    for name in ("train1", "train2", "val", "test"):
        rows[name] = torch.nn.functional.normalize(torch.rand(4, 3), dim=1)
        rows[f"{name}_label"] = torch.tensor([0, 1, 0, 1])
    return save(rows)


def _files() -> list[Seed]:
    return [Seed({"f.safetensors": _features()}), Seed({"f.pt": _pickled()}, refused=True)]


def _pickled() -> bytes:
    """Return what torch.save writes; it is refused, whatever is in it."""
    file = io.BytesIO()
    torch.save({"train1": torch.rand(4, 3)}, file)
    return file.getvalue()


def _check_parts(parts: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    for features, labels in parts.values():
        assert features.dtype == torch.float32
        assert bool(features.isfinite().all())
        assert labels.shape == (len(features),)
        assert int(labels.min()) >= 0


def _named() -> list[Seed]:
    tensors = {"classes": torch.rand(2, 3), "concepts": torch.rand(3, 3)}
    names = {"classes_names.json": b'["cat", "dog"]'}
    return [Seed({"t.safetensors": save(tensors), **names})]


def _check_named(found: NamedFeatures) -> None:
    assert len(found.names) == len(found.features) > 0
    assert bool(found.features.isfinite().all())


_ROW = Result("few_shot/dtd", "4-shot", "acc1", 0.5, 4, None, 1, "val: none", "tip", version="1")


def _answers() -> list[Seed]:
    right, label = torch.tensor([1, 0, 1, 1], dtype=torch.float16), torch.arange(4).int()
    name = _file("r.jsonl", _ROW).as_posix()
    content = save({"right": right, "label": label}, {"row": json.dumps([])})
    return [Seed({"r.jsonl": b"", name: content}, changes=(name,))]


def _read_answers(file: Path) -> Any:
    place = place_of(_ROW)
    assert place is not None
    return Answers(told_apart([_ROW]), [file]).marks("tip", place)


_KEY = bytes(range(KEY_BYTES))


def _stores() -> list[Seed]:
    """A folder of kept features: found whole, or taken for damaged and made again."""
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder), {"weights": "x"})
        store.keep([_KEY], torch.rand(1, 1, 4))
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in Path(folder).rglob("*.*")
            if path.is_file()
        }
    return [Seed({"here.txt": b"", **files}, changes=tuple(files))]


def _read_store(file: Path) -> torch.Tensor:
    store = FeatureStore(file.parent, {"weights": "x"})
    row = store.find([_KEY]).get(_KEY) or store.keep([_KEY], torch.rand(1, 1, 4))[_KEY]
    return row[0][row[1]]


def _check_kept(found: torch.Tensor) -> None:
    assert found.shape == (1, 4)
    assert bool(found.isfinite().all())


_TEXTS, _FACTS = ("it rains", "it snows"), {"format": "x-1", "texts": "t", "model": "m"}


def _list_caches() -> list[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank.txt"
        _read_cache(bank)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return [Seed({"bank.txt": b"", **files}, changes=tuple(files))]


def _read_cache(bank: Path) -> torch.Tensor:
    cache = ListCache(bank, _FACTS, "explanations")
    return cache.features(_TEXTS, lambda texts: torch.rand(len(texts), 4), Quiet())


def _check_cache(found: torch.Tensor) -> None:
    assert len(found) == len(_TEXTS)
    assert bool(found.isfinite().all())


READERS: dict[str, Reader] = {
    "feature files": Reader(_files, read_feature_file, _check_parts),
    "few-shot features": Reader(lambda: _files()[:1], FeatureFileSource),
    "text features": Reader(
        _named,
        lambda file: read_named_features(file, ["classes", "concepts"]),
        _check_named,
    ),
    "kept answers": Reader(_answers, _read_answers),
    "feature store": Reader(_stores, _read_store, _check_kept),
    "list caches": Reader(_list_caches, _read_cache, _check_cache),
}
