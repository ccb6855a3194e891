"""CLIP's byte-pair tokenizer: captions in, `TextBatch` out.

A thin wrapper around the `tokenizers` package. It adds start and end of text itself, so that an
over-long caption keeps its end of text (the text tower pools there; OpenAI's rule), cleans
captions as OpenAI's and open_clip's tokenizers do, and never lets a caption smuggle in a special
token."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer as Backend
from tokenizers.trainers import BpeTrainer

from trifocal.clip.bpe import (
    EOT,
    SOT,
    WORD_END,
    add_tokens,
    byte_alphabet,
    from_vocabulary,
    make_backend,
    openai_layout,
    read_backend,
    read_merge,
    text_of,
)
from trifocal.clip.cleaning import clean_caption
from trifocal.clip.embeddings import TextBatch
from trifocal.clip.weights import read_json
from trifocal.errors import UserError

CONTEXT_LENGTH = 77
Cleaning = Literal["openai", "none"]

_LARGEST_ID = 10_000_000
_MAX_VOCABULARY = 64 << 20  # characters; the published file has 3 million
_OPENAI_MERGES = 49152 - 256 - 2  # the published file lists more merges than CLIP uses


class Tokenizer:
    """Turns captions into ids.

    Attributes:
        backend: the `tokenizers.Tokenizer` that does the work.
        context_length: ids a text may have at most, start and end included.
        cleaning: "openai" cleans captions as CLIP's training did (entities undone, quotes made
            straight, white space collapsed); "none" leaves that out and gives the ids of plain
            transformers.
        sot_id, eot_id: the ids of start and end of text.
        pad_id: what rows are filled up with. Nothing reads it.
    """

    pad_id = 0

    def __init__(
        self,
        backend: Backend,
        *,
        context_length: int = CONTEXT_LENGTH,
        cleaning: Cleaning = "openai",
    ) -> None:
        sot, eot = backend.token_to_id(SOT), backend.token_to_id(EOT)
        largest = max(backend.get_vocab().values(), default=0)
        if largest > _LARGEST_ID:  # the package would write each id up to it
            raise UserError(f"the vocabulary has the id {largest}; number its tokens from 0 on.")
        if sot is None or eot is None:
            raise UserError(
                f"this is not a CLIP tokenizer: its vocabulary lacks {SOT} or {EOT}; "
                "give the tokenizer.json of a CLIP."
            )
        if cleaning not in ("openai", "none"):
            raise UserError(f"cleaning is {cleaning!r}; use 'openai' or 'none'.")
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.context_length = context_length
        self.cleaning: Cleaning = cleaning
        self.sot_id: int = sot
        self.eot_id: int = eot
        try:
            self._splitter = self._make_splitter()
        except Exception as error:  # the package raises bare Exception
            raise UserError(f"this is not a CLIP tokenizer: {error}.") from error

    def _make_splitter(self) -> Backend:
        """Return the backend as `encode` uses it; the original stays as it is saved.

        A caption that spells start or end of text means the letters. Tokens that were added for
        captions are found in them, as transformers does.
        """
        content = json.loads(self.backend.to_str())
        for token in content["added_tokens"]:
            token["special"] = token["content"] in (SOT, EOT)
        splitter = Backend.from_str(json.dumps(content))
        splitter.encode_special_tokens = True
        self._adds = len(content["added_tokens"]) > 2
        if self.cleaning == "openai" and not self._adds:
            splitter.normalizer = None  # type: ignore[assignment]  # cleaning has done its work
        return splitter

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in vars(self).items() if k not in ("_splitter", "_adds")}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._splitter = self._make_splitter()  # the package does not carry its settings along

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return self.backend.get_vocab_size()

    @property
    def largest_id(self) -> int:
        """The largest id a caption can have; ids need not be without gaps."""
        return max(self.backend.get_vocab().values())

    def encode(self, text: str) -> list[int]:
        """Return the ids of one caption with start and end of text, cut to the context length."""
        return [self.sot_id, *self._content(text)[: self.context_length - 2], self.eot_id]

    def _content(self, text: str) -> list[int]:
        """Return the ids of one caption, of any length."""
        if self.cleaning == "openai":
            text = clean_caption(text, lower=not self._adds)  # added tokens have capitals
        return self._splitter.encode(text, add_special_tokens=False).ids

    def __call__(self, texts: str | Sequence[str], *, length: int | None = None) -> TextBatch:
        """Tokenize captions.

        Args:
            texts: one caption or several.
            length: pad to this many ids; by default to the longest caption given.
        """
        most = self.context_length - 2
        contents = [self._content(text) for text in ([texts] if isinstance(texts, str) else texts)]
        rows = [[self.sot_id, *content[:most], self.eot_id] for content in contents]
        cut = torch.tensor([len(content) > most for content in contents], dtype=torch.bool)
        lengths = [len(row) for row in rows]
        width = max(lengths, default=2) if length is None else length
        if max(lengths, default=0) > width:
            raise ValueError(f"cannot pad {max(lengths)} ids to {width}")
        padded = [row + [self.pad_id] * (width - len(row)) for row in rows]
        ids = torch.tensor(padded, dtype=torch.long).view(len(rows), width)
        longest = max(lengths, default=None)
        return TextBatch(ids, torch.tensor(lengths, dtype=torch.long), longest, cut)

    def pieces(self, text: str) -> list[str]:
        """Return the readable pieces of a caption, one for each id of `encode`."""
        return [self._spell(index) for index in self.encode(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, without special tokens."""
        kept = [int(i) for i in ids if int(i) not in (self.sot_id, self.eot_id)]
        tokens = "".join(self.backend.id_to_token(i) or "" for i in kept)
        return text_of(tokens).strip()

    def _spell(self, index: int) -> str:
        if index in (self.sot_id, self.eot_id):
            return SOT if index == self.sot_id else EOT
        return text_of(self.backend.id_to_token(index) or "").rstrip(" ")

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`; transformers reads them too."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.backend.save(str(folder / "tokenizer.json"))
        content = {
            "tokenizer_class": "CLIPTokenizer",
            "bos_token": SOT,
            "eos_token": EOT,
            "pad_token": EOT,
            "unk_token": EOT,
            "model_max_length": self.context_length,
            "caption_cleaning": self.cleaning,
        }
        text = json.dumps(content, indent=2) + "\n"
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, which `from_dict` reads."""
        return {"cleaning": self.cleaning, "content": json.loads(self.backend.to_str())}

    @classmethod
    def from_dict(cls, content: Any) -> Tokenizer:
        """Read what `as_dict` returned.

        Raises:
            UserError: it is something else.
        """
        try:
            backend = Backend.from_str(json.dumps(content["content"]))
            return cls(backend, cleaning=content["cleaning"])
        except UserError:
            raise
        except Exception as error:  # the package raises bare Exception
            raise UserError(f"this is no tokenizer ({error}); export the model again.") from error

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a tokenizer: a folder, a `tokenizer.json`, or OpenAI's `.txt.gz` vocabulary."""
        path = Path(path)
        if path.is_dir():
            return cls._from_folder(path)
        if not path.is_file():
            raise UserError(f"no tokenizer at {path}: give a folder, tokenizer.json or .txt.gz.")
        if path.suffix == ".gz":
            return cls.from_openai_vocabulary(path)
        return cls(read_backend(path))

    @classmethod
    def _from_folder(cls, folder: Path) -> Tokenizer:
        if (folder / "tokenizer.json").is_file():
            backend = read_backend(folder / "tokenizer.json")
        elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            backend = from_vocabulary(folder)
        else:
            raise UserError(f"{folder} holds no tokenizer: tokenizer.json is missing.")
        config = read_json(folder / "tokenizer_config.json") or {}
        for name, token in (("bos_token", SOT), ("eos_token", EOT)):
            stated = config.get(name) or token
            if (stated.get("content") if isinstance(stated, dict) else stated) != token:
                raise UserError(
                    f"{folder}'s tokenizer_config.json has the {name} {stated!r}; a CLIP's texts "
                    f"begin with {SOT} and end with {EOT}, so give such a tokenizer."
                )
        add_tokens(backend, config, (read_json(folder / "added_tokens.json") or {}), folder)
        length = config.get("model_max_length")
        if not isinstance(length, int) or not 2 < length < 1_000_000:  # a huge one means "none"
            length = CONTEXT_LENGTH
        cleaning = "none" if config.get("caption_cleaning") == "none" else "openai"
        return cls(backend, context_length=length, cleaning=cleaning)

    @classmethod
    def from_openai_vocabulary(cls, path: str | Path) -> Tokenizer:
        """Build CLIP's own tokenizer (49 408 ids) from `bpe_simple_vocab_16e6.txt.gz`."""
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                lines = file.read(_MAX_VOCABULARY).split("\n")
        except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
            raise UserError(f"cannot read the vocabulary {path}: {error}.") from error
        merges = [read_merge(line) for line in lines[1 : _OPENAI_MERGES + 1]]
        if len(merges) < _OPENAI_MERGES:
            raise UserError(f"{path} is not CLIP's vocabulary: it has only {len(merges)} merges.")
        try:
            return cls(make_backend(openai_layout(merges), merges))
        except Exception as error:  # the package raises bare Exception
            raise UserError(f"{path} is not CLIP's vocabulary: {error}.") from error


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, *, context_length: int = CONTEXT_LENGTH
) -> Tokenizer:
    """Learn a small byte-pair vocabulary in CLIP's style.

    Every byte stays encodable, so no text is ever out of vocabulary.

    Args:
        texts: captions to learn from.
        vocab_size: ids at most, at least 514 (bytes, word-ending bytes, two special tokens).
        context_length: of the tokenizer.
    """
    alphabet = byte_alphabet()
    room = vocab_size - 2 * len(alphabet) - 2
    if room < 0:
        raise UserError(f"vocab_size is {vocab_size}; it must be at least {vocab_size - room}.")
    backend = make_backend(openai_layout([]), [])
    trainer = BpeTrainer(
        vocab_size=2 * len(alphabet) + room,
        initial_alphabet=alphabet,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    backend.train_from_iterator((clean_caption(text) for text in texts), trainer)
    learned = json.loads(backend.to_str())["model"]["merges"]
    merges = [(left, right) for left, right in learned[:room]]
    tokenizer = make_backend(openai_layout(merges), merges)
    return Tokenizer(tokenizer, context_length=context_length)
