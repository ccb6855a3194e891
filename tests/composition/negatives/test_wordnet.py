"""WordNet: where it is looked for, and what it gives."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest

from trifocal.composition.negatives import HardNegatives, generator, wordnet
from trifocal.composition.negatives.inflection import inflect, library
from trifocal.composition.negatives.wordnet import WordNet, find_wordnet, lexnames
from trifocal.errors import UserError

CAPTION = "A small red ball lies on a table."


@pytest.fixture(scope="module")
def real() -> WordNet:
    find_wordnet.cache_clear()
    if find_wordnet() is None:
        pytest.skip("WordNet is not installed (NLTK data, or Debian's package wordnet-base)")
    return WordNet()


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "find_wordnet", lambda: None)
    monkeypatch.setattr(wordnet, "find_wordnet", lambda: None)
    monkeypatch.setattr(generator, "_said", set())


@pytest.mark.usefixtures("without")
def test_missing_wordnet_is_said_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            drawn = HardNegatives(parser="textblob")(CAPTION)
            assert drawn["replace"] is None
            assert drawn["swap"]
            assert drawn["shuffle"]
    assert len(caplog.records) == 1
    assert "wordnet-base" in caplog.text
    with pytest.raises(UserError, match="WordNet is not found; install NLTK"):
        WordNet()


@pytest.mark.usefixtures("without")
def test_nothing_is_said_where_replace_is_not_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    HardNegatives(("swap", "shuffle"), parser="textblob")(CAPTION)
    HardNegatives(("replace",), parser="textblob", lexicon=None)(CAPTION)
    assert not caplog.records


def test_named_folder_without_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    monkeypatch.setenv("TRIFOCAL_WORDNET", str(tmp_path))
    find_wordnet.cache_clear()
    try:
        with pytest.raises(UserError, match="TRIFOCAL_WORDNET is set to"):
            find_wordnet()
    finally:
        find_wordnet.cache_clear()


def test_lexicographer_files() -> None:
    lines = lexnames().splitlines()
    assert len(lines) == 45
    assert lines[0] == "00\tadj.all\t3"
    assert lines[5] == "05\tnoun.animal\t1"
    assert lines[28] == "28\tnoun.time\t1"
    assert lines[29] == "29\tverb.body\t2"
    assert lines[43] == "43\tverb.weather\t2"
    assert lines[44] == "44\tadj.ppl\t3"


def brute_force(reader, word: str, pos: str) -> dict[str, int]:
    """The rule read off the paper, one lemma at a time, with counts from NLTK."""

    def cousins(sense):
        for parent in sense.hypernyms():
            for grandparent in parent.hypernyms():
                for branch in grandparent.hyponyms():
                    yield from (c for c in branch.hyponyms() if c != sense)

    def alternatives(sense):
        for lemma in sense.lemmas():
            yield from lemma.antonyms()
        if sense.pos() not in {"a", "s"}:
            for cousin in cousins(sense):
                yield from cousin.lemmas()
            return
        related = [d for lemma in sense.lemmas() for d in lemma.derivationally_related_forms()]
        for noun in {d.synset() for d in related if d.synset().pos() == "n"}:
            for cousin in cousins(noun):
                for lemma in cousin.lemmas():
                    for d in lemma.derivationally_related_forms():
                        if d.synset().pos() in {"a", "s"} and d.synset() != sense:
                            yield d

    senses = reader.synsets(word, pos)
    own = {lemma.name() for sense in senses for lemma in sense.lemmas()}
    weights: dict[str, int] = {}
    for sense in senses:
        for lemma in alternatives(sense):
            if lemma.name() not in own:
                weights[lemma.name()] = weights.get(lemma.name(), 0) + max(1, lemma.count())
    return weights


@pytest.mark.parametrize(
    ("word", "pos"),
    [
        ("kites", "n"),
        ("red", "a"),
        ("striped", "a"),
        ("snowing", "v"),
        ("quickly", "r"),
        ("x1", "n"),
    ],
)
def test_candidates_are_those_of_the_rule(real: WordNet, word: str, pos: str) -> None:
    assert real.candidates(word, pos) == brute_force(real.reader, word, pos)


def test_candidates_make_sense(real: WordNet) -> None:
    assert real.name == f"wordnet-{real.reader.get_version()}"
    colors = real.candidates("red", "a")
    assert {"blue", "green", "white", "purple"} <= set(colors)
    assert "crimson" not in colors  # a synonym
    assert real.candidates("slowly", "r") == {"quickly": real.candidates("slowly", "r")["quickly"]}
    assert "big" in real.candidates("small", "a")  # an antonym's
    assert "dog" not in real.candidates("dogs", "n")


def test_open_files_do_not_travel_to_spawned_workers(real: WordNet) -> None:
    assert real.reader
    assert len(pickle.dumps(real)) < 1000
    assert pickle.loads(pickle.dumps(real))._reader is None


def test_replace_end_to_end(real: WordNet) -> None:
    hn = HardNegatives(("replace",), parser="textblob", lexicon=real)
    drawn = [hn(CAPTION)["replace"] for _ in range(40)]
    assert None not in drawn
    assert CAPTION not in drawn
    assert len(set(drawn)) > 10


def test_inflection_of_plurals() -> None:
    assert library().partition("-")[0] in {"lemminflect", "pyinflect", "textblob"}
    assert inflect("dog", "NNS") == "dogs"
    assert inflect("dog", "NN") == "dog"
    assert inflect("traffic_light", "NNS") == "traffic_light"  # unknown: left as it is


def test_inflection_of_verbs() -> None:
    pytest.importorskip("lemminflect", reason="lemminflect is not installed (extra 'text')")
    assert inflect("ride", "VBG") == "riding"
    assert inflect("eat", "VBN") == "eaten"
    assert inflect("child", "NNS") == "children"
