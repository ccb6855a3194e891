"""Fixtures of the tests of `trifocal classify`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.apps.classify.support import EACH, HEADS, TEMPLATE, WORDS, photos
from trifocal.apps.classify.classifier import Classifier, load_classifier
from trifocal.apps.classify.examples import read_examples
from trifocal.apps.classify.fit import fit_classifier
from trifocal.clip import Clip, load_clip
from trifocal.concepts import head_registry
from trifocal.concepts.vocabulary import load_vocabulary


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Put a simple head in the place of the concept map, and keep features out of the user's cache."""
    monkeypatch.setattr(head_registry, "HEADS", HEADS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def clip() -> Clip:
    return load_clip("builtin")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, clip: Clip) -> Path:
    """A folder with photos, others to test on, and a classifier of theirs."""
    base = tmp_path_factory.mktemp("classify")
    photos(base / "photos", EACH)
    photos(base / "others", 2, start=1000)
    (base / "words.txt").write_text("\n".join(WORDS))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(head_registry, "HEADS", HEADS)
        fitted = fit_classifier(
            read_examples(base / "photos"),
            clip,
            vocabulary=load_vocabulary(base / "words.txt"),
            templates=(TEMPLATE,),
            views=2,
        )
    fitted.save(base / "model")
    return base


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "work"))


@pytest.fixture
def classifier(made: Path, clip: Clip, heads: None) -> Classifier:
    return load_classifier(made / "model", model=clip)
