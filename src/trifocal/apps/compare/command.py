"""`trifocal compare`: two results files, question by question."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trifocal.apps.said import remark
from trifocal.apps.settings import parse_settings
from trifocal.apps.stated import refuse_idle
from trifocal.errors import UserError
from trifocal.evaluate.paired import Compared, compare_files
from trifocal.report.exported import check_export, write_export
from trifocal.report.paired import paired_table
from trifocal.report.table import Table
from trifocal.report.terminal import terminal_table


def run(arguments: argparse.Namespace) -> int:
    """Print the differences, and write them where that was asked for.

    Raises:
        UserError: A file cannot be read, or nothing in them can be compared.
    """
    if arguments.table:
        if arguments.table.lower().endswith(".csv"):
            raise UserError("differences are written as .md or .tex; name the file so.")
        check_export(arguments.table)
    if arguments.html:
        from trifocal.report.page import check_report

        check_report(arguments.html)
    plain = not arguments.html
    refuse_idle(arguments, "root images limit option", plain, "--html is not given")
    compared = compare_files(arguments.before, arguments.after, _models(arguments))
    table = paired_table(compared)
    if arguments.json:
        print(json.dumps([one.as_dict() for one in compared]))
    else:
        Console().print(terminal_table(table))
        print(table.caption)
    if arguments.table:
        write_export(arguments.table, [table], [])
    if arguments.html:
        _write_page(arguments, compared, table)
    return 0


def _write_page(arguments: argparse.Namespace, compared: Sequence[Compared], table: Table) -> None:
    """Write the differences, the parts of benchmarks, and questions that one gets right."""
    from trifocal.evaluate.disagreements import Answered
    from trifocal.report.compared import compared_report
    from trifocal.report.page import write_report

    before = Answered.in_file(arguments.before, [one.before for one in compared])
    after = Answered.in_file(arguments.after, [one.after for one in compared])
    settings = parse_settings(arguments.option)
    if arguments.images:
        settings["images"] = str(Path(arguments.images).resolve())
    if arguments.limit is not None:
        settings["limit"] = arguments.limit
    write_report(
        arguments.html, compared_report(compared, table, before, after, arguments.root, settings)
    )
    remark(arguments, f"The page is in {arguments.html}")


def _models(arguments: argparse.Namespace) -> tuple[str | None, str | None]:
    if arguments.models is None:
        return None, None
    names = arguments.models.split(",")
    if len(names) != 2 or not all(names):
        raise UserError(f"--models takes two names with a comma between, not {arguments.models!r}.")
    return names[0], names[1]
