"""What every method on captions can be told beside its own settings; all of it is off by default.

Noise against learning a small table by heart, and terms that are added to the method's own: a
teacher of captions, prompts of classes, and nearness to the frozen base.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trifocal import config
from trifocal.errors import UserError
from trifocal.tuning import LoraConfig, Tuning


@dataclass(frozen=True)
class Noise:
    """What is disturbed in training; never in evaluation.

    Attributes:
        words: Probability with which each word of a text is left out, of captions and of hard
            negatives alike (else the whole text would give itself away); one word always stays.
        features: Length of a random vector that is added to a picture's pooled embedding (of
            length 1, and brought back to it); patches stay.
        attention: Probability with which the text tower's attention passes over a word.
    """

    words: float = 0.0
    features: float = 0.0
    attention: float = 0.0

    def __post_init__(self) -> None:
        config.at_least(self, {"words": 0, "features": 0, "attention": 0}, "method.noise")
        for name in ("words", "attention"):
            if getattr(self, name) >= 1:
                raise UserError(f"method.noise.{name} is a probability; give less than 1.")


@dataclass(frozen=True)
class Teacher:
    """A table of caption embeddings whose similarities are taken over; see `teacher_loss`.

    Attributes:
        table: A folder as `trifocal data prepare teacher` writes it (`features/text_table.py`).
        weight: Of the term.
        sharpness: The teacher's logit scale: the higher, the more a caption is like itself alone.
    """

    table: str
    weight: float = 1.0
    sharpness: float = 20.0

    def __post_init__(self) -> None:
        config.at_least(self, {"weight": 0, "sharpness": 0}, "method.teacher")


@dataclass(frozen=True)
class ClassPrompts:
    """Names of classes and pictures that stand for them, so that the text tower learns the names.

    Attributes:
        table: A folder of names and of image embeddings in this model's joint space, one a name,
            such as class means (in the form of a teacher's table).
        weight: Of the term.
        share: Prompts in a batch, as a share of its pictures.
        template: What is asked of each name.
    """

    table: str
    weight: float = 1.0
    share: float = 0.25
    template: str = "a photo of a {}."

    def __post_init__(self) -> None:
        config.at_least(self, {"weight": 0, "share": 0}, "method.prompts")
        if self.share > 1:
            raise UserError(f"method.prompts.share is {self.share}; give 1 at most.")
        if "{}" not in self.template:
            raise UserError("method.prompts.template needs {} where the name stands.")


@dataclass(frozen=True)
class Distill:
    """Weights of terms that keep embeddings near those of the frozen base.

    Attributes:
        image: Of pictures.
        text: Of captions.
    """

    image: float = 0.0
    text: float = 0.0

    def __post_init__(self) -> None:
        config.at_least(self, {"image": 0, "text": 0}, "method.distill")


@dataclass(frozen=True, kw_only=True)
class CaptionOptions:
    """The options of every method on captions."""

    noise: Noise = field(default_factory=Noise)
    teacher: Teacher | None = None
    prompts: ClassPrompts | None = None
    distill: Distill = field(default_factory=Distill)


@dataclass(frozen=True, kw_only=True)
class TuningOptions(CaptionOptions):
    """The options of a method that tunes the towers.

    Attributes:
        tuning: Train all weights, the text tower alone (as CLIC does), or low-rank updates.
        lora: Shape of the updates.
    """

    tuning: Tuning = "full"
    lora: LoraConfig = field(default_factory=LoraConfig)
