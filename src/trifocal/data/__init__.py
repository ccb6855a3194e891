"""Captioned pictures: files of captions, shards, decoding with care, and batches."""
