"""`trifocal classify explain`: the reasons for one picture, or a page about a folder of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from trifocal.apps.classify.asked import boxes_of, classifier_of
from trifocal.apps.classify.classifier import Classifier, check_top
from trifocal.apps.classify.examples import Examples, read_examples
from trifocal.apps.classify.folder_page import folder_report
from trifocal.apps.classify.picture import explained_picture
from trifocal.apps.classify.tables import explanation_lines, explanation_table
from trifocal.apps.region_lists import given_region
from trifocal.bars import ProgressBars
from trifocal.errors import UserError
from trifocal.features.store import default_cache
from trifocal.report.drawing import check_picture, save_picture
from trifocal.report.page import check_report, write_report
from trifocal.report.terminal import terminal_table


def explain(arguments: argparse.Namespace) -> None:
    """Say why a picture is what it is, or write a page about those of a folder.

    Raises:
        UserError: the pictures, the model, or where to write does not do.
    """
    check_top(arguments.top)
    if Path(arguments.image).is_dir():
        _folder(arguments)
        return
    if arguments.html:
        raise UserError(
            "--html is a page about a folder of class folders; give one, or --out FILE."
        )
    out = arguments.out
    if out is not None:
        check_picture(out)
    region = given_region(Path(arguments.image), boxes_of(arguments), arguments.box_format)
    image, boxes = region.open()
    classifier = classifier_of(arguments)
    because = classifier.explain(region, arguments.about, arguments.top, against=arguments.against)
    if arguments.json:
        facts = {"image": arguments.image, "boxes": boxes, "model": arguments.classifier}
        print(json.dumps({**facts, **because.as_dict()}))
    else:
        Console().print(terminal_table(explanation_table(because)))
        for line in explanation_lines(because):
            print(line)
    if out:
        shown = boxes if region.boxes else ()
        save_picture(out, explained_picture(image, shown, because, classifier.saved))
        print(f"The picture is in {out}", file=sys.stderr)


def _folder(arguments: argparse.Namespace) -> None:
    """Write a page about the pictures of a folder with class folders."""
    if not arguments.html:
        raise UserError(f"{arguments.image} is a folder; say where its page goes with --html FILE.")
    for name, what in (("about", "--class"), ("against", "--against"), ("box", "--box"),
                       ("out", "--out"), ("json", "--json")):  # fmt: skip
        if getattr(arguments, name):
            raise UserError(f"{what} is about one picture; leave it out with a folder.")
    check_report(arguments.html)
    examples = read_examples(arguments.image)
    with ProgressBars(quiet=getattr(arguments, "quiet", False)) as bars:
        told = {"cache": default_cache(), "progress": bars}
        write_page(arguments.html, classifier_of(arguments), examples, **told)


def write_page(path: str, classifier: Classifier, examples: Examples, **told: Any) -> None:
    """Write a page about a classifier's answers to labeled pictures.

    Args:
        path: Where to.
        classifier: The classifier.
        examples: The pictures.
        **told: See `folder_report`.

    Raises:
        UserError: see `folder_report`.
    """
    write_report(path, folder_report(classifier, examples, **told))
    print(f"The page is in {path}", file=sys.stderr)
