"""`trifocal search` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.search.conftest import paint
from trifocal.cli import main
from trifocal.clip import Clip, save_pretrained


@pytest.fixture
def place(tmp_path: Path, tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and pictures."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "photos")
    save_pretrained(tiny_clip, tmp_path / "model")
    return tmp_path


def test_index_query_and_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "photos" / "broken.png").write_bytes(b"")
    assert main(["search", "index", "photos", "--out", "idx", "--model", "model", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pictures"], told["embedded"], len(told["left_out"])) == (6, 6, 1)
    ask = ["search", "query", "idx", "a red ball", "--top", "2"]
    assert main([*ask, "--json", "--html", "page.html", "--not", "a cat"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    assert (place / "page.html").read_text().count("data:image/webp") == 2
    assert main([*ask, "--cut", "1000"]) == 0
    assert "no good match among 6 pictures" in capsys.readouterr().out
    image = ["search", "query", "idx", "--image", "photos/red.png", "--json"]
    assert main(image) == 0
    whole = json.loads(capsys.readouterr().out)["hits"]
    assert whole[0]["image"].endswith("red.png")
    assert main([*image, "--box", "0,0,6,6"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["score"] != whole[0]["score"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["query", "nowhere", "a dog"], "is no search index"),
        (["query", "nowhere"], "nothing is asked"),
        (["query", "nowhere", "a", "--box", "1,2,3,4"], "give the picture"),
        (["query", "nowhere", "a", "--top", "0"], "ask for at least 1"),
        (["query", "nowhere", "a", "--html", "page.txt"], "end its name in .html"),
        (["index", "nowhere", "--out", "idx"], "there is no nowhere"),
        (["index", "photos", "--out", "photos"], "already has content"),
    ],
)
def test_mistakes_are_sentences(
    place: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *words]) == 2
    assert said in capsys.readouterr().err
