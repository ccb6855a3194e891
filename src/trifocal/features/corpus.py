"""Long lists of pictures embedded in fixed chunks, so that any division of the work gives one result.

A chunk is some thousand pictures by their place in the list; whether one process embeds all chunks, or
several share them (torchrun, Ray), each sees the same batches and makes the same bytes, as long as
all compute with as many threads. A picture that cannot be read is noted and has no row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.clip import encode
from trifocal.clip.encoder import Encoder
from trifocal.data.images import BadImage, open_image
from trifocal.data.picture_lists import ListedPicture
from trifocal.features.identity import content_hash
from trifocal.features.reading import embed_ahead
from trifocal.progress import Progress, Quiet

CHUNK = 1024  # pictures; a stopped run loses no more


@dataclass(frozen=True)
class Embedded:
    """A chunk of a list.

    Attributes:
        features: (n, D) float32 unit embeddings of the pictures that could be read, in order.
        stamps: n stamps of their files (see `ListedPicture.stamp`).
        contents: n SHA-256 hashes of their content.
        bad: (stamp, reason) of the others.
    """

    features: Tensor
    stamps: list[bytes]
    contents: list[bytes]
    bad: list[tuple[bytes, str]]


def chunks(listed: Sequence[ListedPicture], size: int = CHUNK) -> Iterator[list[ListedPicture]]:
    """Yield a list's chunks."""
    for start in range(0, len(listed), size):
        yield list(listed[start : start + size])


def embed_chunk(
    model: Encoder,
    listed: Sequence[ListedPicture],
    *,
    batch_size: int = 64,
    threads: int = 4,
    progress: Progress | None = None,
) -> Embedded:
    """Embed the pictures of a chunk as they are evaluated.

    Args:
        model: A Clip, or what embeds as one does.
        listed: The pictures.
        batch_size: Pictures in one pass.
        threads: How many are opened at a time.
        progress: Told of every picture, once its job is started.

    Raises:
        UserError: the model makes something that is not finite.
    """
    stamps = [one.stamp() for one in listed]
    contents: dict[int, bytes] = {}
    bad: dict[int, str] = {}

    def show(place: int) -> list[Tensor]:
        one = listed[place]
        try:
            content = one.content()
            pixels = model.preprocess(open_image(content, name=one.name))
        except (BadImage, OSError) as error:
            bad[place] = str(getattr(error, "reason", error))
            return [torch.empty(0, 3, 0, 0)]
        contents[place] = content_hash(content)
        return [pixels[None]]

    features, _ = embed_ahead(
        model,
        range(len(listed)),
        show,
        embed=encode.encode_images,
        batch_size=batch_size,
        threads=max(1, threads),
        pictures=1,
        progress=progress or Quiet(),
    )
    good = sorted(contents)
    return Embedded(
        features,
        [stamps[place] for place in good],
        [contents[place] for place in good],
        [(stamps[place], bad[place]) for place in sorted(bad)],
    )
