"""`trifocal classify explain`: the reasons for one picture, or a page about a folder of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from trifocal.apps.classify.classifier import Classifier, Labeled, check_top
from trifocal.apps.classify.examples import read_examples
from trifocal.apps.classify.folder_page import folder_report
from trifocal.apps.classify.picture import explained_picture
from trifocal.apps.classify.tables import explanation_lines, explanation_table
from trifocal.apps.region_lists import given_region, stated_boxes
from trifocal.bars import ProgressBars
from trifocal.errors import UserError
from trifocal.features.store import default_cache
from trifocal.report.drawing import check_picture, save_picture
from trifocal.report.page import check_report, write_report
from trifocal.report.terminal import terminal_table


def explain(arguments: argparse.Namespace, load: Callable[[], Classifier]) -> None:
    """Say why a picture is what it is, or write a page about those of a folder.

    Args:
        arguments: Of the command line.
        load: Loads the classifier; called once all that is cheap is checked.

    Raises:
        UserError: the pictures, the model, or where to write does not do.
    """
    check_top(arguments.top)
    if Path(arguments.image).is_dir():
        _folder(arguments, load)
        return
    if arguments.html:
        raise UserError(
            "--html is a page about a folder of class folders; give one, or --out FILE."
        )
    out = arguments.out
    if out is not None:
        check_picture(out)
    region = given_region(
        Path(arguments.image),
        stated_boxes(arguments.box, arguments.box_format),
        arguments.box_format,
    )
    image, boxes = region.open()
    classifier = load()
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


def _folder(arguments: argparse.Namespace, load: Callable[[], Classifier]) -> None:
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
        classifier = load()
        labeled = classifier.ask(examples, cache=default_cache(), progress=bars)
        write_page(arguments.html, classifier, labeled)


def write_page(path: str, classifier: Classifier, labeled: Labeled) -> None:
    """Write a page about a classifier's answers to labeled pictures."""
    write_report(path, folder_report(classifier, labeled))
    print(f"The page is in {path}", file=sys.stderr)
