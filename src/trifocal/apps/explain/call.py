"""`trifocal.explain(...)`: the likeliest explanations of a region of a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trifocal.api.model import Model, load
from trifocal.apps.explain.explanation import Explanation
from trifocal.apps.explain.explanation import explain as rank
from trifocal.apps.region_lists import given_region
from trifocal.data.box_formats import BoxFormat, read_box
from trifocal.data.given import Picture, listed, open_picture
from trifocal.data.regions import Box
from trifocal.errors import UserError
from trifocal.regions.bank import Bank, load_bank
from trifocal.regions.encoder import region_encoder

if TYPE_CHECKING:
    from trifocal.clip import Clip


def explain(
    image: Picture,
    bank: str | os.PathLike[str] | Sequence[str],
    box: Sequence[float] | Sequence[Sequence[float]] | None = None,
    *,
    model: str | os.PathLike[str] | Model | Clip = "builtin",
    top: int = 5,
    box_format: BoxFormat | None = None,
    device: str = "auto",
) -> list[Explanation]:
    """Return the sentences of a bank that most likely hold of a region, best first.

    Args:
        image: A picture, as `Model.encode_image` takes one.
        bank: Sentences, or a file with one on each line (whose embeddings are kept beside it).
        box: Left, top, width and height in pixels, or several of these that together mark the
            region; None for the whole picture.
        model: What `load` takes, or a loaded model.
        top: Most sentences.
        box_format: How a box is written, where it is otherwise: "xyxy", "cxcywh", "normalized".
        device: Where a model that is named is put.

    Returns:
        `Explanation`s (`rank`, `score`, `text`); the score is a cosine.

    Raises:
        TypeError: `image` is no picture, or a box has no four numbers.
        UserError: the picture, a box, the bank or the model does not do.

    Example:
        >>> import trifocal
        >>> bank = ["the box was painted red", "it has rained", "somebody lives here"]
        >>> found = trifocal.explain("new.jpg", bank, box=(10, 10, 30, 30), top=2)
        >>> [one.rank for one in found]
        [1, 2]
    """
    if not listed(image)[1]:
        raise TypeError("explain takes one picture; call it for each.")
    # A file is opened by the region itself, which knows how boxes turn with a photo.
    shown: Any = image if isinstance(image, str | os.PathLike) else open_picture(image)
    region = given_region(shown, _boxes(box, box_format), box_format)
    encoder = region_encoder(load(model, device).clip)
    if isinstance(bank, str | os.PathLike):
        chosen = load_bank(bank, encoder)
    else:
        texts = list(dict.fromkeys(bank))
        if not texts:
            raise UserError("the bank is empty; give sentences to choose from.")
        chosen = Bank(texts, encoder.encode_inferences(texts))
    return rank(encoder, [region], chosen, top)[0]


def _boxes(box: Any, box_format: BoxFormat | None) -> list[Box]:
    """Return one box or several as a list of them."""
    if box is None:
        return []
    several = list(box) if any(hasattr(one, "__len__") for one in box) else [box]
    found = []
    for one in several:
        try:
            found.append(read_box([float(side) for side in one], box_format))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"explain was given no box that it reads ({error}); give left, top, width and height."
            ) from None
    return found
