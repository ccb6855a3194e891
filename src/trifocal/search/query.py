"""Questions to an index: words, a picture, a part of one, and what is not wanted.

Hits are ranked by cosine. That something was found at all is told by how far the best of them stands
out from a background of texts (`background.py`), which a cosine does not tell. What is not wanted
("people") pushes a picture down by as much as its cosine is above the background's mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor
from torch.nn.functional import normalize

from trifocal.clip import Clip
from trifocal.clip.encoder import Encoder
from trifocal.data.picture_lists import ListedPicture
from trifocal.data.regions import Box
from trifocal.errors import UserError
from trifocal.features.embed import encode_images, encode_texts
from trifocal.search.background import CUT
from trifocal.search.boxes import WEIGHT as BOX_WEIGHT
from trifocal.search.boxes import best_windows
from trifocal.search.index import PictureIndex
from trifocal.search.local import WEIGHT as LOCAL_WEIGHT
from trifocal.search.local import local_scores
from trifocal.search.nearest import exact_scores

if TYPE_CHECKING:
    from PIL import Image

_LOOKED_AT = 50  # hits whose deviations decide whether anything was found
_LOOK_TWICE = 50  # hits that a second look may reorder
_OTHERS = 10  # times as many hits are fetched as are asked for, where some may fall out


@dataclass(frozen=True)
class Query:
    """What is looked for; words and a picture together mean something like both.

    Attributes:
        text: In words.
        image: A picture, or where it is.
        without: What is not wanted, in words.
        local: Whether the first hits are looked at again, word by word, too; see `local.py`.
        boxes: Whether the best place in each hit is looked for, and counts; see `boxes.py`.
    """

    text: str = ""
    image: Path | Image.Image | None = None
    without: Sequence[str] = ()
    local: bool = False
    boxes: bool = False


@dataclass(frozen=True)
class Hit:
    """A picture that was found.

    Attributes:
        rank: 1 for the best.
        name: Of the picture.
        score: What it is ranked by: a cosine, unless the query asks for more.
        deviation: By how many standard deviations of a background of texts it stands out; None
            for a query without words.
        picture: Where it lies.
        copies: Names of other files of the same content.
        box: The best place in it, in its pixels, if it was looked for.
    """

    rank: int
    name: str
    score: float
    deviation: float | None
    picture: ListedPicture
    copies: tuple[str, ...] = ()
    box: Box | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        facts: dict[str, Any] = {
            "rank": self.rank,
            "image": self.name,
            "score": round(self.score, 6),
        }
        if self.deviation is not None:
            facts["deviation"] = round(self.deviation, 3)
        if self.copies:
            facts["copies"] = list(self.copies)
        if self.box is not None:
            facts["box"] = [round(side, 1) for side in self.box]
        return facts


@dataclass(frozen=True)
class Found:
    """An answer.

    Attributes:
        hits: The best first.
        deviation: Of the best of the pictures looked at; None for a query without words.
        cut: What it must reach for anything to count as found.
        searched: How many pictures the index has.
    """

    hits: tuple[Hit, ...]
    deviation: float | None
    cut: float
    searched: int

    @property
    def good(self) -> bool:
        """Whether anything was found; a query without words always finds the most similar."""
        return self.deviation is None or self.deviation >= self.cut

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {
            "good_match": self.good,
            "deviation": None if self.deviation is None else round(self.deviation, 3),
            "cut": self.cut,
            "searched": self.searched,
            "hits": [hit.as_dict() for hit in self.hits],
        }


def search(
    model: Encoder,
    index: PictureIndex,
    query: Query,
    top: int = 20,
    *,
    cut: float = CUT,
    exact: bool = False,
) -> Found:
    """Return the pictures of an index that answer a question best.

    Args:
        model: The model that made the index.
        index: What `open_index` returns for that model.
        query: The question.
        top: Most hits.
        cut: Deviations that the best hit must stand out by; see `background.CUT`.
        exact: Look at all pictures, also where FAISS would look at some.

    Raises:
        UserError: nothing is asked, the picture cannot be read, or the model lacks what is needed.
    """
    check_query(query, top, cut)
    asked, words = _asked(model, query)
    fetched = max(_LOOKED_AT, _OTHERS * top if query.without else 2 * top)
    scores, places = _nearest(index, asked, fetched, exact)
    rows = index.vectors[places].float()
    deviations = None if words is None else index.background.deviations(words, rows)
    if query.without:
        unwanted = encode_texts(model, list(query.without))
        above = (rows @ (unwanted - index.background.mean).T).clamp_min(0)
        scores = scores - above.sum(dim=1)
    best = None
    if deviations is not None and len(deviations):
        best = float(deviations[:_LOOKED_AT].max())
    order = scores.argsort(descending=True, stable=True).tolist()
    hits: dict[bytes, Hit] = {}
    for row in order:
        place = int(places[row])
        content = bytes(index.contents[place].numpy())
        picture = index.picture(place)
        if content in hits:
            same = hits[content]
            hits[content] = replace(same, copies=(*same.copies, picture.name))
        elif len(hits) < max(top, _LOOK_TWICE if query.local or query.boxes else 0):
            deviation = None if deviations is None else float(deviations[row])
            hits[content] = Hit(0, picture.name, float(scores[row]), deviation, picture)
    ranked = _looked_twice(model, index, query, words, list(hits.values()))[:top]
    numbered = tuple(replace(hit, rank=rank) for rank, hit in enumerate(ranked, start=1))
    return Found(numbered, best, cut, len(index))


def check_query(query: Query, top: int = 1, cut: float = CUT) -> None:
    """Refuse a question that asks nothing, or for nothing.

    Raises:
        UserError: it does.
    """
    if top < 1:
        raise UserError(f"top is {top}; ask for at least 1.")
    if math.isnan(cut):
        raise UserError("the cut is no number; give deviations, such as 3.8.")
    if not query.text.strip() and query.image is None:
        raise UserError("nothing is asked; say in words what to look for, or give a picture.")
    if query.local and not query.text.strip():
        raise UserError("a second look goes word by word, and there are no words; leave it out.")
    if not all(text.strip() for text in query.without):
        raise UserError("what is not wanted has no words; leave it out.")


def _asked(model: Encoder, query: Query) -> tuple[Tensor, Tensor | None]:
    """Return the unit embedding (D,) of the question, and that of its words alone."""
    words = encode_texts(model, [query.text])[0] if query.text.strip() else None
    if query.image is None:
        assert words is not None
        return words, words
    seen = encode_images(model, [query.image])[0]
    return (seen if words is None else normalize(seen + words, dim=0)), words


def _nearest(index: PictureIndex, asked: Tensor, count: int, exact: bool) -> tuple[Tensor, Tensor]:
    """Return cosines and places of the nearest pictures, best first."""
    if index.cells is not None and not exact:
        return index.cells.nearest(asked, count)
    found = exact_scores(index.vectors, asked).topk(min(count, len(index)))
    return found.values, found.indices


def _looked_twice(
    model: Encoder, index: PictureIndex, query: Query, words: Tensor | None, hits: list[Hit]
) -> list[Hit]:
    """Return the hits in the order of a second look, where one is asked for."""
    pictures = [hit.picture for hit in hits]
    if query.boxes:
        ground = None if words is None else index.background.mean
        asked = _asked(model, query)[0] if words is None else words
        places = best_windows(cast(Clip, model), pictures, asked, ground)
        hits = [
            replace(hit, score=hit.score + BOX_WEIGHT * place.score, box=place.box)
            for hit, place in zip(hits, places)
            if place is not None
        ]
    elif query.local:
        scores = local_scores(cast(Clip, model), pictures, query.text).tolist()
        hits = [
            replace(hit, score=hit.score + LOCAL_WEIGHT * score) for hit, score in zip(hits, scores)
        ]
    else:
        return hits
    return sorted(hits, key=lambda hit: -hit.score)
