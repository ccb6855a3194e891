"""The caption parsers, by name.

`spacy` uses any installed English spaCy pipeline, as FSC-CLIP does (Oh et al., EMNLP 2024, arXiv
2410.05210); `textblob` needs no download.
"""

from __future__ import annotations

from trifocal.composition.negatives.parse import Parser
from trifocal.composition.negatives.spacy_parser import SpacyParser, spacy_pipelines
from trifocal.composition.negatives.textblob_parser import TextBlobParser
from trifocal.errors import UserError, nearest
from trifocal.plugins import registered

PARSERS = ("auto", "spacy", "textblob")


def make_parser(name: str | Parser = "auto") -> Parser:
    """Build a parser by name, or pass one through.

    Args:
        name: `spacy` (an installed English pipeline), `spacy:<pipeline>`, `textblob` (nothing to
            download), `auto` (spaCy where a pipeline is installed, else textblob), a name that was
            registered, or a `Parser`.

    Raises:
        UserError: the name is unknown, or no such spaCy pipeline is installed.
    """
    if not isinstance(name, str):
        return name
    kind, _, pipeline = name.partition(":")
    if kind not in PARSERS and name in (others := registered("parser")):
        return others[name]()
    if kind not in PARSERS or (pipeline and kind != "spacy"):
        known = (*PARSERS, *registered("parser"))
        raise UserError(
            f"unknown caption parser {name!r}; choose one of {', '.join(known)}, "
            f"spacy:<pipeline>.{nearest(name, known)}"
        )
    if kind == "textblob" or (kind == "auto" and not spacy_pipelines()):
        return TextBlobParser()
    return SpacyParser(pipeline or None)
