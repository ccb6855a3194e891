"""The world's few-shot tasks, with the words that go with their pictures to choose freely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from trifocal.clip import encode
from trifocal.clip.encoder import Encoder
from trifocal.concepts.prompts import ensemble
from trifocal.concepts.tasks.task import FewShotTask, TaskSource, ValMode


@dataclass
class Worded:
    """Tasks of a source whose classes and concepts are told in other words.

    Attributes:
        source: Where the pictures come from.
        name: What results are filed under.
        class_text: (D, d) texts of the classes.
        concepts: I names.
        concept_text: (I, d) their texts.
        templates: What was said of each class, for the record.
    """

    source: TaskSource
    name: str
    class_text: Tensor
    concepts: Sequence[str]
    concept_text: Tensor
    templates: Sequence[str] = field(default=())

    def task(
        self, shots: int, seed: int, val_mode: ValMode, *, before_projection: bool = False
    ) -> FewShotTask:
        """Return one task; see `TaskSource.task`."""
        made = self.source.task(shots, seed, val_mode, before_projection=before_projection)
        return replace(
            made,
            dataset=self.name,
            class_text=self.class_text,
            concepts=self.concepts,
            concept_text=self.concept_text,
        )


def mean_text(model: Encoder, texts: Sequence[Sequence[str]]) -> Tensor:
    """Return (n, d) unit text features of n things, each the mean of its equally many texts."""
    flat = [text for some in texts for text in some]
    features = encode.text_features(model, flat).float().cpu()
    return ensemble(features.reshape(len(texts), -1, features.shape[-1]))
