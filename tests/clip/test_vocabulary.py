"""Where the tokenizer of bare weights is looked for."""

from __future__ import annotations

import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from trifocal.clip import Tokenizer, vocabulary
from trifocal.clip.vocabulary import BPE_FILE, find_tokenizer
from trifocal.errors import UserError


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No installed package and no Hub, unless a test puts one there."""

    def offline(*_: object, **__: object) -> str:
        raise OSError("offline")

    monkeypatch.setattr(vocabulary, "find_spec", lambda _: None)
    monkeypatch.setattr(vocabulary, "snapshot_download", offline)


def test_the_given_one_comes_first(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    tiny_tokenizer.save(tmp_path)
    assert find_tokenizer(tiny_tokenizer, None, 560) is tiny_tokenizer
    assert find_tokenizer(tmp_path, None, 560).vocab_size == 560
    assert find_tokenizer(str(tmp_path / "tokenizer.json"), None, 560).vocab_size == 560
    with pytest.raises(UserError, match="has 560 ids but the text tower 49408"):
        find_tokenizer(tmp_path, None, 49408)


def test_one_that_takes_the_place_of_the_weights_own_is_said(
    tiny_tokenizer: Tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_tokenizer(tiny_tokenizer, tmp_path, 560) is tiny_tokenizer
    assert not caplog.messages
    tiny_tokenizer.save(tmp_path)
    assert find_tokenizer(tiny_tokenizer, tmp_path, 560) is tiny_tokenizer
    assert ["a tokenizer of its own" in message for message in caplog.messages] == [True]


def test_then_the_one_beside_the_weights(
    tiny_tokenizer: Tokenizer, tmp_path: Path, vocabulary_file: Path
) -> None:
    tiny_tokenizer.save(tmp_path / "a")
    assert find_tokenizer(None, tmp_path / "a", 560).vocab_size == 560
    (tmp_path / "b").mkdir()
    shutil.copy(vocabulary_file, tmp_path / "b" / BPE_FILE)
    assert find_tokenizer(None, tmp_path / "b", 49408).vocab_size == 49408


def test_a_stranger_beside_the_weights_is_left_alone(
    tiny_tokenizer: Tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_tokenizer.save(tmp_path)
    with pytest.raises(UserError, match="without a tokenizer"):
        find_tokenizer(None, tmp_path, 49408)
    assert "not theirs" in caplog.text


def test_then_an_installed_package(
    tmp_path: Path, vocabulary_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(vocabulary_file, tmp_path / BPE_FILE)

    def spec(name: str) -> ModuleSpec | None:
        if name != "open_clip":
            return None
        found = ModuleSpec(name, None, is_package=True)
        found.submodule_search_locations = [str(tmp_path)]
        return found

    monkeypatch.setattr(vocabulary, "find_spec", spec)
    assert find_tokenizer(None, None, 49408).vocab_size == 49408
    with pytest.raises(UserError, match="560 ids"):
        find_tokenizer(None, None, 560)  # CLIP's vocabulary is not for other sizes


def test_then_the_hub(
    clip_tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_tokenizer.save(tmp_path)
    asked = []

    def download(repo: str, *, allow_patterns: list[str]) -> str:
        asked.append((repo, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(vocabulary, "snapshot_download", download)
    assert find_tokenizer(None, None, 49408).vocab_size == 49408
    assert asked == [("openai/clip-vit-base-patch32", ["tokenizer.json"])]
    (tmp_path / "tokenizer.json").unlink()  # a cache that holds only part of the model
    with pytest.raises(UserError, match="without a tokenizer"):
        find_tokenizer(None, None, 49408)


def test_and_else_the_remedy_is_named() -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json or bpe_simple_vocab.*tokenizer="):
        find_tokenizer(None, None, 49408)
