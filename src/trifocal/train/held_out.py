"""Retrieval among the photos that a run holds out: what it gains and forgets is seen while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trifocal.data.captions import CaptionItem, write_captions
from trifocal.tuning.method import Method

if TYPE_CHECKING:
    from trifocal.evaluate.benchmarks.retrieval import RetrievalItems

HELD_OUT = "held_out"  # the name of the evaluation
FILE = "held_out.json"  # in the run folder, as `trifocal eval RUN retrieval --root` reads it


class HeldOut:
    """An evaluation: recall among the photos that `data.held_out` keeps from training.

    Args:
        captions: The photos and what is said of them.
        most_left_out: The largest share of the photos that may turn out broken.
    """

    def __init__(self, captions: Sequence[CaptionItem], *, most_left_out: float) -> None:
        self.captions, self.most_left_out = captions, most_left_out

    @cached_property
    def _items(self) -> RetrievalItems:
        from trifocal.evaluate.benchmarks.retrieval import grouped

        return grouped(self.captions, "held_out")

    def __call__(self, method: Method) -> dict[str, float]:
        """Return recalls by name."""
        from trifocal.evaluate.benchmarks.retrieval import score_retrieval

        rows = score_retrieval(method, self._items, most_left_out=self.most_left_out)
        return {row.metric: row.value for row in rows}

    def write(self, folder: Path) -> None:
        """Write the photos and captions into a run folder, for an evaluation after training."""
        write_captions(folder / FILE, self.captions)
