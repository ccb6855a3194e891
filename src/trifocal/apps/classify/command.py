"""`trifocal classify`: a few-shot classifier is fitted, asked, explained and evaluated."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from trifocal.apps.answer_files import check_answers
from trifocal.apps.classify.classifier import Classifier, check_top, load_classifier
from trifocal.apps.classify.examples import class_names, find_pictures, read_examples
from trifocal.apps.classify.fit import fit_classifier
from trifocal.apps.classify.known import check_rate, known_line
from trifocal.apps.classify.tables import (
    evaluation_lines,
    evaluation_tables,
    fit_facts,
    fit_lines,
    prediction_table,
)
from trifocal.apps.loaded import bare, load_stated
from trifocal.apps.region_lists import (
    Asked,
    GivenRegion,
    ListedRegion,
    Record,
    answered,
    given_region,
    read_regions,
    stated_boxes,
    write_answers,
)
from trifocal.apps.said import say
from trifocal.apps.settings import parse_settings
from trifocal.apps.stated import refuse_idle, tell_idle
from trifocal.bars import ProgressBars
from trifocal.concepts.head_files import FACTS, TENSORS, check_free
from trifocal.concepts.vocabulary import load_vocabulary
from trifocal.data.box_formats import BoxFormat
from trifocal.devices import usable_device
from trifocal.errors import UserError
from trifocal.evaluate.records import add_results, check_results
from trifocal.features.store import default_cache
from trifocal.progress import Progress
from trifocal.report.terminal import terminal_table


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line asks for.

    Raises:
        UserError: the pictures, the model, a setting, or where to write does not do.
    """
    actions: dict[str, Callable[[argparse.Namespace], None]] = {
        "fit": _fit,
        "predict": _predict,
        "explain": _explain,
        "evaluate": _evaluate,
    }
    actions[arguments.action](arguments)
    return 0


def _fit(arguments: argparse.Namespace) -> None:
    """Fit; what costs nothing to check comes before the backbone."""
    check_free(arguments.out, force=arguments.force)
    most = {"most_left_out": arguments.most_left_out}
    examples = read_examples(arguments.folder, **most)
    names = class_names(examples.folders, arguments.names)
    own_test = bool(examples.tests) and arguments.holdout > 0
    refuse_idle(arguments, "holdout", own_test, f"{arguments.folder} has a test part of its own")
    vocabulary = load_vocabulary(arguments.vocabulary) if arguments.vocabulary else None
    settings = parse_settings(arguments.set)
    with ProgressBars(quiet=arguments.quiet) as bars:
        fitted = fit_classifier(
            examples,
            _backbone(arguments),
            method=arguments.method,
            settings=settings,
            names=names,
            templates=arguments.template,
            vocabulary=vocabulary,
            shots=arguments.shots,
            views=arguments.views,
            holdout=arguments.holdout,
            seed=arguments.seed,
            **most,
            backbone=arguments.model,
            cache=default_cache(),
            progress=bars,
        )
        fitted.save(arguments.out, force=arguments.force)
    following = f"trifocal classify predict {arguments.out} PICTURES"
    lines = [*fit_lines(fitted), f"The classifier is in {arguments.out}; next: {following}"]
    say(arguments, "\n".join(lines), {"out": arguments.out, **fit_facts(fitted)})


def _predict(arguments: argparse.Namespace) -> None:
    check_top(arguments.top)
    if arguments.out is not None:
        check_answers(arguments.out, "predictions", "trifocal classify predict")
    tell_idle(arguments, "json", bool(arguments.out), "the answers go to a file")
    listed = _listed(
        arguments.images, stated_boxes(arguments.box, arguments.box_format), arguments.box_format
    )
    with ProgressBars(quiet=arguments.quiet) as bars:
        classifier = _classifier(arguments)
        if arguments.none_of_these is not None:
            check_rate(classifier.saved.head, arguments.none_of_these)

        def answer(regions: Sequence[GivenRegion], progress: Progress | None) -> list[Record]:
            return classifier.records(
                regions, arguments.top, none_of_these=arguments.none_of_these, progress=progress
            )

        records: list[Record] = []
        if arguments.json or arguments.out:
            run = _run(arguments, classifier)
            asked = Asked(
                run, "trifocal classify predict", "another classifier or --top or --none-of-these"
            )
            skip_bad, out = arguments.skip_bad, arguments.out
            done = write_answers(listed, answer, asked, out, skip_bad=skip_bad, progress=bars)
        else:
            bars.start("pictures", len(listed))
            chunks = answered(listed, answer, skip_bad=arguments.skip_bad, progress=bars)
            records += [record for chunk in chunks for record in chunk]
            done = len(records)
    if records:
        Console().print(terminal_table(prediction_table(records)))
        if arguments.none_of_these is not None:
            print(known_line(records, classifier.saved.head, arguments.none_of_these))
    if arguments.out or done < len(listed):
        told = f"{arguments.out or 'done'}: {done} of {len(listed)} pictures classified"
        print(told, file=sys.stderr)


