"""The backbone that everything adapts."""

from __future__ import annotations

from trifocal.clip.checkpoint import load_clip
from trifocal.clip.embeddings import ImageEmbedding, TextBatch, TextEmbedding
from trifocal.clip.encode import encode_images, encode_texts, image_features, text_features
from trifocal.clip.init import build_clip
from trifocal.clip.model import Clip
from trifocal.clip.names import canonical_name
from trifocal.clip.preprocess import Preprocess
from trifocal.clip.shape import SHAPES, ClipShape
from trifocal.clip.tokenizer import Tokenizer, train_tokenizer
from trifocal.clip.writing import save_open_clip, save_pretrained

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
