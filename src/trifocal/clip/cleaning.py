"""Caption cleaning as CLIP's checkpoints saw it in training, without extra packages.

OpenAI's tokenizer and open_clip's clean a caption with `ftfy.fix_text`, undo HTML entities twice,
collapse white space and lower the case. This file does the same with the standard library, so
that ids never depend on which packages happen to be installed. Of ftfy's repairs one is left out:
guessing a wrongly decoded text's true encoding ("sÃ³" for "só").
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from html.entities import html5

_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
_TERMINAL_ESCAPE = re.compile("\x1b\\[[0-9;]*[a-zA-Z]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_caption(text: str, *, lower: bool = True) -> str:
    """Return the caption repaired, with single spaces, and in lower case unless it is not wanted."""
    if "&" in text or not (text.isascii() and text.isprintable()):
        text = html.unescape(html.unescape(_repair(text)))
    text = " ".join(text.split())
    return text.lower() if lower else text


def _repair(text: str) -> str:
    """Return text with straight quotes, plain letters and no control characters."""
    entities = "<" not in text  # where there are tags, entities are markup and stay for now
    while True:
        before = text
        if entities:
            text = _ENTITY.sub(_unescape, text)
        text = _TERMINAL_ESCAPE.sub("", text)
        if _SURROGATE.search(text):  # halves of a pair join, lone ones become U+FFFD
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = unicodedata.normalize("NFC", text.translate(_replacements()))
        if text == before:
            return text


def _unescape(match: re.Match[str]) -> str:
    """Return the character of one entity that ends in a semicolon, or the entity itself."""
    entity = match.group()
    if not entity.startswith("&#"):
        return html5.get(entity[1:], entity)
    character = html.unescape(entity)
    return entity if ";" in character else character


@cache
def _replacements() -> dict[int, str]:
    """Return the table of single characters that are replaced, for `str.translate`."""
    table = dict.fromkeys([*range(9), 0x0B, *range(0x0E, 0x20), 0x7F], "")
    table |= dict.fromkeys([*range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD)], "")
    # Two letters in one character: Dutch, Afrikaans, Croatian, typographic.
    table |= {ord("ŉ"): "ʼn", ord("ﬅ"): "ſt"}
    for letter in "ĲĳǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬆ":
        table[ord(letter)] = unicodedata.normalize("NFKC", letter)
    # Full-width and half-width forms, and the ideographic space.
    for code in [0x3000, *range(0xFF01, 0xFFF0)]:
        plain = unicodedata.normalize("NFKC", chr(code))
        if plain != chr(code):
            table[code] = plain
    table |= dict.fromkeys([0x2BC, *range(0x2018, 0x201C)], "'")
    table |= dict.fromkeys(range(0x201C, 0x2020), '"')
    for code in range(0x80, 0xA0):  # C1 controls are Windows-1252 bytes gone astray
        character = bytes([code]).decode("cp1252", "ignore")
        if character:
            table[code] = table.get(ord(character), character)
    return table
