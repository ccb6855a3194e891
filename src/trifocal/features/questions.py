"""Questions about pictures and texts, and the scores that answer them.

A question has a few pictures and a few texts. Choosing a text, choosing a picture, and the square of
two and two are all read from the block of cosines between them; each distinct picture and each
distinct text is embedded once, whatever the number of questions about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trifocal.clip.encoder import Encoder
from trifocal.features.embed import encode_images, encode_texts, tokenize
from trifocal.features.identity import Picture
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.answers import Answers
from trifocal.metrics.choice import Outcome
from trifocal.progress import Progress

_CHUNK = 1 << 24  # numbers of gathered embeddings that exist at a time


@dataclass(frozen=True)
class Question:
    """One question; what is right is said by the rule that it is scored by."""

    part: str  # which part of its benchmark it is of
    images: tuple[Picture, ...]  # I pictures, or where they are
    texts: tuple[str, ...]  # T texts
    id: str = ""  # what the benchmark's file calls it
    tags: tuple[str, ...] = ()  # sub-sets it is in, which may overlap
    holds: bool = True  # whether the text is true of the picture, where that is asked


@dataclass(frozen=True)
class Scored:
    """The questions that could be asked, and their scores.

    Attributes:
        questions: N questions, those with a picture that cannot be read left out.
        scores: (N, I, T) float32 cosines of pictures and texts; -inf where a question has fewer.
        texts: (N, T, T) cosines of the texts with each other, if they were asked for.
        blind: (N, I, T) cosines of the texts with the mean of all pictures.
        kept: (M,) bool, which of the questions that were asked for these are.
        note: What a protocol says of texts that were cut and pictures that cannot be read.
        account: What a row says of pictures that cannot be read.
        pool: The pictures and the texts of all questions, (N * I, D) and (N * T, D) unit
            embeddings, if they were asked for (and every question has as many).
    """

    questions: Sequence[Question]
    scores: Tensor
    blind: Tensor
    texts: Tensor | None
    kept: Tensor
    note: str
    account: dict | None
    pool: tuple[Tensor, Tensor] | None = None

    def chance(self, *, images: bool = False) -> Tensor:
        """Return (N,) float64: one over the number of texts (or pictures) of each question."""
        counts = [len(one.images if images else one.texts) for one in self.questions]
        return 1 / torch.tensor(counts, dtype=torch.float64)

    def answers(self, outcome: Outcome, chance: Tensor, blind: Outcome | None = None) -> Answers:
        """Return the outcome of a rule over these questions."""
        part = [question.part for question in self.questions]
        return Answers(
            part, outcome.right, outcome.tied, chance, None if blind is None else blind.right
        )


def score_questions(
    model: Encoder,
    questions: Sequence[Question],
    *,
    name: str,
    most_left_out: float,
    batch_size: int = 128,
    between_texts: bool = False,
    pooled: bool = False,
    progress: Progress | None = None,
) -> Scored:
    """Score questions with a Clip, a method, or what embeds as one does.

    Args:
        model: What embeds.
        questions: M questions.
        name: The benchmark, as a sentence calls it.
        most_left_out: The largest share of the pictures that may be broken.
        batch_size: Pictures in one pass; texts take twice as many.
        between_texts: Whether texts are compared with each other, too.
        pooled: Whether the embeddings are returned, for retrieval among all of them.
        progress: Told of every distinct picture and text.

    Raises:
        UserError: More pictures are broken than may be.
    """
    pictures = [picture for question in questions for picture in question.images]
    unreadable = Unreadable(name, most_left_out)
    images = encode_images(
        model, pictures, batch_size=batch_size, progress=progress, unreadable=unreadable
    )
    tokenized = tokenize(model, [text for question in questions for text in question.texts])
    texts = encode_texts(model, tokenized, batch_size=2 * batch_size, progress=progress)
    good = unreadable.readable(pictures)
    image_place = _places([len(question.images) for question in questions])
    text_place = _places([len(question.texts) for question in questions])
    kept = (good[image_place.clamp_min(0)] | (image_place < 0)).all(dim=1)
    image_place, text_place = image_place[kept], text_place[kept]
    mean = normalize(images[good].mean(dim=0), dim=0)
    blind = (texts @ mean)[text_place.clamp_min(0)][:, None, :].expand(-1, image_place.shape[1], -1)
    return Scored(
        [one for one, there in zip(questions, kept.tolist(), strict=True) if there],
        _blocks(images, image_place, texts, text_place),
        blind.masked_fill((text_place < 0)[:, None, :], -torch.inf),
        _blocks(texts, text_place, texts, text_place) if between_texts else None,
        kept,
        tokenized.note + unreadable.note_of("with their items"),
        unreadable.account(),
        (images[image_place.flatten()], texts[text_place.flatten()]) if pooled else None,
    )


def _places(counts: Sequence[int]) -> Tensor:
    """Return (N, K): where the K things of each of N questions lie in a flat list, or -1."""
    count = torch.tensor(counts)
    first = count.cumsum(0) - count
    step = torch.arange(int(count.max()) if len(counts) else 0)
    return torch.where(step < count[:, None], first[:, None] + step, -1)


def _blocks(rows: Tensor, row_place: Tensor, columns: Tensor, column_place: Tensor) -> Tensor:
    """Return (N, I, T) cosines of rows (., D) and columns (., D) at places (N, I) and (N, T)."""
    made = []
    each = rows.shape[1] * max(1, row_place.shape[1] + column_place.shape[1])
    for part in torch.arange(len(row_place)).split(max(1, _CHUNK // max(1, each))):
        one = rows[row_place[part].clamp_min(0)]
        other = columns[column_place[part].clamp_min(0)]
        made.append(_products(one, other))
    scores = torch.cat(made) if made else rows.new_empty(0, 0, 0)
    absent = (row_place < 0)[:, :, None] | (column_place < 0)[:, None, :]
    return scores.masked_fill(absent, -torch.inf)


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Return (n, I, T) dot products, each summed in the same order.

    A matrix product may sum two equal pairs in different orders, and their scores would differ in
    the last bit: no tie where there is one.
    """
    return torch.stack(
        [(one * other[:, t : t + 1]).sum(dim=2) for t in range(other.shape[1])], dim=2
    )
