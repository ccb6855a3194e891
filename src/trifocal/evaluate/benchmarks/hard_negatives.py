"""Captions of one's own, told from hard negatives that rules make of them.

The rules are those that NegCLIP and FSC-CLIP train with (FSC-CLIP, arXiv 2410.05210): words that change
places, a word replaced by a near one, phrases in another order. On photos that training has not seen
it says how well that lesson was learned, for a table of captions that no published benchmark asks
about. Rules leave traces that can be told without the picture, so `blind` is to be read beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trifocal.composition.benchmarks.suite import Suite
from trifocal.composition.negatives import KINDS, HardNegatives
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.retrieval import caption_file, grouped, no_caption_file, read_test
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_text


@dataclass
class CaptionNegatives(Suite):
    """The benchmark over any caption file that `read_captions` knows (see `Suite` for more options).

    Attributes:
        captions: The caption file, relative to the root; by default one of the usual names. The
            root may also be the file itself.
        split: Part of a file that has parts; by default "test", if there is one.
        captions_per_image: How many captions of each picture are asked about.
        kinds: Which hard negatives are made, a list or with commas: swap, replace, shuffle; replace
            needs WordNet.
        parser: What parses captions, see `HardNegatives`.
        encoding: Of the caption file; UTF-8 by default.
    """

    captions: str | Path | None = None
    split: str | None = None
    captions_per_image: int = 1
    kinds: Sequence[str] | str = KINDS
    parser: str = "auto"
    encoding: str | None = None

    name: ClassVar[str] = "hard_negatives"
    source: ClassVar[str] = "a table or JSON of captions of one's own"
    protocol: ClassVar[str] = (
        "2 texts, a caption and one that a rule makes of it; ties are errors; mean over kinds"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "acc")
    photos_from: ClassVar[str] = "put the pictures there"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.kinds, str):
            self.kinds = tuple(kind.strip() for kind in self.kinds.split(","))

    def files(self, root: Path) -> list[Missing]:
        """Return the caption file."""
        return [no_caption_file(caption_file(root, self.captions))]

    def form(self, root: Path) -> str:
        """Return what made the negatives."""
        made = self._make
        by = f"{made.parser_name}, {made.lexicon_name}" if made.lexicon_name else made.parser_name
        count = self.captions_per_image
        return f"made by {by}; {count} caption{'' if count == 1 else 's'} a picture"

    def read(self, root: Path) -> list[Question]:
        """Return a question for each caption and kind that the caption offers a negative of.

        Raises:
            UserError: The file cannot be read, no caption offers a negative, or WordNet is needed
                and not there.
        """
        path = caption_file(root, self.captions)
        found, _ = read_test(path, self.images, self.split, self.encoding, self.most_left_out)
        items, make = grouped(found, self.name, self.captions_per_image), self._make
        make.warm_up(items.texts)
        questions = [
            Question(
                kind, (items.images[own],), (make.prepare_caption(text), negative), str(number)
            )
            for number, (text, own) in enumerate(zip(items.texts, items.owner, strict=True))
            for kind, negative in make(text).items()
            if negative is not None
        ]
        if not questions:
            raise UserError(
                f"{self.name} cannot run; of none of the {len(items)} captions of {path} a wrong one "
                f"can be made by {', '.join(self.kinds)}; give captions of several things, or more kinds."
            )
        return questions

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the accuracy of each kind and their mean."""
        outcome, blind = choose_text(scored.scores), choose_text(scored.blind)
        answers = scored.answers(outcome, scored.chance(), blind)
        present = [kind for kind in self.kinds if kind in answers.part]
        answers.add_rows(sheet, "acc", {"mean": present})

    @property
    def _make(self) -> HardNegatives:
        """Makes the same negatives whenever it is asked."""
        return HardNegatives(self.kinds, self.parser)
