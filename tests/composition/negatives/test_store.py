"""The file of parses: kept, shared between processes, never in the way."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import sqlite3
from pathlib import Path

import pytest

from tests.composition.negatives.parses import van
from trifocal.composition.negatives import HardNegatives, Parse, ParseStore
from trifocal.composition.negatives.store import caption_key
from trifocal.errors import UserError


class CountingParser:
    """Returns one parse for every caption and counts the calls."""

    def __init__(self, name: str = "counting-1") -> None:
        self.name = name
        self.calls = 0

    def parse(self, caption: str) -> Parse:
        self.calls += 1
        return van()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "parses.sqlite"


def test_what_is_put_is_found_again(path: Path) -> None:
    with ParseStore(path) as store:
        assert store.get_parse("k") is None
        store.put_parse("k", "content é")
        store.put_word("k", "word")
        assert len(store) == 1
    store = ParseStore(path)
    assert store.get_parse("k") == "content é"
    assert store.get_word("k") == "word"
    assert store.get_word("other") is None
    store.close()
    assert store.get_parse("k") == "content é"  # opens again


def test_rows_are_written_in_groups(path: Path) -> None:
    store, reader = ParseStore(path), ParseStore(path)
    store.put_parse("first", "x")
    assert reader.get_parse("first") is None
    for number in range(300):
        store.put_parse(str(number), "x")
    assert reader.get_parse("first") == "x"
    assert reader.get_parse("299") is None
    store.flush()
    assert reader.get_parse("299") == "x"
    store.put_parse("299", "y")  # the first stays
    store.flush()
    assert reader.get_parse("299") == "x"


def test_captions_are_parsed_once_across_runs(path: Path) -> None:
    parser = CountingParser()
    hn = HardNegatives(("swap",), parser=parser, store=path)
    hn(van().text)
    hn(van().text)
    assert parser.calls == 1
    assert hn.store is not None
    hn.store.close()
    again = HardNegatives(("swap",), parser=parser, store=path)
    assert again(van().text)["swap"]
    assert parser.calls == 1
    HardNegatives(("swap",), parser=(other := CountingParser("counting-2")), store=path)(van().text)
    assert other.calls == 1  # another version of the parser parses anew


def test_damaged_content_is_parsed_anew(path: Path) -> None:
    parser = CountingParser()
    key = caption_key(parser.name, van().text)
    with ParseStore(path) as store:
        store.put_parse(key, "[not a parse]")
    HardNegatives(("swap",), parser=parser, store=path)(van().text)
    assert parser.calls == 1
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE parses SET content = 'plain'")
    assert ParseStore(path).get_parse(key) is None


def test_file_that_is_no_store(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a table of captions, by mistake" * 40)
    with pytest.raises(UserError, match="is not a store of parses"):
        ParseStore(path).get_parse("k")
    assert path.read_text().startswith("a table")


def test_unwritable_place_is_said_once_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    hn = HardNegatives(("swap",), parser=CountingParser(), store=tmp_path / "file" / "store")
    with caplog.at_level(logging.WARNING):
        for caption in "abc":
            assert hn(caption)["swap"]
        assert hn.store is not None
        hn.store.close()
    assert len(caplog.records) == 1
    assert "are not kept in" in caplog.text


def _work(path: Path, first: int, store: ParseStore | None) -> None:
    store = store or ParseStore(path)
    for number in range(first, first + 150):
        store.put_parse(str(number), f"content {number}")
    assert store.get_parse("inherited") == "yes"
    store.close()
    store.flush()


@pytest.mark.parametrize("fork", [False, True])
def test_processes_share_a_file(path: Path, fork: bool) -> None:
    with ParseStore(path) as store:
        store.put_parse("inherited", "yes")
        store.flush()
        store.put_parse("waiting", "in the parent")
        context = multiprocessing.get_context("fork")
        given = store if fork else None
        workers = [context.Process(target=_work, args=(path, 100 * k, given)) for k in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        # 0..349, the inherited one, and the parent's waiting one (not written by the children)
        assert len(store) == 352
        assert store.get_parse("349") == "content 349"


def test_copy_for_a_spawned_worker(path: Path) -> None:
    with ParseStore(path) as store:
        store.put_parse("k", "x")
        store.flush()
        copy = pickle.loads(pickle.dumps(store))
        assert copy.path == path
        assert copy.get_parse("k") == "x"
