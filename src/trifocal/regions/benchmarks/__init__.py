"""Tests of regions, one file each, and the metrics and files that they share."""
