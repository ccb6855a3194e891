"""Banks: what is read, when the embeddings are made again, and the ranking against brute force."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from trifocal.clip import Clip, ClipShape, Preprocess, build_clip, train_tokenizer
from trifocal.data.regions import Region, RegionItem
from trifocal.data.sherlock_files import Instance, write_instances
from trifocal.errors import UserError
from trifocal.features import list_cache
from trifocal.regions import bank as bank_module
from trifocal.regions.bank import Bank, load_bank, read_bank
from trifocal.regions.encoder import RegionEncoder
from trifocal.regions.prompts import PromptConfig

TEXTS = [f"somebody {verb} the {noun}" for verb in ("eats", "buys") for noun in ("cake", "boat")]


def clip(seed: int = 0, name: str = "tiny") -> Clip:
    tokenizer = train_tokenizer(TEXTS, 550, context_length=24)
    shape = ClipShape(
        image_size=16,
        patch_size=8,
        vision_width=16,
        vision_layers=1,
        vision_heads=2,
        text_width=16,
        text_layers=1,
        text_heads=2,
        embed_dim=8,
        vocab_size=tokenizer.vocab_size,
        context_length=24,
    )
    return build_clip(shape, tokenizer, Preprocess(size=(16, 16)), seed=seed, name=name)


class Counting(RegionEncoder):
    """An encoder that counts the texts it embeds."""

    def __init__(self, model: Clip, prompt: PromptConfig | None = None) -> None:
        super().__init__(model, prompt or PromptConfig(prefix=False, period=False))
        self.embedded = 0

    def encode_inferences(self, texts: Any, **options: Any) -> Tensor:
        self.embedded += len(texts)
        return super().encode_inferences(texts, **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bank.txt"
    path.write_text("\n".join(TEXTS))
    return path


def caches(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.name}.*.safetensors"))


# What is read


def test_empty_lines_and_duplicates_go(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_bytes("\ufeffit  rains \r\n\r\n \t\nit rains\nb\u2028c\n".encode())
    assert read_bank(path) == ["it rains", "b c"]


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text('{"text": "a", "n": 1}\n\n{"text": "\\ud800b"}\n{"text": "a"}\n')
    assert read_bank(path) == ["a", "?b"]


@pytest.mark.parametrize("suffix", [".json", ".zip"])
def test_sherlock_layout_gives_its_inferences(tmp_path: Path, suffix: str) -> None:
    region = Region(tmp_path / "a.png", ((1, 2, 3, 4),), (9, 9))
    said = ("it will rain", "it is late", "it will rain")
    items = [RegionItem(str(n), region, "a clue", text) for n, text in enumerate(said)]
    path = tmp_path / f"bank{suffix}"
    write_instances(path, [Instance(item, "a.png") for item in items])
    assert read_bank(path) == ["it will rain", "it is late"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("b.txt", b"", "is empty"),
        ("b.txt", b"\n  \n", "is empty"),
        ("b.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("b.jsonl", b'{"text": "a"}\n{"txt": 1}\n', "line 2"),
        ("b.jsonl", b"[[", "line 1"),
        ("b.json", b'["a"]', "Sherlock"),
        ("b.json", b"[]", "is empty"),
        ("b.csv", b"text\na\n", "neither .txt"),
    ],
)
def test_bad_banks(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_bank(tmp_path / name)


def test_missing_bank(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no bank"):
        read_bank(tmp_path / "b.txt")


# The cache


def test_second_time_nothing_is_embedded(file: Path) -> None:
    first, second = Counting(clip()), Counting(clip())
    made, found = load_bank(file, first), load_bank(file, second)
    assert (first.embedded, second.embedded) == (4, 0)
    assert made.texts == found.texts == TEXTS
    assert made.key == found.key
    torch.testing.assert_close(made.features, found.features, rtol=0, atol=0)
    assert len(caches(file)) == 1
    assert sorted(file.parent.iterdir()) == sorted([file, *caches(file)])


def test_white_space_changes_nothing(file: Path) -> None:
    load_bank(file, Counting(clip()))
    file.write_text("\n\n".join(f"  {text}" for text in TEXTS))
    again = Counting(clip())
    load_bank(file, again)
    assert again.embedded == 0


def test_changed_bank_replaces_the_cache(file: Path) -> None:
    old = load_bank(file, Counting(clip()))
    file.write_text("\n".join(TEXTS[1:]))
    again = Counting(clip())
    new = load_bank(file, again)
    assert again.embedded == 3
    torch.testing.assert_close(new.features, old.features[1:])
    assert len(caches(file)) == 1


def test_models_of_other_names_keep_theirs(file: Path) -> None:
    load_bank(file, Counting(clip(0, "a")))
    load_bank(file, Counting(clip(1, "b")))
    assert len(caches(file)) == 2
    for seed, name in ((0, "a"), (1, "b")):
        again = Counting(clip(seed, name))
        load_bank(file, again)
        assert again.embedded == 0


def test_model_trained_further_replaces_its_own(file: Path) -> None:
    load_bank(file, Counting(clip(0)))
    other = Counting(clip(1))
    bank = load_bank(file, other)
    assert other.embedded == 4
    torch.testing.assert_close(bank.features, RegionEncoder.encode_inferences(other, TEXTS))
    assert len(caches(file)) == 1


def test_text_settings_and_tokenizer_are_part_of_it(file: Path) -> None:
    load_bank(file, Counting(clip()))
    prefixed = Counting(clip(), PromptConfig(prefix=True))
    load_bank(file, prefixed)
    other = Counting(clip(name="b"))
    other.clip.tokenizer.cleaning = "none"
    load_bank(file, other)
    # How a picture is shown does not matter to texts.
    shown = Counting(clip(), PromptConfig("r-box", prefix=False, period=False))
    load_bank(file, shown)
    assert (prefixed.embedded, other.embedded, shown.embedded) == (4, 4, 0)
    assert len(caches(file)) == 3


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x40
    path.write_bytes(content)


def garble(path: Path) -> None:
    path.write_bytes(b"no safetensors")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path) -> None:
    """Another model's embeddings under this name."""
    with safe_open(path, "pt") as opened:
        facts = opened.metadata()
    save_file(load_file(path), path, {**facts, "key": "0" * 64})


