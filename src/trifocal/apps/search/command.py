"""`trifocal search`: an index over one's own pictures, and questions to it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trifocal.apps.loaded import load_stated
from trifocal.apps.region_lists import given_region, stated_boxes
from trifocal.bars import ProgressBars
from trifocal.clip import Clip
from trifocal.devices import usable_device
from trifocal.errors import UserError
from trifocal.search.background import CUT
from trifocal.search.building import check_index, index_pictures
from trifocal.search.index import open_index
from trifocal.search.query import Found, Query, check_query, search


def run(arguments: argparse.Namespace) -> int:
    """Index or ask, as the command line says.

    Raises:
        UserError: the pictures, the index, the model or the question do not do.
    """
    {"index": _index, "query": _query}[arguments.action](arguments)
    return 0


def _index(arguments: argparse.Namespace) -> None:
    if arguments.batch_size < 1:
        raise UserError("--batch-size must be at least 1.")
    check_index(arguments.out)
    with ProgressBars(quiet=arguments.quiet) as bars:
        done = index_pictures(
            _model(arguments, arguments.model),
            arguments.sources,
            arguments.out,
            image_column=arguments.image_column,
            batch_size=arguments.batch_size,
            progress=bars,
        )
    if arguments.json:
        left_out = [{"name": name, "reason": reason} for name, reason in done.left_out]
        facts = {"index": arguments.out, "pictures": done.pictures, "embedded": done.embedded}
        print(json.dumps({**facts, "left_out": left_out}))
        return
    broken = f", {len(done.left_out):,} left out" if done.left_out else ""
    print(f"{done.pictures:,} pictures are in {arguments.out}, {done.embedded:,} new{broken}")
    print(f'next: trifocal search query {arguments.out} "WHAT TO LOOK FOR"', file=sys.stderr)


def _query(arguments: argparse.Namespace) -> None:
    """Ask; what costs nothing to check comes before the model."""
    boxes = stated_boxes(arguments.box, arguments.box_format)
    if boxes and not arguments.image:
        raise UserError("--box is a part of --image, and there is none; give the picture.")
    if arguments.html:
        from trifocal.apps.search.sheet import check_sheet

        check_sheet(arguments.html)
    image = _image(arguments.image, boxes, arguments) if arguments.image else None
    query = Query(
        arguments.text,
        image,
        tuple(arguments.without),
        local=arguments.local,
        boxes=arguments.boxes,
    )
    cut = CUT if arguments.cut is None else arguments.cut
    check_query(query, arguments.top, cut)
    index = open_index(arguments.index)
    model = _model(arguments, arguments.model or index.model)
    index.check_model(model)
    found = search(model, index, query, arguments.top, cut=cut, exact=arguments.exact)
    if arguments.json:
        print(json.dumps({"index": arguments.index, "query": arguments.text, **found.as_dict()}))
    else:
        if not found.good:
            print(verdict(found))
        Console().print(_table(found))
    if arguments.html:
        from trifocal.apps.search.sheet import write_sheet

        write_sheet(arguments.html, _asked(arguments), found, index.model)
        print(f"The page is in {arguments.html}", file=sys.stderr)


def verdict(found: Found) -> str:
    """Return what is said where nothing fits."""
    return (
        f"perhaps no good match among {found.searched:,} pictures: the best stands out by "
        f"{found.deviation:.1f} deviations, below the cut of {found.cut:g}; the nearest are"
    )


def _image(path: str, boxes: tuple, arguments: argparse.Namespace) -> Image.Image:
    """Return the picture that is asked with, or the part of it under the first box."""
    if len(boxes) > 1:
        raise UserError("one --box is a part of the picture; leave out the others.")
    image, placed = given_region(Path(path), boxes, arguments.box_format).open()
    left, top, width, height = placed[0]
    right, bottom = min(left + width, image.width), min(top + height, image.height)
    return image.crop((max(left, 0), max(top, 0), right, bottom)) if boxes else image  # type: ignore[arg-type]


def _model(arguments: argparse.Namespace, name: str) -> Clip:
    """Load the model onto its device."""
    with usable_device(arguments.device) as device:
        return load_stated(name, arguments, device)


def _asked(arguments: argparse.Namespace) -> str:
    """Return the question in words."""
    parts = [f"“{arguments.text}”"] if arguments.text else []
    parts += [f"like {Path(arguments.image).name}"] if arguments.image else []
    parts += [f"without “{text}”" for text in arguments.without]
    return ", ".join(parts)


def _table(found: Found) -> Table:
    table = Table("rank", "score", "deviation", "picture", box=None, pad_edge=False)
    for column in table.columns[:3]:
        column.justify = "right"
    for hit in found.hits:
        deviation = "" if hit.deviation is None else f"{hit.deviation:.1f}"
        more = f" (and {len(hit.copies)} copies)" if hit.copies else ""
        box = f" at {','.join(f'{side:.0f}' for side in hit.box)}" if hit.box else ""
        name = Text(f"{hit.name}{box}{more}", overflow="fold")
        table.add_row(str(hit.rank), f"{hit.score:.3f}", deviation, name)
    return table
