"""The library names fields, the command line options: here its sentences are put into its words."""

from __future__ import annotations

import re
from collections.abc import Container

_SPELLED = {'resume="fresh"': "fresh=True"}  # options that are called otherwise than their fields
# force=True, tokenizer=, activation='quick_gelu', val_from="train"
_FIELD = re.compile(r"\b([a-z]+(?:_[a-z]+)*)=(?:True\b|(['\"])([\w.-]+)\2|(?=[\s.,;]|$))")


def as_options(sentence: str, options: Container[str]) -> str:
    """Return a sentence of the library with the options of a command for its fields.

    Args:
        sentence: Such as "...; force=True replaces it."
        options: Names of the values that the command has, such as "force"; other fields stay.
    """
    for field, spelled in _SPELLED.items():
        sentence = sentence.replace(field, spelled)

    def option(found: re.Match[str]) -> str:
        name, value = found[1], found[3]
        if name not in options:
            return found[0]
        return f"--{name.replace('_', '-')}" + (f" {value}" if value else "")

    return _FIELD.sub(option, sentence)
