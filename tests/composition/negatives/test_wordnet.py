"""WordNet: what it gives."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from trifocal.composition.negatives import HardNegatives
from trifocal.composition.negatives.inflection import inflect, library
from trifocal.composition.negatives.wordnet import WordNet, lexnames
from trifocal.composition.negatives.wordnet_files import find_wordnet

CAPTION = "A small red ball lies on a table."


@pytest.fixture(scope="module")
def real() -> WordNet:
    find_wordnet.cache_clear()
    if find_wordnet() is None:
        pytest.skip("WordNet is not installed (NLTK data, or Debian's package wordnet-base)")
    return WordNet()


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


PROGRAM = f"""
import numpy as np
from trifocal.composition.negatives import HardNegatives
for lexicon in ("auto", "published"):
    made = HardNegatives(parser="textblob", lexicon=lexicon)
    rng = np.random.default_rng(0)
    for caption in ({CAPTION!r}, "Two brown dogs run across a wet green field."):
        print(lexicon, [made(caption, rng) for _ in range(20)])
"""


def test_draws_are_the_same_in_every_process(
    real: WordNet, capsys: pytest.CaptureFixture[str]
) -> None:
    """NLTK keeps relations in sets of texts, whose order follows PYTHONHASHSEED."""
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exec(PROGRAM, {})  # here, texts are hashed by another seed
    assert capsys.readouterr().out == other
    auto, _, published, _ = other.splitlines()
    assert len(auto) > 1000
    assert len(published) > 1000


def test_candidates_come_in_the_order_of_their_names(real: WordNet) -> None:
    names = list(real.candidates("red", "a"))
    assert names == sorted(names)
    assert len(names) > 50
