"""Text concepts: the shipped list, a user's, their prompts and features."""

from __future__ import annotations

import json
import logging
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trifocal.clip import TextBatch, TextEmbedding
from trifocal.clip.tokenizer import Tokenizer, train_tokenizer
from trifocal.concepts.vocabulary import (
    FEW,
    Vocabulary,
    check_context,
    concept_prompts,
    concept_text,
    load_vocabulary,
    normalized,
)
from trifocal.errors import UserError

MANY = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]


class Letters(torch.nn.Module):
    """Embeds a text as the counts of its letters; `preprocess` makes it an encoder."""

    device = torch.device("cpu")
    preprocess = None

    def tokenize(self, texts: list[str]) -> TextBatch:
        lengths = torch.tensor([len(text) + 2 for text in texts])
        ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
        for row, text in zip(ids, texts, strict=True):
            row[1 : len(text) + 1] = torch.tensor([ord(letter) % 32 for letter in text])
        return TextBatch(ids, lengths)

    def encode_text(self, texts: TextBatch, *, tokens: bool = False) -> TextEmbedding:
        counts = torch.nn.functional.one_hot(texts.ids, 32).sum(1)[:, 1:].float()
        return TextEmbedding(torch.nn.functional.normalize(counts, dim=1))


class Log:
    def __init__(self) -> None:
        self.done = 0

    def start(self, what: str, total: int) -> None:
        self.total = total

    def advance(self, count: int) -> None:
        self.done += count


def test_shipped_vocabulary(caplog):
    with caplog.at_level(logging.INFO):
        vocabulary = load_vocabulary()
    assert not caplog.records  # neither repeated nor few
    assert 1950 <= len(vocabulary) <= 2050
    assert len(set(vocabulary.names)) == len(vocabulary.families) == len(vocabulary)
    assert {"red", "striped", "fluffy"} <= set(vocabulary.names)
    assert vocabulary.families[vocabulary.names.index("striped")] == "texture"


def test_file_with_comments_and_families(tmp_path):
    file = tmp_path / "mine.txt"
    lines = ["\ufeff# mine", "", "  Boeing   tail \t part ", "#red", "blue\tcolor", *MANY]
    file.write_text("\n".join(lines), encoding="utf-8")
    vocabulary = load_vocabulary(file)
    assert vocabulary == load_vocabulary(str(file))
    assert vocabulary.names == ("Boeing tail", "blue", *MANY)
    assert vocabulary.families == ("part", "color") + (None,) * 60


def test_lists(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(MANY), encoding="utf-8")
    assert load_vocabulary(file) == load_vocabulary(MANY) == load_vocabulary(tuple(MANY))
    assert load_vocabulary(MANY) == Vocabulary(tuple(MANY), (None,) * 60)


def test_repetitions_are_dropped_and_counted(caplog):
    with caplog.at_level(logging.INFO):
        got = load_vocabulary(
            ["Polka-dotted", "polka  dotted", "polka_dotted", " ", *MANY, "wordaa"]
        )
    assert got.names == ("Polka-dotted", *MANY)
    assert [record.getMessage() for record in caplog.records] == [
        "the list of concepts repeats 3 of its concepts; each is used once."
    ]


@pytest.mark.parametrize(("count", "warned"), [(3, True), (FEW - 1, True), (FEW, False)])
def test_a_small_vocabulary_is_used_with_a_warning(count, warned, caplog):
    assert len(load_vocabulary(MANY[:count])) == count
    assert [f"has {count} concepts only" in r.getMessage() for r in caplog.records] == [
        True
    ] * warned


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "holds no concept"),
        ("a.txt", b"# red\n\n \n", "holds no concept"),
        ("a.txt", b"red\nRED\n", "holds only one concept"),
        ("a.txt", b"\xff\xfe\x00red", "not UTF-8"),
        ("a.json", b"[]", "holds no concept"),
        ("a.json", b'{"red": 1}', "not a JSON list of strings"),
        ("a.json", b'["red", ', "not a JSON list of strings"),
        ("a.json", b"[" * 100_000, "not a JSON list of strings"),
        ("a.json", b'["red", 5]', "holds 5, which is not a string"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_vocabulary(tmp_path / name)


def test_other_bad_sources(tmp_path):
    with pytest.raises(UserError, match="there is no vocabulary"):
        load_vocabulary(tmp_path)
    with pytest.raises(UserError, match="there is no vocabulary"):
        load_vocabulary("red")
    with pytest.raises(UserError, match="holds no concept"):
        load_vocabulary([])
    with pytest.raises(UserError, match="holds None, which is not a string"):
        load_vocabulary(["red", None])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="2 names, but 1 families"):
        Vocabulary(("red", "blue"), (None,))


@given(st.text(max_size=30))
def test_normalizing_twice_changes_nothing(text):
    assert normalized(normalized(text)) == normalized(text)


def test_prompts():
    pair = Vocabulary(("red", "odd {} one"), (None, None))
    assert concept_prompts(pair) == [["The photo is red."], ["The photo is odd {} one."]]
    assert concept_prompts(pair, ("{}", "a {c} thing"))[0] == ["red", "a red thing"]
    with pytest.raises(UserError, match="no place"):
        concept_prompts(pair, ("a photo",))
    with pytest.raises(UserError, match="at least one template"):
        concept_prompts(pair, ())


def test_features_are_the_unit_mean_of_unit_prompts():
    pair, log = Vocabulary(("ab", "abb"), (None, None)), Log()
    got = concept_text(Letters(), pair, ("{}", "{}c"), log)
    r2, r3, r5, r6 = 2**-0.5, 3**-0.5, 5**-0.5, 6**-0.5
    want = torch.zeros(2, 31)
    want[0, :3] = torch.tensor([r2 + r3, r2 + r3, r3])
    want[1, :3] = torch.tensor([r5 + r6, 2 * (r5 + r6), r6])
    torch.testing.assert_close(got, want / want.norm(dim=1, keepdim=True))
    assert got.dtype == torch.float32
    assert log.done == log.total == 4
    torch.testing.assert_close(got.norm(dim=1), torch.ones(2))


def test_long_concepts_are_found(caplog):
    tokenizer = train_tokenizer(["the photo is red and blue"], 600, context_length=40)
    words = Vocabulary((*MANY[:19], "red " * 40), (None,) * 20)
    assert check_context(words, tokenizer) == ["red " * 40]
    assert not caplog.records  # one of twenty is not more than 5 %
    few = Vocabulary(words.names[1:], words.families[1:])
    assert check_context(few, tokenizer) == ["red " * 40]
    assert "1 of 19 concepts are longer than the 40 tokens" in caplog.text


def test_a_concept_that_just_fits_is_not_cut():
    tokenizer = train_tokenizer(["a"], 514, context_length=10)
    pair = Vocabulary(("a" * 8, "a" * 9), (None, None))
    assert check_context(pair, tokenizer, ("{}",)) == ["a" * 9]


def test_shipped_prompts_are_short(real_data, tmp_path):
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        path = archive.extract("clip_bpe/bpe_simple_vocab_16e6.txt.gz", tmp_path)
    tokenizer = Tokenizer.load(path)
    vocabulary = load_vocabulary()
    assert check_context(vocabulary, tokenizer) == []
    lengths = [len(tokenizer.encode(name)) - 2 for name in vocabulary.names]
    assert max(lengths) <= 8
    assert sum(lengths) / len(lengths) < 2.5
