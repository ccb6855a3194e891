"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from trifocal.clip import Clip, ClipShape, Preprocess, build_clip, train_tokenizer

# A busy machine must not fail a property.
settings.register_profile("trifocal", deadline=None)
settings.load_profile("trifocal")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def unflushed() -> Iterator[None]:
    """Nothing waits for the disk: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real photos, annotation files and features (see CONTRIBUTING.md)."""
    folder = Path(os.environ.get("TRIFOCAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set TRIFOCAL_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Path:
    """The small inputs that once went wrong, written anew."""
    script = real_data.parent / "cases" / "make.py"
    if not script.is_file():
        pytest.skip(f"there is no {script}")
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, str(script), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def open_clip() -> ModuleType:
    """The open_clip package, for parity."""
    if importlib.util.find_spec("open_clip") is None:
        pytest.skip("open_clip is not installed (`make peers` brings it)")
    return importlib.import_module("open_clip")


SENTENCES = (
    "a red ball to the left of a blue box",
    "there is a large striped fish above a green cup in a field",
    "a picture of a dog and two cats on a street at night.",
    "an image of a photo of the umbrella, along with a crown",
)


@pytest.fixture(scope="session")
def tiny_clips() -> list[Clip]:
    """Two random CLIPs of 32 px, one vocabulary."""
    tokenizer = train_tokenizer(SENTENCES, 600, context_length=32)
    shape = ClipShape(
        image_size=32,
        patch_size=8,
        vision_width=32,
        vision_layers=1,
        vision_heads=2,
        text_width=32,
        text_layers=1,
        text_heads=2,
        embed_dim=16,
        vocab_size=tokenizer.vocab_size,
        context_length=32,
    )
    preprocess = Preprocess(size=(32, 32))
    return [
        build_clip(shape, tokenizer, preprocess, seed=seed, name=f"tiny-{seed}") for seed in (0, 1)
    ]


@pytest.fixture
def tiny_clip(tiny_clips: list[Clip]) -> Clip:
    return tiny_clips[0]
