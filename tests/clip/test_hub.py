"""Fetching from the Hub, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub.errors import EntryNotFoundError

from trifocal.clip import hub, trained_on
from trifocal.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai/clip-vit-base-patch32", True),
        ("laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K@0f1e2d", True),
        ("./runs/a", False),
        ("../a", False),
        ("/abs/path", False),
        ("a/b/c", False),
        ("plain", False),
    ],
)
def test_looks_like_id(text: str, expected: bool) -> None:
    assert hub.looks_like_id(text) is expected


def test_small_files_first_then_one_weights_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def snapshot(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        small = [pattern for pattern in allow_patterns if pattern != trained_on.FILE]
        assert not any("safetensors" in pattern for pattern in small)
        asked.append((name, revision))
        return str(tmp_path)

    def download(name: str, file: str, *, revision: str | None) -> str:
        asked.append((file, revision))
        if file == "first":
            raise EntryNotFoundError("no such file")
        return str(tmp_path / file)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    folder = hub.fetch("org/model@abc", lambda _: ("first", "second", "third"))
    assert folder == tmp_path
    assert asked == [("org/model", "abc"), ("first", tmp_path.name), ("second", tmp_path.name)]
    (tmp_path / "third").touch()  # in the cache already: nothing more is asked for
    asked.clear()
    assert hub.fetch("org/model", lambda _: ("first", "second", "third")) == tmp_path
    assert asked == [("org/model", None)]


def test_a_failure_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host\nand a long traceback")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(UserError) as caught:
        hub.fetch("org/model", lambda _: ())
    assert "no route to host" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is not a Hub id"):
        hub.fetch("model", lambda _: ())
