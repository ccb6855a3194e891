"""Are reasons true, and do words look at what they name? On the drawn world.

    python benchmarks/concept_reasons.py

Prints how often concepts that a concept map names are true of the scene (three a picture at most), with
evidence and without, accuracy against the number of named concepts, and what word maps are worth.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from rich.console import Console

from trifocal.apps.demo.concepts import worded
from trifocal.apps.demo.concepts_reasons import reasons
from trifocal.apps.few_shot.sources import world_source
from trifocal.clip import load_clip
from trifocal.report.concept_trust import trust_tables
from trifocal.report.map_quality import world_map_quality
from trifocal.report.terminal import terminal_table


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    base, console = load_clip("builtin").eval(), Console()
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name) / "features"
        drawn = world_source(base, cache, 16, [], {"cache": cache})
        trust = reasons(worded(drawn, base)[0], drawn, base, Path(name) / "head").trust
    for table in trust_tables(trust):
        console.print(terminal_table(table))
    for what in ("insertion", "deletion"):
        values = " ".join(f"{100 * one:.1f}" for one in getattr(trust.curves, what))
        console.print(f"{what}, 0 to 8 named concepts: {values}")
    console.print(f"with everything: {100 * trust.curves.full:.1f}")
    for name, one in world_map_quality(base).items():
        console.print(
            f"maps of {name}: AUC {100 * one.auc.value:.1f} ({100 * one.auc.low:.1f} to "
            f"{100 * one.auc.high:.1f}), pointing {100 * one.pointing:.1f} (chance "
            f"{100 * one.chance:.1f}), {one.n} words"
        )


if __name__ == "__main__":
    main()
