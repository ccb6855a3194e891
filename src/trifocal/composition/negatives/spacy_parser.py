"""Parses from an installed English spaCy pipeline (the paper uses `en_core_web_sm`)."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator
from typing import Any

from trifocal.composition.negatives.parse import Parse, Span, Token
from trifocal.errors import UserError, nearest

_BATCH = 256  # captions parsed together
_NEEDED = ("parser", "tagger")


def spacy_pipelines() -> list[str]:
    """Names of the installed English spaCy pipelines, the paper's `en_core_web_sm` first."""
    if importlib.util.find_spec("spacy") is None:
        return []
    entries = importlib.metadata.entry_points(group="spacy_models")
    names = sorted({entry.name for entry in entries if entry.name.startswith("en_")})
    return sorted(names, key=lambda name: not name.startswith("en_core_web_sm"))


class SpacyParser:
    """A `Parser` over a spaCy pipeline with a tagger and a dependency parser.

    The pipeline is loaded at the first caption, once per process: an object made before data
    workers are forked or spawned costs nothing there.

    Args:
        pipeline: name of an installed pipeline, or a loaded `spacy.Language`; by default the
            first of `spacy_pipelines()`.

    Raises:
        UserError: no such pipeline is installed.
    """

    def __init__(self, pipeline: str | Any | None = None) -> None:
        self._language: Any = None
        if pipeline is not None and not isinstance(pipeline, str):
            self._language = pipeline
            self.name = _language_name(pipeline)
            return
        installed = spacy_pipelines()
        if pipeline is None and not installed:
            raise UserError(
                "no English spaCy pipeline is installed; run `python -m spacy download "
                "en_core_web_sm`, or choose the parser 'textblob', which needs no download."
            )
        self._pipeline = pipeline or installed[0]
        if self._pipeline not in installed:
            raise UserError(
                f"the spaCy pipeline {self._pipeline!r} is not installed; run `python -m spacy "
                f"download {self._pipeline}`.{nearest(self._pipeline, installed)}"
            )
        version = importlib.metadata.version(self._pipeline.replace("_", "-"))
        self.name = f"spacy-{self._pipeline}-{version}"

    def __getstate__(self) -> dict[str, Any]:
        """A spawned worker loads its own copy of a pipeline that was given by name."""
        state = dict(self.__dict__)
        if "_pipeline" in state:
            state["_language"] = None
        return state

    @property
    def language(self) -> Any:
        """The loaded `spacy.Language`.

        Raises:
            UserError: the pipeline has no tagger or no dependency parser.
        """
        if self._language is None:
            import spacy

            language = spacy.load(self._pipeline, exclude=["ner"])
            missing = [name for name in _NEEDED if name not in language.pipe_names]
            if missing:
                raise UserError(
                    f"the spaCy pipeline {self._pipeline!r} lacks {' and '.join(missing)}; "
                    "install en_core_web_sm or another pipeline that has them."
                )
            self._language = language
        return self._language

    def parse(self, caption: str) -> Parse:
        """Parse one caption."""
        return from_doc(self.language(caption))

    def parse_many(self, captions: Iterable[str]) -> Iterator[Parse]:
        """Parse captions in batches, in order: several times faster than one by one."""
        return map(from_doc, self.language.pipe(captions, batch_size=_BATCH))


def _language_name(language: Any) -> str:
    meta = language.meta
    return f"spacy-{meta['lang']}_{meta['name']}-{meta['version']}"


def from_doc(doc: Any) -> Parse:
    """A `Parse` of a spaCy `Doc`; white-space tokens are left out."""
    kept = [token for token in doc if not token.is_space]
    position = {token.i: index for index, token in enumerate(kept)}
    parsed = doc.has_annotation("DEP")
    tokens = tuple(
        Token(
            text=token.text,
            start=token.idx,
            end=token.idx + len(token.text),
            tag=token.tag_,
            pos=token.pos_,
            lemma=token.lemma_.lower() or token.text.lower(),
            dep=token.dep_ if parsed else "",
            # white space never governs a word, save in broken parses: then the word is a root
            head=position.get(token.head.i, index) if parsed else -1,
        )
        for index, token in enumerate(kept)
    )
    chunks = []
    for chunk in doc.noun_chunks if parsed else ():
        inside = [position[token.i] for token in chunk if token.i in position]
        if inside:
            chunks.append(Span(inside[0], inside[-1] + 1))
    return Parse(doc.text, tokens, tuple(chunks))
