"""Making an index, and bringing one up to date: what has not changed is not embedded again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.data.images import BadImage
from trifocal.data.picture_lists import ListedPicture, list_pictures
from trifocal.errors import UserError
from trifocal.features.corpus import chunks, embed_chunk
from trifocal.features.identity import content_hash
from trifocal.features.parts import Parts
from trifocal.features.reading import read_ahead
from trifocal.files import atomic_folder, check_folder, is_marked
from trifocal.progress import Onward, Progress, Quiet
from trifocal.search.background import embed_background
from trifocal.search.index import CELLS, KIND, PictureIndex, open_index, write_index
from trifocal.search.nearest import EXACT_MOST, build_cells, has_faiss

logger = logging.getLogger(__name__)

Row = tuple[Tensor, int, bytes]  # features of a file, which of them, and the hash of the content


@dataclass(frozen=True)
class Indexed:
    """What became of some pictures.

    Attributes:
        pictures: How many the index has.
        embedded: How many of them were embedded now.
        left_out: Names of those that cannot be read, and why.
    """

    pictures: int
    embedded: int
    left_out: tuple[tuple[str, str], ...]


def check_index(out: str | os.PathLike[str], model: Encoder | None = None) -> None:
    """Refuse a folder that `index_pictures` would refuse; see there."""
    target = check_folder(out, KIND, force=True)
    if model is not None and is_marked(target, KIND):
        open_index(target, model)


def index_pictures(
    model: Encoder,
    sources: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    image_column: str | None = None,
    batch_size: int = 64,
    threads: int = 4,
    exact_most: int = EXACT_MOST,
    progress: Progress | None = None,
) -> Indexed:
    """Index pictures, or bring their index up to date.

    A file that was not touched since is not opened; one that was moved or copied is known by its
    content. A run that was stopped goes on where it was. Pictures that are no longer in the sources
    leave the index; those that cannot be read are named and left out.

    Args:
        model: A Clip, or what embeds as one does, with a fingerprint.
        sources: See `list_pictures`.
        out: Folder of the index; an older one of the same model is replaced when the new one is
            whole.
        image_column: See `list_pictures`.
        batch_size: Pictures in one pass.
        threads: How many pictures are opened at a time.
        exact_most: Most pictures of which a query looks at all; above, FAISS parts them.
        progress: Told of every picture.

    Raises:
        UserError: a source has no pictures, the folder holds something else or the index of another
            model, no picture can be read, or FAISS is wanted and absent.
    """
    fingerprint = getattr(model, "fingerprint", None)
    if fingerprint is None:
        raise UserError(f"{model.name} has no fingerprint, so no index can be kept of it.")
    target = check_folder(out, KIND, force=True)
    sources = [os.fspath(source) for source in sources]
    listed = list_pictures(sources, image_column=image_column)
    if len(listed) > exact_most and not has_faiss():
        logger.warning(
            "%s pictures without FAISS: every query looks at all of them; install "
            "'trifocal[search]'",
            f"{len(listed):,}",
        )
    old = open_index(target, model) if is_marked(target, KIND) else None
    facts = {"model": model.name, "sha256": fingerprint(), "sources": sources}
    parts = Parts(target, {"weights": facts["sha256"], "format": KIND})
    stamps = [one.stamp() for one in listed]
    progress = progress or Quiet()
    known = _known(old, parts)
    found = {stamp: known[stamp] for stamp in set(stamps) if stamp in known}
    missing = [one for one, stamp in dict(zip(listed, stamps)).items() if stamp not in found]
    _moved(missing, {row[2]: row for row in known.values()}, found, threads, progress)
    missing = [one for one in missing if one.stamp() not in found]
    reasons = _embed(model, missing, parts, found, batch_size, threads, progress)
    kept = [place for place, stamp in enumerate(stamps) if stamp in found]
    left_out = tuple(
        (one.name, reasons.get(stamp, "changed while it was read"))
        for one, stamp in zip(listed, stamps)
        if stamp not in found
    )
    for name, reason in left_out[:5]:
        logger.warning("left out: %s (%s)", name, reason)
    if len(left_out) > 5:
        logger.warning("left out: %d more pictures", len(left_out) - 5)
    if not kept:
        raise UserError(f"none of {len(listed):,} pictures can be read; restore the files.")
    rows = [found[stamps[place]] for place in kept]
    tensors = _tensors(rows, [stamps[place] for place in kept], half=len(rows) > exact_most)
    ground = old.background if old is not None else embed_background(model, progress=progress)
    tensors |= {"mean": ground.mean, "covariance": ground.covariance}
    with atomic_folder(target, KIND, force=True) as aside:
        write_index(aside, target, tensors, [listed[place] for place in kept], left_out, facts)
        if len(rows) > exact_most and has_faiss():
            build_cells(tensors["vectors"], aside / CELLS, logger.info)
    parts.remove()
    return Indexed(len(kept), len(missing) - len(reasons), left_out)


def _known(old: PictureIndex | None, parts: Parts) -> dict[bytes, Row]:
    """Return the rows of an older index and of finished parts, by stamp."""
    known: dict[bytes, Row] = {}
    if old is not None:
        contents = old.contents.numpy()
        for place, stamp in enumerate(old.stamps.numpy()):
            known[bytes(stamp)] = (old.vectors, place, bytes(contents[place]))
    for part in parts.all():
        for place, stamp in enumerate(part.stamps):
            known[stamp] = (part.features, place, part.contents[place])
    return known


def _moved(
    missing: Sequence[ListedPicture],
    by_content: dict[bytes, Row],
    found: dict[bytes, Row],
    threads: int,
    progress: Progress,
) -> None:
    """Find among unknown files those whose content is known under another name."""
    if not by_content or not missing:
        return
    progress.start("hashing pictures", len(missing))

    def digest(one: ListedPicture) -> tuple[bytes, bytes | None]:
        try:
            return one.stamp(), content_hash(one.content())
        except (BadImage, OSError):
            return one.stamp(), None  # said when it is to be embedded

    for stamp, content in read_ahead(missing, digest, max(1, threads), 64):
        progress.advance(1)
        if content is not None and content in by_content:
            found[stamp] = by_content[content]


def _embed(
    model: Encoder,
    missing: Sequence[ListedPicture],
    parts: Parts,
    found: dict[bytes, Row],
    batch_size: int,
    threads: int,
    progress: Progress,
) -> dict[bytes, str]:
    """Embed pictures chunk by chunk; return why some cannot be read, by stamp."""
    reasons: dict[bytes, str] = {}
    if missing:
        progress.start("pictures", len(missing))
    for chunk in chunks(missing):
        made = embed_chunk(
            model, chunk, batch_size=batch_size, threads=threads, progress=Onward(progress)
        )
        parts.keep([one.stamp() for one in chunk], made)
        reasons |= dict(made.bad)
        for place, stamp in enumerate(made.stamps):
            found[stamp] = (made.features, place, made.contents[place])
    return reasons


def _tensors(rows: Sequence[Row], stamps: Sequence[bytes], *, half: bool) -> dict[str, Tensor]:
    """Return what an index holds of its pictures."""
    width = rows[0][0].shape[1]
    vectors = torch.empty(len(rows), width, dtype=torch.float16 if half else torch.float32)
    for place, (features, row, _) in enumerate(rows):
        vectors[place] = features[row]
    return {
        "vectors": vectors,
        "stamps": _bytes(stamps),
        "contents": _bytes([content for _, _, content in rows]),
    }


def _bytes(rows: Sequence[bytes]) -> Tensor:
    return torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8).view(len(rows), -1)
