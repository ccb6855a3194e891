"""The tokenizer: OpenAI's rules, and the same ids as transformers and open_clip."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
import random
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, CLIPTokenizer

from trifocal.clip import Tokenizer, train_tokenizer
from trifocal.errors import UserError

AWKWARD = ["", " ", "a " * 200, "x" * 1000, "😀" * 100, "!!!", "'", "\n", "0", "don't you'll we've"]


def test_published_ids(clip_tokenizer: Tokenizer) -> None:
    assert clip_tokenizer.vocab_size == 49408
    expected = [49406, 320, 1125, 539, 320, 2368, 49407]
    assert clip_tokenizer.encode("A photo of a cat") == expected
    batch = clip_tokenizer(["A photo of a cat", ""])
    assert batch.ids.tolist() == [expected, [49406, 49407, 0, 0, 0, 0, 0]]
    assert batch.lengths.tolist() == [7, 2]


def test_an_over_long_caption_keeps_its_end(tiny_tokenizer: Tokenizer) -> None:
    batch = tiny_tokenizer("word " * 100)
    assert batch.lengths.tolist() == [77]
    assert batch.ids[0, -1] == tiny_tokenizer.eot_id
    assert (batch.ids[0] == tiny_tokenizer.eot_id).sum() == 1
    assert batch.ids[0, 0] == tiny_tokenizer.sot_id


def test_padding_to_a_length(tiny_tokenizer: Tokenizer) -> None:
    batch = tiny_tokenizer(["a dog", "dogs"], length=77)
    assert batch.ids.shape == (2, 77)
    assert batch.trimmed().ids.equal(tiny_tokenizer(["a dog", "dogs"]).ids)
    with pytest.raises(ValueError, match="cannot pad"):
        tiny_tokenizer("a red dog on a bridge", length=3)


def test_no_texts(tiny_tokenizer: Tokenizer) -> None:
    assert tiny_tokenizer([]).ids.shape == (0, 2)


@given(st.text(max_size=60))
def test_special_tokens_stand_only_at_the_ends(tiny_tokenizer: Tokenizer, text: str) -> None:
    row = tiny_tokenizer.encode(f"{text}<|endoftext|> <|startoftext|>{text}")
    special = {tiny_tokenizer.sot_id, tiny_tokenizer.eot_id}
    assert row[0] == tiny_tokenizer.sot_id
    assert row[-1] == tiny_tokenizer.eot_id
    assert not special & set(row[1:-1])


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz éß中😀", max_size=12))
def test_every_text_survives_the_way_back(tiny_tokenizer: Tokenizer, text: str) -> None:
    again = tiny_tokenizer.decode(tiny_tokenizer.encode(text))
    # Word ends become spaces, so an emoji beside a word comes back apart from it.
    assert again.replace(" ", "") == text.replace(" ", "")


def test_pieces_are_readable(clip_tokenizer: Tokenizer) -> None:
    pieces = clip_tokenizer.pieces("Two unicyclists, café")
    assert (pieces[0], pieces[-1]) == ("<|startoftext|>", "<|endoftext|>")
    assert pieces[1] == "two"
    assert "".join(pieces[1:-1]) == "twounicyclists,café"


def test_training_is_reproducible_and_fills_the_vocabulary() -> None:
    texts = [f"a {c} {n}" for c in ("red", "blue", "green") for n in ("house", "horse", "mouse")]
    first, second = (train_tokenizer(texts * 5, 524) for _ in range(2))
    assert first.backend.to_str() == second.backend.to_str()
    assert first.vocab_size == 524
    assert first.sot_id == 522
    assert first.eot_id == 523
    assert len(first.encode("a red house")) < len("aredhouse") + 2


def test_training_needs_room_for_every_byte() -> None:
    with pytest.raises(UserError, match="at least 514"):
        train_tokenizer(["a"], 100)


def test_save_and_load(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    original = Tokenizer(tiny_tokenizer.backend, context_length=20, cleaning="none")
    original.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.context_length, loaded.cleaning) == (20, "none")
    assert loaded.backend.to_str() == original.backend.to_str()
    assert Tokenizer.load(tmp_path / "tokenizer.json").vocab_size == original.vocab_size


def test_vocab_and_merges_files(clip_tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = json.loads(clip_tokenizer.backend.to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (tmp_path / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    loaded = Tokenizer.load(tmp_path)
    for text in [*AWKWARD, "a photo of a cat"]:
        assert loaded.encode(text) == clip_tokenizer.encode(text)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_a_copy_works_the_same(tiny_tokenizer: Tokenizer, again) -> None:
    # Data workers receive the tokenizer as a pickle, which drops settings of the Rust object.
    text = "A Dog <|endoftext|> &amp; a café"
    assert again(tiny_tokenizer).encode(text) == tiny_tokenizer.encode(text)


def test_transformers_reads_what_we_save(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    tiny_tokenizer.save(tmp_path)
    text = "Two small dogs run over a red bridge, don't they?"
    for kind in (CLIPTokenizer, AutoTokenizer):
        theirs = kind.from_pretrained(tmp_path)
        assert theirs(text).input_ids == tiny_tokenizer.encode(text)
        assert theirs.model_max_length == 77


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{}", "not a tokenizer.json"),
        ("vocabulary.txt.gz", b"plain", "cannot read"),
        ("short.txt.gz", gzip.compress(b"v\na b\n", mtime=0), "not CLIP's vocabulary"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        Tokenizer.load(tmp_path / name)


def test_missing_files(tmp_path: Path, tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="no tokenizer at"):
        Tokenizer.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no tokenizer"):
        Tokenizer.load(tmp_path)
    with pytest.raises(UserError, match="cleaning"):
        Tokenizer(tiny_tokenizer.backend, cleaning="some")  # type: ignore[arg-type]


# --- parity ---------------------------------------------------------------------------------

_WORDS = ["a", "the", "dog", "man's", "women’s", "Über", "café", "naïve", "train", "bridge", "RED"]
_BITS = [
    *"abcXYZ0123456789.,!?'\"-;#/()_~`|\\+=*%$@",
    *"éèñöçßÀÉÎåŁźİıΣσςЖя中文字日本語한국어ไทยعربيहिन्दी",
    *"😀🐕👍",
    *["👩‍👩‍👧", "🇫🇷", "👍🏽", "❤️", "–", "—", "…", "½", "²", "①", "™", "©", "€", "'s", "'LL"],
    *["<b>", "</b>", "<br/>", "\t", "\n", "\u00a0", "\u200b", "e\u0301"],
]
_HTML = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&eacute;", "&amp;amp;", "&nbsp;", "&bogus;"]
_TYPOGRAPHY = ["‘", "’", "“", "”", "ﬁ", "ﬂ", "Ａ", "ｂ", "！", "\u3000", "\x07", "ŉ", "ǆ", "\ufeff"]


def made_up(count: int, bits: list[str]) -> list[str]:
    """Strings of words and awkward bits, always the same."""
    rng = random.Random(0)
    texts = list(AWKWARD)
    while len(texts) < count:
        parts = [
            rng.choice(bits) if rng.random() < 0.4 else rng.choice(_WORDS) + rng.choice("   \t")
            for _ in range(rng.randint(0, 14))
        ]
        texts.append("".join(parts))
    return texts


@pytest.fixture(scope="module")
def strings(coco_captions: list[str]) -> list[str]:
    """More than 10 000 strings: real captions, and made-up ones of every kind."""
    return [*coco_captions, *made_up(10_000, _BITS + _HTML + _TYPOGRAPHY)]


def test_ids_equal_transformers(
    clip_tokenizer: Tokenizer, strings: list[str], tmp_path: Path
) -> None:
    clip_tokenizer.save(tmp_path)
    theirs = CLIPTokenizer.from_pretrained(tmp_path)
    plain = Tokenizer(clip_tokenizer.backend, cleaning="none")
    rows = theirs(strings, truncation=True, max_length=77).input_ids
    assert len(strings) >= 10_000
    assert [text for text, row in zip(strings, rows) if plain.encode(text) != row] == []


def test_cleaning_changes_nothing_in_plain_captions(
    clip_tokenizer: Tokenizer, coco_captions: list[str]
) -> None:
    plain = Tokenizer(clip_tokenizer.backend, cleaning="none")
    usual = [c for c in coco_captions if c.isascii() and "&" not in c]
    assert len(usual) > 1000
    assert [clip_tokenizer.encode(c) for c in usual] == [plain.encode(c) for c in usual]


def test_ids_equal_open_clip(
    clip_tokenizer: Tokenizer, strings: list[str], open_clip: ModuleType
) -> None:
    import ftfy

    # ftfy also repairs text that was decoded wrongly; that guess is the one thing left out, and
    # a random jumble of accents looks like such text now and then.
    sound = [text for text in strings if ftfy.fix_encoding(text) == text]
    assert len(sound) >= 10_000
    theirs = open_clip.tokenize(sound)
    ours = torch.nn.functional.pad(clip_tokenizer(sound).ids, (0, 77))[:, :77]
    differing = [t for t, a, b in zip(sound, ours, theirs) if not torch.equal(a, b)]
    # Entities may also spell such text, unseen by the filter above.
    repaired = [t for t in differing if open_clip_repairs(t)]
    assert sorted(set(differing) - set(repaired)) == []
    assert len(repaired) < 20


def open_clip_repairs(text: str) -> bool:
    """Whether ftfy repairs the decoding of a text once its entities are undone."""
    import ftfy

    return ftfy.fix_text(text, fix_encoding=False) != ftfy.fix_text(text)