def _explain(arguments: argparse.Namespace) -> None:
    from trifocal.apps.classify.explaining import explain  # which draws pictures and pages

    explain(arguments, partial(_classifier, arguments))


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.out is not None:
        check_results(arguments.out)
    if arguments.html is not None:
        from trifocal.report.page import check_report  # which a page alone needs

        check_report(arguments.html)
    if arguments.csv is not None:
        from trifocal.apps.classify.answer_table import check_answer_table

        check_answer_table(arguments.csv)
    most = {"most_left_out": arguments.most_left_out}
    examples = read_examples(arguments.folder, **most)
    with ProgressBars(quiet=arguments.quiet) as bars:
        told = {**most, "cache": default_cache(), "progress": bars}
        classifier = _classifier(arguments)
        labeled = classifier.ask(examples, **told)
        found = classifier.score(labeled)
        if arguments.html:
            from trifocal.apps.classify.explaining import write_page

            write_page(arguments.html, classifier, labeled)
    if arguments.csv:
        from trifocal.apps.classify.answer_table import write_answer_table

        write_answer_table(arguments.csv, classifier, labeled)
    if arguments.json:
        print(json.dumps(found.as_dict()))
    else:
        console = Console()
        for table in evaluation_tables(found):
            console.print(terminal_table(table))
        for line in evaluation_lines(found):
            print(line)
    if arguments.out:
        added = add_results(arguments.out, found.rows)
        there = "" if added else ", which held them already"
        print(f"The rows are in {arguments.out}{there}", file=sys.stderr)


def _listed(
    images: Sequence[str], boxes: tuple[Any, ...], box_format: BoxFormat | None
) -> list[ListedRegion]:
    """Return the regions that a command line names: pictures, folders, and lists of regions."""
    lists = [path for path in images if Path(path).suffix.lower() == ".jsonl"]
    if lists and boxes:
        raise UserError("a list of regions holds their boxes itself; leave out --box.")
    found = [one for path in lists for one in read_regions(path)]
    others = [path for path in images if path not in lists]
    for path in find_pictures(others) if others else []:
        where = f"{path}: " if boxes else ""
        region = given_region(Path(path), boxes, box_format, where=where)
        facts: Record = {"image": path, "boxes": [list(box) for box in boxes]}
        if box_format == "normalized":
            facts["box_format"] = box_format
        found.append(ListedRegion(region, facts))
    return found


def _classifier(arguments: argparse.Namespace) -> Classifier:
    with usable_device(arguments.device) as device:
        return load_classifier(
            arguments.classifier,
            model=arguments.model,
            force=arguments.force,
            device=device,
            **bare(arguments),
        )


def _backbone(arguments: argparse.Namespace) -> Any:
    with usable_device(arguments.device) as device:
        return load_stated(arguments.model, arguments, device)


def _run(arguments: argparse.Namespace, classifier: Classifier) -> str:
    """Return a hash of all that decides a prediction besides the picture."""
    asked = (classifier.features.fingerprint, arguments.top)
    if arguments.none_of_these is not None:
        asked = (*asked, arguments.none_of_these)
    digest = hashlib.sha256(repr(asked).encode())
    for name in (FACTS, TENSORS):
        digest.update((Path(arguments.classifier) / name).read_bytes())
    return digest.hexdigest()[:12]
