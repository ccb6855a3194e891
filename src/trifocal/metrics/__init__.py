"""Measures: ranks, pairs and groups, accuracy, intervals; the result row; the benchmark contract.

Embedding what a score needs is in `trifocal.features.embed`, which alone here needs the backbone.
"""
