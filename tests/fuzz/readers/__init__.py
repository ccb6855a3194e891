"""Every reader of foreign files, by name, with small valid files of each form it knows."""

from __future__ import annotations

from tests.fuzz.reader import Reader
from tests.fuzz.readers import (
    benchmarks,
    captions,
    classes,
    features,
    models,
    records,
    regions,
    squares,
)

READERS: dict[str, Reader] = {
    **captions.READERS,
    **classes.READERS,
    **regions.READERS,
    **records.READERS,
    **features.READERS,
    **models.READERS,
    **squares.READERS,
    **benchmarks.READERS,
}
