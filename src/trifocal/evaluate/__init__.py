"""Runs: benchmarks over a model, tables, curves, and the report."""

from trifocal.called import let_be_called

let_be_called(__name__, "call")
