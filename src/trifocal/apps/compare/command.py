"""`trifocal compare`: two results files, question by question."""

from __future__ import annotations

import argparse

from rich.console import Console

from trifocal.errors import UserError
from trifocal.evaluate.paired import compare_files
from trifocal.report.exported import check_export, write_export
from trifocal.report.paired import paired_table
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
    table = paired_table(compare_files(arguments.before, arguments.after, _models(arguments)))
    Console().print(terminal_table(table))
    print(table.caption)
    if arguments.table:
        write_export(arguments.table, table, [])
    return 0


def _models(arguments: argparse.Namespace) -> tuple[str | None, str | None]:
    if arguments.models is None:
        return None, None
    names = arguments.models.split(",")
    if len(names) != 2 or not all(names):
        raise UserError(f"--models takes two names with a comma between, not {arguments.models!r}.")
    return names[0], names[1]
