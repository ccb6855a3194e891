"""Captioned pictures: files of captions, shards, decoding with care, and batches."""

from __future__ import annotations

from trifocal.data.captions import CaptionDataset, CaptionItem, present, read_captions
from trifocal.data.images import BadImage, open_image
from trifocal.data.samples import CaptionBatch, Sample, Skipped, Source
from trifocal.data.shards import ShardDataset, write_shards

__all__ = [
    "BadImage",
    "CaptionBatch",
    "CaptionDataset",
    "CaptionItem",
    "Sample",
    "ShardDataset",
    "Skipped",
    "Source",
    "open_image",
    "present",
    "read_captions",
    "write_shards",
]
