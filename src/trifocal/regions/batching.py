"""Batches of regions: prompts of pictures, and the texts that a loss asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from trifocal.data.batching import Tokenize
from trifocal.data.boxes import wrong_region
from trifocal.data.samples import Skipped
from trifocal.errors import UserError
from trifocal.regions.augment import Augmentation
from trifocal.regions.prompts import PromptConfig, train_prompt, views
from trifocal.regions.texts import clue_text, inference_text

if TYPE_CHECKING:
    import numpy as np

    from trifocal.clip import TextBatch
    from trifocal.clip.preprocess import Preprocess
    from trifocal.data.regions import Box, RegionSample

Loss = Literal["dual", "inference", "clue", "multitask", "triple", "wrong_region"]


@dataclass
class RegionBatch:
    """B regions."""

    # (B, 3, H, W) uint8 prompts, followed by B prompts of wrong regions if the loss asks for them;
    # the model normalizes.
    pixels: Tensor
    text: TextBatch  # B texts, followed by the B clues if the loss asks for both
    ids: list[str]  # B names of samples
    sentences: list[str]  # the texts, as the tower reads them
    # Samples that were to stand here but could not be read.
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of regions, B."""
        return len(self.ids)

    def to(self, device: Any, non_blocking: bool = False) -> RegionBatch:
        """Return the batch with its tensors on `device`."""
        return replace(
            self,
            pixels=self.pixels.to(device, non_blocking=non_blocking),
            text=self.text.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> RegionBatch:
        """Return the batch in page-locked memory (a data loader calls this)."""
        return replace(self, pixels=self.pixels.pin_memory(), text=self.text.pin_memory())


@dataclass(frozen=True)
class RegionBatching:
    """How samples become a `RegionBatch`."""

    tokenize: Tokenize  # sentences to a `TextBatch`
    preprocess: Preprocess  # the tower's own, for its image side
    prompt: PromptConfig  # how regions are shown and described
    loss: Loss = "dual"  # decides which texts and which wrong regions are needed
    augmentation: Augmentation = field(default_factory=Augmentation)  # what is done to the slots

    def draw(
        self, sample: RegionSample, rng: np.random.Generator
    ) -> tuple[str, list[Tensor], list[str]]:
        """Return a sample's name, its prompts and its texts."""
        prompt, regions = self.prompt, [sample.boxes]
        if self.loss == "wrong_region":
            wrong = wrong_region(sample.boxes, sample.proposals, sample.image.size, rng)
            regions.append((wrong,))
            names = views(prompt)  # one view for both, or it would tell them apart
            prompt = replace(prompt, variant=names[int(rng.integers(len(names)))])
        pictures = [self._prompt(sample, prompt, boxes, rng) for boxes in regions]
        return sample.id, pictures, self._texts(sample, rng)

    def collate(self, drawn: Sequence[tuple[str, list[Tensor], list[str]]]) -> RegionBatch:
        """Return the batch: the first prompts and texts of all samples, then the second ones."""
        pictures = zip(*(pictures for _, pictures, _ in drawn))
        sentences = [text for texts in zip(*(texts for _, _, texts in drawn)) for text in texts]
        return RegionBatch(
            pixels=torch.stack([picture for row in pictures for picture in row]),
            text=self.tokenize(sentences).trimmed(),
            ids=[name for name, _, _ in drawn],
            sentences=sentences,
        )

    def _prompt(
        self,
        sample: RegionSample,
        prompt: PromptConfig,
        boxes: Sequence[Box],
        rng: np.random.Generator,
    ) -> Tensor:
        return train_prompt(
            sample, prompt, self.preprocess.size[0], rng, self.augmentation,
            boxes=boxes, preprocess=self.preprocess,
        )  # fmt: skip

    def _texts(self, sample: RegionSample, rng: np.random.Generator) -> list[str]:
        inference = inference_text(sample.inference, self.prompt)
        if self.loss in ("inference", "wrong_region"):
            return [inference]
        if not sample.clue.strip():
            raise UserError(
                f"{sample.id} has no clue, which the loss {self.loss!r} needs; set method.loss to "
                "inference, or complete the annotations."
            )
        clue = clue_text(sample.clue, self.prompt)
        if self.loss == "clue":
            return [clue]
        if self.loss == "multitask":  # a coin for each sample, so processes need not agree on it
            return [inference if rng.random() < 0.5 else clue]
        return [inference, clue]
