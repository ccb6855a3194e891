"""The tour's chapter on composition: three ways of fine-tuning, compared where they cost as much."""

from __future__ import annotations

from collections.abc import Sequence

from trifocal.evaluate.price import Cost
from trifocal.report.composition import composition_chapter
from trifocal.report.composition_tables import summary_table
from trifocal.report.contender import Contender
from trifocal.report.equal_cost import (
    EqualCost,
    equal_cost_blocks,
    equal_cost_found,
    equal_cost_highlights,
    resolution,
)
from trifocal.report.page import Chapter
from trifocal.report.shown import Shown
from trifocal.report.table import Table

PRICE = 0.02  # of zero-shot accuracy or recall; fixed before anything was tested
COST: Cost = "worst"  # recall on captions of this world grows, and would hide what naming loses

_LEAD = (
    "Fine-tuning that is narrower than what a model knows costs some of what it knows. Here the base "
    "is trained on, both towers, with scenes of 10 of the world's 24 kinds of things, whose captions "
    "say in one of five how things stand to each other. Plain fine-tuning sees these captions; "
    "NegCLIP and FSC-CLIP also see each with its phrases swapped, and learn to tell the true one. "
    "Settings were chosen on other scenes, of equally many for each method. Every method has a curve "
    "from the base to its end (WiSE-FT); they are compared where their curves have lost as much."
)
_REMARK = (
    "A method that ends higher may only have paid more; differences at equal cost are what counts."
)


def overview(contenders: Sequence[Contender], equal: EqualCost) -> list[Table]:
    """Return what fits into a terminal; the chapter has the rest."""
    ends = summary_table(contenders, "On the built-in drawn world, in %")
    return [ends, *(one for one in equal_cost_blocks(equal) if isinstance(one, Table))]


def tour_chapter(
    contenders: Sequence[Contender], equal: EqualCost, shown: Sequence[Shown], why: str = ""
) -> Chapter:
    """Return the tour's chapter.

    Args:
        contenders: The base first, the method to compare with others last.
        equal: The same at equal cost.
        shown: Questions with pictures.
        why: What the captions that were trained on can teach.
    """
    return composition_chapter(
        contenders,
        lead=_LEAD,
        shown=shown,
        remark=" ".join(part for part in (_REMARK, resolution(equal, PRICE), why) if part),
        numbers=equal_cost_highlights(equal, PRICE),
        findings=equal_cost_found(equal, PRICE),
        equal=equal,
    )
