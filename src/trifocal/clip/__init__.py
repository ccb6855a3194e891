"""The backbone that everything adapts."""

from __future__ import annotations

from trifocal.clip.checkpoint import canonical_name, load_clip, save_open_clip, save_pretrained
from trifocal.clip.embeddings import ImageEmbedding, TextBatch, TextEmbedding
from trifocal.clip.encode import encode_images, encode_texts, image_features, text_features
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
    "image_features",
    "load_clip",
    "save_open_clip",
    "save_pretrained",
    "text_features",
    "train_tokenizer",
]
