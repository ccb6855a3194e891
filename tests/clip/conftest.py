"""Tiny CLIPs and the true vocabulary."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from trifocal.clip import Clip, ClipShape, Tokenizer, build_clip, train_tokenizer

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
