"""Runs: benchmarks over a model, tables, curves, and the report."""
