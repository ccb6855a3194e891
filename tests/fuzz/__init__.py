"""Fuzzing of every reader of foreign files: `python -m tests.fuzz --inputs 100000`."""
