"""CoOp: the words around a class name are learned, everything else is frozen.

Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022 (arXiv 2109.01134), §3.2. M
vectors stand where "a photo of a" would, one context for all classes or one for each; they are the
only parameters. A context for all goes with any class names afterwards, also new ones.

Example:
    >>> from trifocal import load_clip
    >>> method = Coop(load_clip("builtin"), CoopConfig(words="a picture of a"))
    >>> [tuple(p.shape) for p in method.parameters() if p.requires_grad]  # four words
    [(4, 128)]

Differs from the authors' code: a class name that leaves no room for the context is cut instead of
refused, as the tokenizer cuts a caption.
"""

from __future__ import annotations

from dataclasses import dataclass

from trifocal.clip import Clip
from trifocal.concepts.class_tuned import ClassTuned
from trifocal.data.classes import prompts
from trifocal.errors import UserError
from trifocal.tuning import ContextConfig, Surgery
from trifocal.tuning.context import Position

TEMPLATE = "{}."  # the context stands for the other words


@dataclass(frozen=True)
class CoopConfig:
    """Settings of CoOp; the defaults are the paper's.

    Attributes:
        tokens: Vectors of a context, M; not read where `words` are given.
        words: Words that the vectors start as, such as "a photo of a", one for each token; by
            default they are drawn at random.
        position: Where the class name stands: at the "end", in the "middle", or in "front".
        class_specific: Learn a context for each class. It goes with no other classes.
        classnames: The classes, where `class_specific`; a recipe has them from its data.
        flip: Mirror half of the pictures, drawn, in training.
    """

    tokens: int = 16
    words: str = ""
    position: Position = "end"
    class_specific: bool = False
    classnames: tuple[str, ...] = ()
    flip: bool = True


class Coop(ClassTuned):
    """A CLIP with a learned context for class names."""

    starts_as_base = False  # what stands among the words is read at once

    def __init__(self, clip: Clip, config: CoopConfig | None = None) -> None:
        config = config or CoopConfig()
        super().__init__(
            clip, Surgery("none", context=_context(clip, config)), TEMPLATE, config.flip
        )
        self.config = config


def _context(clip: Clip, config: CoopConfig) -> ContextConfig:
    start = tuple(clip.tokenizer.encode(config.words)[1:-1])
    classes: list[tuple[int, ...]] = []
    if config.class_specific:
        if not config.classnames:
            raise UserError("class-specific contexts need the classes; give classnames.")
        texts = [prompts(name, [TEMPLATE])[0] for name in config.classnames]
        classes = [tuple(clip.tokenizer.encode(text)) for text in texts]
    return ContextConfig(len(start) or config.tokens, config.position, start, tuple(classes))
