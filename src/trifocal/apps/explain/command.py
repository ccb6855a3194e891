"""`trifocal explain`: ranked explanations of a region of a picture, or of a list of regions."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trifocal.apps.answer_files import check_answers
from trifocal.apps.explain.explanation import Explanation, check_top, explain
from trifocal.apps.explain.picture import explained_picture
from trifocal.apps.loaded import load_stated
from trifocal.apps.region_lists import given_region, read_regions, stated_boxes
from trifocal.bars import ProgressBars
from trifocal.data.regions import Region
from trifocal.devices import usable_device
from trifocal.errors import UserError
from trifocal.regions.bank import load_bank, read_bank
from trifocal.regions.encoder import EmbedsRegions, region_encoder
from trifocal.report.drawing import check_picture, save_picture


def run(arguments: argparse.Namespace) -> int:
    """Explain what the command line names, and show it.

    Raises:
        UserError: the picture, a box, the bank, the model, or where to write does not do.
    """
    check_top(arguments.top)
    if Path(arguments.image).suffix.lower() == ".jsonl":
        _many(arguments)
    else:
        _single(arguments)
    return 0


def _single(arguments: argparse.Namespace) -> None:
    """Explain one region; what costs nothing to check comes before the model."""
    if arguments.skip_bad:
        raise UserError("--skip-bad is about a list of regions; leave it out.")
    boxes = stated_boxes(arguments.box, arguments.box_format)
    given = given_region(Path(arguments.image), boxes, arguments.box_format)
    region = Region(*given.open())
    out = arguments.out
    if out is not None:
        check_picture(out)
    texts = read_bank(arguments.bank)
    with ProgressBars(quiet=arguments.quiet) as bars:
        encoder = _encoder(arguments)
        bank = load_bank(arguments.bank, encoder, texts=texts, progress=bars)
        found = explain(encoder, [region], bank, arguments.top, progress=bars)[0]
    if arguments.json:
        facts = {"image": arguments.image, "boxes": region.boxes, "model": encoder.name}
        print(json.dumps({**facts, "explanations": [one.as_dict() for one in found]}))
    else:
        Console().print(_table(found))
    if out:
        note = f"{encoder.name} · {len(bank.texts):,} explanations in {Path(arguments.bank).name}"
        image, shown = region.open()
        save_picture(out, explained_picture(image, shown, found, note))
        print(f"The picture is in {out}", file=sys.stderr)


def _many(arguments: argparse.Namespace) -> None:
    """Explain a list of regions."""
    from trifocal.apps.explain.listed import explain_listed
    from trifocal.apps.stated import tell_idle

    out = arguments.out
    if arguments.box or arguments.box_format:
        raise UserError(
            "a list of regions holds their boxes itself; leave out --box and --box-format."
        )
    tell_idle(arguments, "json", True, "the answers to a list are JSON lines, or what --out says")
    if out is not None:
        check_answers(out, "a list's explanations", "trifocal explain")
    listed = read_regions(arguments.image)
    texts = read_bank(arguments.bank)
    with ProgressBars(quiet=arguments.quiet) as bars:
        encoder = _encoder(arguments)
        bank = load_bank(arguments.bank, encoder, texts=texts, progress=bars)
        done = explain_listed(
            encoder,
            listed,
            bank,
            arguments.top,
            out,
            skip_bad=arguments.skip_bad,
            progress=bars,
        )
    print(f"{out or 'done'}: {done} of {len(listed)} regions explained", file=sys.stderr)


def _encoder(arguments: argparse.Namespace) -> EmbedsRegions:
    """Load the model onto its device."""
    with usable_device(arguments.device) as device:
        clip = load_stated(arguments.model, arguments, device)
    return region_encoder(clip)


def _table(found: Sequence[Explanation]) -> Table:
    table = Table("rank", "score", "explanation", box=None, pad_edge=False)
    table.columns[0].justify = table.columns[1].justify = "right"
    for one in found:
        table.add_row(str(one.rank), f"{one.score:.3f}", Text(one.text, overflow="fold"))
    return table
