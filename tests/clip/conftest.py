"""Tiny CLIPs, the true vocabulary, and open_clip where it can be imported."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import torch

_KEPT = []  # torch.library forgets definitions when their owner goes away


def _declare_torchvision_operators() -> None:
    """Make torchvision importable beside a CPU-only torch that its extension does not fit.

    Its Python side registers shapes for two operators that only the extension declares. Where
    there is no torchvision, as in the default environment, nothing is done.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or "torchvision" in sys.modules:
        return
    extension = next(Path(spec.origin).parent.glob("_C*.so"), None)
    try:
        if extension is not None:
            torch.ops.load_library(str(extension))
            return
    except OSError:
        pass
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)


_declare_torchvision_operators()  # before transformers, which imports torchvision if it can

from trifocal.clip import Clip, ClipShape, Tokenizer, build_clip, train_tokenizer  # noqa: E402

CAPTIONS = [
    "a red cat sits on a blue sofa",
    "two small dogs run over a wooden bridge",
    "the man's yellow bicycle leans against a white fence",
    "a train traveling past a field of sheep",
]
TINY = ClipShape(
    image_size=32,
    patch_size=8,
    vision_width=32,
    vision_layers=2,
    vision_heads=2,
    text_width=32,
    text_layers=2,
    text_heads=2,
    embed_dim=24,
    context_length=20,
)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Tokenizer:
    """A tokenizer of 560 ids learned from a few captions."""
    return train_tokenizer(CAPTIONS * 10, 560)


@pytest.fixture
def tiny_clip(tiny_tokenizer: Tokenizer) -> Clip:
    """A randomly initialized Clip of 2 + 2 layers."""
    return build_clip(TINY, tiny_tokenizer, name="tiny")


@pytest.fixture(scope="session")
def vocabulary_file(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenAI's BPE vocabulary, out of the real data."""
    name = "bpe_simple_vocab_16e6.txt.gz"
    archive = real_data / "annotations.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} not found")
    target = tmp_path_factory.mktemp("bpe") / name
    with zipfile.ZipFile(archive) as file:
        target.write_bytes(file.read(f"clip_bpe/{name}"))
    return target


@pytest.fixture(scope="session")
def clip_tokenizer(vocabulary_file: Path) -> Tokenizer:
    """CLIP's own tokenizer, 49 408 ids."""
    return Tokenizer.from_openai_vocabulary(vocabulary_file)


@pytest.fixture(scope="session")
def coco_captions(real_data: Path) -> list[str]:
    """The captions of the real photos."""
    file = real_data / "images" / "coco.json"
    if not file.is_file():
        pytest.skip(f"{file} not found")
    content = json.loads(file.read_text(encoding="utf-8"))
    return [caption for image in content["images"] for caption in image["captions"]]


@pytest.fixture(scope="session")
def open_clip() -> ModuleType:
    """The open_clip package, for parity."""
    if importlib.util.find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed (pip install open_clip_torch torchvision)")
    return importlib.import_module("open_clip")
