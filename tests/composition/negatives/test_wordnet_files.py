"""Where WordNet is looked for, how it is fetched, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trifocal.cli import main
from trifocal.composition.negatives import HardNegatives, wordnet_files
from trifocal.composition.negatives.wordnet import WordNet
from trifocal.composition.negatives.wordnet_files import find_wordnet, get_wordnet
from trifocal.errors import UserError

CAPTION = "A small red ball lies on a table."

nltk_data = pytest.importorskip("nltk.data")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine without WordNet; returns NLTK's empty folder of data."""
    folder = tmp_path / "nltk_data"
    folder.mkdir()
    monkeypatch.delenv("TRIFOCAL_WORDNET", raising=False)
    monkeypatch.setattr(nltk_data, "path", [str(folder)])
    monkeypatch.setattr(wordnet_files, "SYSTEM_FOLDERS", ())
    find_wordnet.cache_clear()
    yield folder
    find_wordnet.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, error: str = "") -> list[str]:
    """Let NLTK's downloader write empty files of WordNet's names, or fail; return what it does."""
    from nltk.downloader import Downloader

    called: list[str] = []

    def download(self: Any, name: str, folder: str, **_: Any) -> bool:
        called.append(name)
        if error:
            raise ValueError(error)
        place = Path(folder, "corpora", "wordnet")
        place.mkdir(parents=True)
        for kind in ("data", "index"):
            for part in ("noun", "verb", "adj", "adv"):
                (place / f"{kind}.{part}").touch()
        return True

    monkeypatch.setattr(Downloader, "download", download)
    return called


def test_replace_without_wordnet_stops_with_the_remedy(without: Path) -> None:
    with pytest.raises(UserError) as caught:
        HardNegatives(parser="textblob")
    said = str(caught.value)
    assert said.startswith("hard negatives of the kind 'replace' need WordNet: ")
    for remedy in (
        "pip install 'trifocal[text]'",
        "trifocal data get wordnet",
        "negatives: [swap, shuffle]",
        "--kinds swap,shuffle",
    ):
        assert remedy in said
    with pytest.raises(UserError, match="or leave that kind out"):
        HardNegatives(("replace",), lexicon="published")
    with pytest.raises(UserError, match="WordNet is not found: `pip install"):
        WordNet()


def test_without_wordnet_the_other_kinds_work(without: Path) -> None:
    drawn = HardNegatives(("swap", "shuffle"), parser="textblob")(CAPTION)
    assert drawn["swap"]
    assert drawn["shuffle"]
    assert HardNegatives(("replace",), parser="textblob", lexicon=None)(CAPTION)["replace"] is None


def test_a_table_of_negatives_without_wordnet(
    without: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "captions.csv"
    table.write_text(f"image,caption\na.jpg,{CAPTION}\n")
    words = ["data", "prepare", "negatives", str(table), "--out", str(tmp_path / "made.tsv")]
    assert main(words) == 2
    assert "--kinds swap,shuffle" in capsys.readouterr().err
    assert not (tmp_path / "made.tsv").exists()


@pytest.mark.parametrize("method", ["fsc_clip", "negclip"])
def test_training_without_wordnet(
    without: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: tried\nmethod: {{name: {method}}}\ndata: {{source: world, size: 64}}\n"
        "batch_size: 8\nworkers: 0\nschedule: {steps: 1, warmup_steps: 0}\n"
        f"negatives: {{parser: textblob}}\noutput: {tmp_path / 'runs'}\n"
    )
    assert main(["--device", "cpu", "train", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert "need WordNet" in said
    assert "negatives: [swap, shuffle]" in said
    stated = ["--method.negatives", "[swap, shuffle]"]
    assert main(["--device", "cpu", "--quiet", "train", str(recipe), *stated]) == 0


def test_wordnet_that_is_there_is_only_named(
    without: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = pretend(monkeypatch)
    assert main(["data", "get", "wordnet"]) == 0
    assert main(["data", "get", "wordnet"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    place = without / "corpora" / "wordnet"
    assert first == f"WordNet has been fetched to {place}"
    assert second == f"WordNet is there already: {place}"
    assert called == ["wordnet"]


def test_no_network(without: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "Error loading wordnet: <urlopen error no route>")
    with pytest.raises(UserError, match=r"could not be fetched into .*no route.*wordnet-base"):
        get_wordnet()


def test_named_folder_without_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIFOCAL_WORDNET", str(tmp_path))
    find_wordnet.cache_clear()
    try:
        with pytest.raises(UserError, match="TRIFOCAL_WORDNET is set to"):
            find_wordnet()
    finally:
        find_wordnet.cache_clear()


def test_an_archive_cut_off_is_not_wordnet(without: Path) -> None:
    (without / "corpora").mkdir()
    (without / "corpora" / "wordnet.zip").write_bytes(b"PK\x03\x04 cut off")
    assert find_wordnet() is None
