"""Opening what the benchmarks of a run share: see `shared.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trifocal.clip.encoder import Encoder
from trifocal.features.pictures import picture_store
from trifocal.features.shared import Elsewhere, Shared, in_use
from trifocal.features.store import FeatureStore

TEXT_FORMAT = "trifocal-texts-1"


@contextmanager
def sharing(
    model: Encoder, *, cache: Path | None = None, elsewhere: Elsewhere | None = None
) -> Iterator[None]:
    """Embed every picture and text once for this model while the block runs.

    Args:
        model: A Clip, or what embeds as one does.
        cache: The folder that keeps embeddings (`default_cache()`); None to keep none. A model that
            has no fingerprint is never kept.
        elsewhere: Embeds pictures instead of this process; see `Shared`.
    """
    compute = getattr(model, "fingerprint", None)
    pictures = texts = None
    if cache is not None and compute is not None:
        pictures = picture_store(model, cache)
        facts = {"format": TEXT_FORMAT, "weights": compute(), "dtype": "float32"}
        texts = FeatureStore(cache, facts, {"backbone": getattr(model, "name", "")})
    with in_use(Shared(model, pictures, texts, elsewhere)):
        yield
