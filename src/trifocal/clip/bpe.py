"""CLIP's byte-pair vocabulary: its layout, and the backends of the files that hold one.

The layout is OpenAI's (Radford et al. 2021): 256 bytes, the same 256 ending a word, the merges,
then start and end of text; tokens that somebody added come after them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from trifocal.clip.weights import read_json
from trifocal.errors import UserError

SOT, EOT = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def byte_alphabet() -> list[str]:
    """Return the 256 characters that stand for bytes, in OpenAI's order."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + i) for i in range(len(hidden))]


def _byte_values() -> dict[str, int]:
    """Return the byte that each character of `byte_alphabet` stands for."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return dict(zip(byte_alphabet(), visible + hidden, strict=True))


def text_of(tokens: str) -> str:
    """Return the text of joined vocabulary entries."""
    values = _byte_values()
    words = tokens.split(WORD_END)
    raw = [bytes(values[c] for c in word if c in values) for word in words]
    return b" ".join(raw).decode("utf-8", "replace")


def openai_layout(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Return token -> id: bytes, word-ending bytes, merges, start and end of text."""
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(c + WORD_END for c in alphabet)]
    tokens += [left + right for left, right in merges]  # two merges may make the same token
    return {token: index for index, token in enumerate(dict.fromkeys([*tokens, SOT, EOT]))}


def make_backend(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Backend:
    """Assemble CLIP's tokenizer from its vocabulary, as transformers does."""
    backend = Backend(
        models.BPE(
            vocab=vocab,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix=WORD_END,
            unk_token=EOT,
        )
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    special = [AddedToken(token, normalized=False, special=True) for token in (SOT, EOT)]
    backend.add_special_tokens(special)
    backend.post_processor = processors.RobertaProcessing(
        (EOT, vocab[EOT]),
        (SOT, vocab[SOT]),
        trim_offsets=False,
        add_prefix_space=False,
    )
    return backend


def from_vocabulary(folder: Path) -> Backend:
    """Assemble the tokenizer of `vocab.json` and `merges.txt`."""
    vocab = read_json(folder / "vocab.json") or {}
    if EOT not in vocab or SOT not in vocab or not all(type(i) is int for i in vocab.values()):
        raise UserError(f"{folder / 'vocab.json'} is not a CLIP's vocabulary: it lacks {EOT}.")
    try:
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        start = 1 if lines and lines[0].startswith("#version") else 0
        return make_backend(vocab, [read_merge(line) for line in lines[start:] if line.strip()])
    except Exception as error:  # the package raises bare Exception
        raise UserError(f"{folder / 'merges.txt'} does not fit vocab.json: {error}.") from error


def add_tokens(
    backend: Backend, config: dict[str, Any], added: dict[str, Any], folder: Path
) -> None:
    """Add the tokens that a folder's other files name, at the ids that they name.

    Raises:
        UserError: They cannot have these ids.
    """
    decoder = config.get("added_tokens_decoder") or {}
    try:
        named = {int(i): AddedToken(**_token_fields(token)) for i, token in decoder.items()}
        named = named or {i: AddedToken(text) for text, i in added.items() if type(i) is int}
    except (AttributeError, TypeError, ValueError):
        raise UserError(
            f"{folder}'s tokenizer_config.json has an added_tokens_decoder that is not like "
            '{"49408": {"content": "<new>"}}; correct it.'
        ) from None
    for index in sorted(named):
        token = named[index]
        if backend.token_to_id(token.content) is None:
            backend.add_tokens([token])
        if backend.token_to_id(token.content) != index:
            raise UserError(
                f"{folder} gives the added token {token.content!r} the id {index}, but its "
                f"vocabulary {backend.token_to_id(token.content)}; correct the one that is wrong."
            )


def _token_fields(token: dict[str, Any]) -> dict[str, Any]:
    names = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    return {name: token[name] for name in names if name in token}


def read_backend(path: Path) -> Backend:
    try:
        return Backend.from_file(str(path))
    except Exception as error:  # the package raises bare Exception
        raise UserError(f"{path} is not a tokenizer.json: {error}.") from error


def read_merge(line: str) -> tuple[str, str]:
    left, _, right = line.strip().partition(" ")
    return left, right
