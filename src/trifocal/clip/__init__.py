"""The backbone that everything adapts."""

from __future__ import annotations

from trifocal.clip.checkpoint import canonical_name, load_clip, save_open_clip, save_pretrained
from trifocal.clip.embeddings import ImageEmbedding, TextBatch, TextEmbedding
from trifocal.clip.encode import encode_images, encode_texts
from trifocal.clip.model import Clip
from trifocal.clip.preprocess import Preprocess
from trifocal.clip.shape import SHAPES, ClipShape, build_clip
from trifocal.clip.tokenizer import Tokenizer, train_tokenizer

__all__ = [
    "SHAPES",
    "Clip",
    "ClipShape",
    "ImageEmbedding",
    "Preprocess",
    "TextBatch",
    "TextEmbedding",
    "Tokenizer",
    "build_clip",
    "canonical_name",
    "encode_images",
    "encode_texts",
    "load_clip",
    "save_open_clip",
    "save_pretrained",
    "train_tokenizer",
]
