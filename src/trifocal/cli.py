"""The command line: it collects the commands of the apps, parses, calls and prints errors.

An app's `options` are light and imported here; its `command` is imported when it is called, so that
`trifocal --help` is instant.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import re
import sys
from collections.abc import Sequence

from trifocal.apps.classify import options as classify
from trifocal.apps.compare import options as compare
from trifocal.apps.completion import options as completion
from trifocal.apps.data import options as data
from trifocal.apps.demo import options as demo
from trifocal.apps.eval import options as evaluate
from trifocal.apps.explain import options as explain
from trifocal.apps.export import options as export
from trifocal.apps.few_shot import options as few_shot
from trifocal.apps.list import options as listing
from trifocal.apps.parser import Parser, add_device
from trifocal.apps.train import options as train
from trifocal.errors import Stopped, UserError
from trifocal.files import failure
from trifocal.version import __version__

APPS = {
    "start here": (demo, listing),
    "train and measure": (train, evaluate, few_shot, compare),
    "put a model to use": (explain, classify, export),
    "help with": (data, completion),
}

_EXAMPLES = """\
first steps:
  trifocal demo                                    an offline tour with a report to look at
  trifocal list recipes                            what `trifocal train` can be told by name
  trifocal train fsc_clip-coco-ViT-B-32 --print    every setting of a recipe
  trifocal eval builtin world                      scores of the model that ships with trifocal
"""


class _Grouped(argparse.RawDescriptionHelpFormatter):
    """Leaves the commands out of the list of arguments: the description has them in groups."""

    def add_argument(self, action: argparse.Action) -> None:
        if action.nargs != argparse.PARSER:
            super().add_argument(action)


def make_parser() -> Parser:
    """Return the parser of the whole command line."""
    groups = [
        "\n".join([f"{group}:", *(f"  {app.NAME:<16}{app.SUMMARY}" for app in apps)])
        for group, apps in APPS.items()
    ]
    parser = Parser(
        prog="trifocal",
        usage="trifocal [--device NAME] [--quiet] [--debug] COMMAND ...",
        description="\n\n".join(["Three finer focal lengths for a pre-trained CLIP.", *groups]),
        epilog=_EXAMPLES,
        formatter_class=_Grouped,
    )
    parser.add_argument("--version", action="version", version=f"trifocal {__version__}")
    add_device(parser)
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, prog="trifocal", parser_class=Parser
    )
    for app in (app for apps in APPS.values() for app in apps):
        command = commands.add_parser(
            app.NAME, help=app.SUMMARY, description=app.ABOUT, epilog=app.EXAMPLES
        )
        app.add_options(command)
        command.set_defaults(module=app.__name__.removesuffix("options") + "command")
    parser.set_defaults(debug=False, quiet=False, device="auto", takes_device=False)
    return parser


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the words of a command line; options of no command are a recipe's `overrides`."""
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        import argcomplete

        argcomplete.autocomplete(parser, exclude=[few_shot.NAME])
    words = [_at_home(word) for word in (sys.argv[1:] if words is None else words)]
    arguments, rest = parser.parse_known_args(words)
    arguments.overrides = rest
    if arguments.device != "auto" and not arguments.takes_device:
        raise UserError("this command loads no model, so leave out --device.")
    return arguments


def _at_home(word: str) -> str:
    """Return a word with the home folder for "~/", also where a shell leaves it: --root=~/data."""
    home = os.path.expanduser("~")
    return re.sub(r"(^|[=,:])~(?=/)", lambda before: before[1] + home, word)


def _write_anything() -> None:
    """Let signs that the terminal has not, and file names that are no text, be shown as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Lines(logging.StreamHandler):
    """Log lines go where stderr is when they come: a bar that is drawn there steps aside for them."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


def _log(arguments: argparse.Namespace) -> None:
    """Let messages through as far as the user wants them."""
    level = logging.WARNING if arguments.quiet else logging.INFO
    level = logging.DEBUG if arguments.debug else level
    logging.basicConfig(level=level, format="%(message)s", handlers=[_Lines()])
    for noisy in ("httpx", "matplotlib", "PIL", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for a user's error, 130/143 when stopped."""
    debug, options = False, set[str]()
    _write_anything()
    try:
        arguments = _parse(argv)
        debug, options = arguments.debug, {*vars(arguments)}
        _log(arguments)
        status = importlib.import_module(arguments.module).run(arguments)
        sys.stdout.flush()  # a full disk is told here, and not when the interpreter ends
        return status
    except UserError as error:
        if debug:
            raise
        from trifocal.apps.wording import as_options  # for what goes wrong only

        print(f"trifocal: {as_options(str(error), options)}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"trifocal: {stopped}", file=sys.stderr)
        return stopped.status
    except KeyboardInterrupt:
        print("trifocal: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` say, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        told = failure(error)
        if debug or not told:
            raise
        print(f"trifocal: {told}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
