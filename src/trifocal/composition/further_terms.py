"""Terms that any method on captions may add to its own; `options.py` says what each one does."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import TextEmbedding
from trifocal.clip.embeddings import ImageEmbedding
from trifocal.composition.batching import CaptionBatch
from trifocal.composition.options import ClassPrompts, Distill, Teacher
from trifocal.data.samples import Source
from trifocal.errors import UserError
from trifocal.features.text_table import TextTable
from trifocal.losses.distillation import class_prompt_loss, nearness_loss, teacher_loss
from trifocal.tuning import Encoded
from trifocal.tuning.frozen_base import FrozenBase

logger = logging.getLogger(__name__)


class Term(Protocol):
    """A term of the loss; its name is that of its option."""

    def __call__(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        """Return its named, weighted value; `encoded` has the prompts' rows as well."""
        ...


class TeacherTerm:
    """Similarities of captions as a table of their embeddings has them.

    Captions that are not in the table take no part.

    Raises:
        UserError: the table cannot be read.
    """

    def __init__(self, options: Teacher) -> None:
        self.options, self.table = options, TextTable(options.table)

    def __call__(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        image, text = encoded.image.pooled, encoded.text.pooled[: batch.size]
        rows = self.table.rows(batch.captions)
        known = (rows >= 0).nonzero()[:, 0]
        teacher = self.table.embeddings[rows[known]].to(image.device, torch.float32)
        chosen = known.to(image.device)
        loss = teacher_loss(
            image[chosen],
            text[chosen],
            F.normalize(teacher, dim=-1),
            encoded.scale,
            self.options.sharpness,
        )
        return {"teacher": self.options.weight * loss}

    def look_over(self, source: Source) -> None:
        """Say how many of a source's captions the table lacks, where the source lists them.

        Raises:
            UserError: it lacks all of them.
        """
        item = getattr(source, "item", None)
        if item is None:
            return
        missing = total = 0
        for index in range(len(source)):
            rows = self.table.rows(item(index).captions)
            total, missing = total + len(rows), missing + int((rows < 0).sum())
        if missing == total:
            raise UserError(
                f"the table {self.options.table} has none of the {total} captions of the data; "
                "make one of these captions."
            )
        if missing:
            logger.warning(
                "%d of %d captions are not in the table %s; the teacher leaves them alone",
                missing, total, self.options.table,
            )  # fmt: skip


class PromptTerm:
    """Prompts of classes among pictures that stand for the classes.

    Args:
        options: The table, and what is asked.
        embed_dim: Width of the model's joint space.

    Raises:
        UserError: the table cannot be read, or is not of this width.
    """

    def __init__(self, options: ClassPrompts, embed_dim: int) -> None:
        self.options, table = options, TextTable(options.table)
        if table.width != embed_dim:
            raise UserError(
                f"the table {options.table} has embeddings of {table.width} numbers, but the "
                f"model's joint space has {embed_dim}; embed the pictures with this model."
            )
        self.texts = tuple(options.template.format(name) for name in table.texts)
        self._means = F.normalize(table.embeddings.float(), dim=-1)

    def __call__(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        assert batch.classes is not None
        prompts = encoded.text.pooled[batch.size + len(batch.owner) :]
        self._means = self._means.to(prompts.device)
        loss = class_prompt_loss(prompts, self._means, batch.classes, encoded.scale)
        return {"prompts": self.options.weight * loss}


class DistillTerm:
    """Embeddings near those of the frozen base.

    Args:
        options: The weights.
        base: The base.
    """

    def __init__(self, options: Distill, base: FrozenBase) -> None:
        self.options, self.base = options, base

    def __call__(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        found = {}
        if self.options.image:
            assert not isinstance(batch.pixels, ImageEmbedding)  # only a frozen tower's are kept
            was = self.base.images(batch.pixels)
            found["distill_image"] = self.options.image * nearness_loss(encoded.image.pooled, was)
        if self.options.text:
            was = self.base.texts(batch.text.rows(slice(0, batch.size)))
            text = encoded.text.pooled[: batch.size]
            found["distill_text"] = self.options.text * nearness_loss(text, was)
        return found


def without_prompts(encoded: Encoded, batch: CaptionBatch) -> Encoded:
    """Return what a method's own objective sees: captions and hard negatives."""
    if batch.classes is None:
        return encoded
    count, text = batch.size + len(batch.owner), encoded.text
    tokens = None if text.tokens is None else text.tokens[:count]
    mask = None if text.mask is None else text.mask[:count]
    return replace(encoded, text=TextEmbedding(text.pooled[:count], tokens, mask))