def fewer(path: Path) -> None:
    with safe_open(path, "pt") as opened:
        facts = opened.metadata()
    features = load_file(path)["features"][:2].clone()
    save_file(
        {"features": features},
        path,
        {**facts, "sum": hashlib.sha256(features.numpy().tobytes()).hexdigest()},
    )


def rename(path: Path) -> None:
    with safe_open(path, "pt") as opened:
        facts = opened.metadata()
    save_file({"other": load_file(path)["features"].clone()}, path, facts)


@pytest.mark.parametrize("poison", [truncate, flip, garble, empty, swap, fewer, rename])
def test_poisoned_cache_is_made_again(
    file: Path, poison: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = load_bank(file, Counting(clip())).features.clone()
    (cache,) = caches(file)
    poison(cache)
    again = Counting(clip())
    with caplog.at_level(logging.WARNING):
        bank = load_bank(file, again)
    assert again.embedded == 4
    assert "damaged" in caplog.text
    torch.testing.assert_close(bank.features, good, rtol=0, atol=0)
    third = Counting(clip())
    load_bank(file, third)
    assert third.embedded == 0


def test_folder_that_cannot_be_written_only_warns(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_bank(file, Counting(clip()))
    (cache,) = caches(file)
    cache.unlink()
    cache.mkdir()  # stands for a read-only folder, which root may write to
    (cache / "x").touch()
    with caplog.at_level(logging.WARNING):
        bank = load_bank(file, Counting(clip()))
    assert len(bank.features) == 4
    assert "cannot be kept" in caplog.text


def test_other_files_beside_the_bank_stay(file: Path) -> None:
    theirs = file.with_name("bank.txt.0123456789ab.safetensors")
    save_file({"features": torch.zeros(2, 2)}, theirs, {"by": "somebody"})
    named = file.with_name("bank.txt.backup.safetensors")
    named.write_bytes(b"mine")
    load_bank(file, Counting(clip()))
    assert theirs.is_file()
    assert named.read_bytes() == b"mine"


def test_model_without_weights_to_tell_is_not_cached(file: Path) -> None:
    class Plain:
        name, protocol = "plain", "by length"

        def encode_inferences(self, texts: list[str], **options: Any) -> Tensor:
            return torch.tensor([[1.0, 0.0] for _ in texts])

    assert load_bank(file, Plain()).features.shape == (4, 2)
    assert not caches(file)


# Long banks


def test_interrupted_bank_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_bank(file, Counting(clip())).features.clone()
    caches(file)[0].unlink()
    monkeypatch.setattr(list_cache, "CHUNK", 1)

    class Cut(Counting):
        def encode_inferences(self, texts: Any, **options: Any) -> Tensor:
            if self.embedded == 2:
                raise KeyboardInterrupt
            return super().encode_inferences(texts, **options)

    with pytest.raises(KeyboardInterrupt):
        load_bank(file, Cut(clip()))
    assert not caches(file)
    part = next(file.parent.glob(".bank.txt.*.parts/000001.safetensors"))
    truncate(part)
    again = Counting(clip())
    bank = load_bank(file, again)
    assert again.embedded == 3  # one part was whole
    torch.testing.assert_close(bank.features, whole)
    assert sorted(file.parent.iterdir()) == sorted([file, *caches(file)])


def test_parts_of_another_bank_are_dropped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_cache, "CHUNK", 1)
    cut = Counting(clip())
    cut.encode_inferences = lambda texts, **options: (  # type: ignore[method-assign]
        Counting.encode_inferences(cut, texts, **options) if cut.embedded < 2 else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        load_bank(file, cut)
    assert list(file.parent.glob(".bank.txt.*.parts"))
    file.write_text("\n".join(TEXTS[:3]))
    load_bank(file, Counting(clip()))
    assert not list(file.parent.glob(".bank.txt.*.parts"))


def test_large_banks_are_kept_in_half(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = load_bank(file, Counting(clip())).features.clone()
    caches(file)[0].unlink()
    monkeypatch.setattr(bank_module, "FLOAT32_BYTES", 16)
    made, found = load_bank(file, Counting(clip())), load_bank(file, Counting(clip()))
    assert made.features.dtype == found.features.dtype == torch.float16
    query = exact[:1]
    for bank in (made, found):
        scores, _ = bank.best(query, 4)
        true = (query @ exact.T).sort(descending=True).values
        torch.testing.assert_close(scores, true, rtol=0, atol=5e-4)


# The ranking


@pytest.mark.parametrize("top", [1, 3, 50, 200])
def test_best_equals_brute_force(top: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_module, "_SCORED", 7)  # the end of a chunk is nothing special
    unit = torch.nn.functional.normalize(torch.randn(60, 12), dim=1)
    queries, features = unit[:9], unit[9:]
    scores, places = Bank([str(n) for n in range(51)], features).best(queries, top)
    cosines = queries @ features.T
    order = cosines.argsort(dim=1, descending=True)[:, :top]
    assert torch.equal(places, order)
    torch.testing.assert_close(scores, cosines.gather(1, order))


def test_cache_says_what_it_is(file: Path) -> None:
    load_bank(file, Counting(clip()))
    with safe_open(caches(file)[0], "pt") as opened:
        facts = opened.metadata()
    assert facts["format"] == bank_module.FORMAT
    assert facts["model"] == "tiny"
    assert json.dumps(facts)
