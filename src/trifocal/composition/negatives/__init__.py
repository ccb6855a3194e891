"""Rule-made hard negative captions: swap, replace, shuffle (FSC-CLIP, arXiv 2410.05210)."""

from __future__ import annotations

from trifocal.composition.negatives.generator import KINDS, HardNegatives
from trifocal.composition.negatives.normalize import normalize_caption
from trifocal.composition.negatives.parse import Parse, Parser, Span, Token
from trifocal.composition.negatives.parsers import PARSERS, make_parser
from trifocal.composition.negatives.spacy_parser import spacy_pipelines
from trifocal.composition.negatives.store import ParseStore
from trifocal.composition.negatives.table import (
    TableRow,
    prepare_table,
    write_table,
)
from trifocal.composition.negatives.wordnet_files import find_wordnet

__all__ = [
    "KINDS",
    "PARSERS",
    "HardNegatives",
    "Parse",
    "ParseStore",
    "Parser",
    "Span",
    "TableRow",
    "Token",
    "find_wordnet",
    "make_parser",
    "normalize_caption",
    "prepare_table",
    "spacy_pipelines",
    "write_table",
]
