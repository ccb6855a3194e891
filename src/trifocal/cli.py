"""The command line: it collects the commands of the apps, parses, calls and prints errors.

The `options` of an app are imported when its name is typed, its `command` when it is called, so that
`trifocal --help` is instant and a command loads what is its own.
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

from trifocal.apps.parser import Parser, add_device
from trifocal.errors import Stopped, UserError
from trifocal.files import failure
from trifocal.version import __version__

# Every command and what it does; a command of two words is in the folder of its last one.
APPS = {
    "start here": {
        "demo": "offline tour on the built-in world: report.html",
        "list": "benchmarks, methods, heads, models and recipes by name",
    },
    "train and measure": {
        "train": "train a recipe; run it again to resume",
        "eval": "score models on benchmarks, side by side",
        "eval few-shot": "few-shot methods over shots, seeds and data sets",
        "compare": "two models question by question: what is noise, what is not",
    },
    "put a model to use": {
        "explain": "likely explanations of a region of a picture, ranked",
        "classify": "few-shot classifier from a folder of class folders",
        "embed": "pictures to vectors, for other programs",
        "search": "find one's own pictures by words, a picture or a part of one",
        "serve": "a page and a REST API to try a model with",
        "export": "write a model in another library's format",
        "push": "a model or a classifier onto the Hub, with its card",
        "pull": "what was pushed, from the Hub",
    },
    "help with": {
        "data": "check, get and prepare data",
        "completion": "what makes a shell complete trifocal's commands",
    },
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


def make_parser(words: Sequence[str] | None = None) -> Parser:
    """Return the parser of the command line.

    Args:
        words: What will be parsed: of commands that are not among the words only the names are
            known. By default all commands have their options.
    """
    groups = [
        "\n".join([f"{group}:", *(f"  {name:<16}{what}" for name, what in apps.items())])
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
    for name, what in (app for apps in APPS.values() for app in apps.items()):
        command = commands.add_parser(name, help=what)
        if words is None or {*name.split()} <= {*words}:
            app = f"trifocal.apps.{name.split()[-1].replace('-', '_')}"
            options = importlib.import_module(f"{app}.options")
            command.description, command.epilog = options.ABOUT, options.EXAMPLES
            options.add_options(command)
            command.set_defaults(module=f"{app}.command")
    parser.set_defaults(debug=False, quiet=False, device="auto", takes_device=False)
    return parser


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the words of a command line; options of no command are a recipe's `overrides`."""
    words = [_at_home(word) for word in (sys.argv[1:] if words is None else words)]
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        import argcomplete

        argcomplete.autocomplete(make_parser(), exclude=["eval few-shot"])
    parser = make_parser(words)
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
