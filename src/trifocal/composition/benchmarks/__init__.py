"""Tests of composition, one file each."""
