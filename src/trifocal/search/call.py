"""`trifocal.search(...)`: one's own pictures by words, by a picture, or by both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trifocal.data.given import Picture, open_picture
from trifocal.devices import usable_device
from trifocal.search.background import CUT
from trifocal.search.index import open_index
from trifocal.search.query import Found, Query, check_query
from trifocal.search.query import search as ask
from trifocal.tuning import load_model

if TYPE_CHECKING:
    from PIL import Image


def search(
    query: str,
    index: str | os.PathLike[str],
    *,
    image: Picture | None = None,
    without: Sequence[str] = (),
    model: Any = None,
    top: int = 20,
    cut: float = CUT,
    local: bool = False,
    boxes: bool = False,
    device: str = "auto",
) -> Found:
    """Return the pictures of an index that answer a question best.

    Args:
        query: In words; "" for a picture alone.
        index: The folder that `trifocal search index` or `trifocal.search.index_pictures` wrote.
        image: A picture that is looked for, as `Model.encode_image` takes one.
        without: What is not wanted, in words.
        model: The model that made the index, or what loads it; by default the recorded one.
        top: Most hits.
        cut: Deviations that the best hit must stand out by for `found.good`.
        local: Look at the first hits again, word by word.
        boxes: Look for the best place in each hit.
        device: Where a model that is named is put.

    Returns:
        A `Found`: `hits` (`rank`, `name`, `score`), and `good`, whether anything fits at all.

    Raises:
        UserError: there is no such index, another model made it, or nothing is asked.

    Example:
        >>> import trifocal
        >>> from trifocal.search import index_pictures
        >>> index_pictures(trifocal.load_clip("builtin"), ["photos"], "photos.index").pictures
        8
        >>> [hit.rank for hit in trifocal.search("a red box", "photos.index", top=2).hits]
        [1, 2]
    """
    shown: Path | Image.Image | None = None
    if isinstance(image, str | os.PathLike):
        shown = Path(image)
    elif image is not None:
        shown = open_picture(image)
    asked = Query(query, shown, tuple(without), local=local, boxes=boxes)
    check_query(asked, top, cut)
    opened = open_index(index)
    encoder = getattr(model, "clip", model)
    if encoder is None or isinstance(encoder, str | os.PathLike):
        with usable_device(device) as found:
            encoder = load_model(encoder or opened.model, device=found).eval()
    opened.check_model(encoder)
    return ask(encoder, opened, asked, top, cut=cut)
