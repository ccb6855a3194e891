"""Putting a dictionary word into the grammatical form of the word it replaces.

`lemminflect` does it where it is installed, else `pyinflect` (which FSC-CLIP uses). Without either,
TextBlob still makes plurals and other words keep their dictionary form.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from functools import cache

LIBRARIES = ("lemminflect", "pyinflect")

Inflect = Callable[[str, str], str]  # (dictionary form, Penn tag) -> inflected form


@cache
def library() -> str:
    """The inflector that is used here, with its version."""
    for name in (*LIBRARIES, "textblob"):
        if importlib.util.find_spec(name) is not None:
            return f"{name}-{importlib.metadata.version(name)}"
    return "none"


@cache
def _inflections() -> Callable[..., tuple[str, ...] | None] | None:
    name = library().partition("-")[0]
    return importlib.import_module(name).getInflection if name in LIBRARIES else None


def inflect(lemma: str, tag: str) -> str:
    """The form of a dictionary word that a Penn tag asks for; the word itself where unknown.

    Words of several parts, and words the library does not know, are left as they are.
    """
    inflections = _inflections()
    if inflections is not None:
        forms = inflections(lemma, tag, inflect_oov=False)
        return forms[0] if forms else lemma
    if tag == "NNS" and lemma.isalpha() and lemma.islower():
        from textblob.en.inflect import pluralize

        return pluralize(lemma)
    return lemma
