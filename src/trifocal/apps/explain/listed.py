"""Many regions explained: a list of them in, JSON lines out, resumable line by line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from trifocal.apps.explain.explanation import explain
from trifocal.apps.region_lists import Asked, GivenRegion, ListedRegion, Record, write_answers
from trifocal.progress import Progress, Quiet
from trifocal.regions.bank import Bank
from trifocal.regions.encoder import RegionModel, region_encoder


def explain_listed(
    model: RegionModel,
    listed: Sequence[ListedRegion],
    bank: Bank,
    top: int = 5,
    out: str | os.PathLike[str] | None = None,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write a JSON line for each region; return how many regions now have theirs.

    Args:
        model: See `explain`.
        listed: The regions.
        bank: What to choose from.
        top: How many explanations of each.
        out, skip_bad: See `region_lists.write_answers`.
        progress: Told of every region.

    Raises:
        UserError: a region is no good, or the file holds something else.
    """
    encoder = region_encoder(model)

    def answer(regions: Sequence[GivenRegion], progress: Progress | None) -> list[Record]:
        found = explain(encoder, regions, bank, top, progress=progress)
        return [{"explanations": [each.as_dict() for each in best]} for best in found]

    shown = getattr(encoder, "prompt", None) or getattr(encoder, "protocol", "")
    run = hashlib.sha256(repr((bank.key, shown, top)).encode()).hexdigest()[:12]
    asked = Asked(run, "trifocal explain", "another model, bank or --top")
    return write_answers(
        listed, answer, asked, out, skip_bad=skip_bad, progress=progress or Quiet()
    )
