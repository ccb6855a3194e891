"""How a command line is read: argparse whose errors are one sentence, with a hint from that command.

argparse starts in a few milliseconds, where libraries on click take a tenth of a second.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from trifocal.errors import UserError, nearest

_OPTION = re.compile(r"(--?[A-Za-z][^\s=]*)(=.*)?", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """Reads the words of one command; what is wrong with them is a `UserError`.

    Every command knows --debug and --quiet. They and --device are absent from the result where
    they are not given, so that what stands before a command is not undone by what does not stand
    after it. Which options were typed is told in `stated`, as `apps/stated.py` wants it.

    Args:
        settings: Passed to argparse.

    Attributes:
        free: Whether unknown options are left to the command, as those of `train`, the fields of a
            recipe, are; it finds those that are known here in `own_options`.
        everywhere: The group of options that all commands have.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)
        self.free = False
        self.register("type", int, _reader(int, "a whole number"))
        self.register("type", float, _reader(float, "a number"))
        self.everywhere = self.add_argument_group("of every command")
        for name, what in (
            ("--debug", "show tracebacks and debug messages"),
            ("--quiet", "show no progress and no messages, only results and warnings"),
        ):
            self.everywhere.add_argument(
                name, action="store_true", default=argparse.SUPPRESS, help=what
            )

    def parse_known_args(  # type: ignore[override] - argparse's three overloads in one
        self, args: Iterable[str] | None = None, namespace: Any = None
    ) -> Any:
        """Read the words of the command; see argparse.

        Raises:
            UserError: an option is unknown, and `free` does not allow that; or see `error`.
        """
        words = list(sys.argv[1:] if args is None else args)
        if not self.free:
            self._check_options(words)
        found, rest = super().parse_known_args(words, namespace)
        # A command's own are there already: argparse has parsed it by now, and copied them here.
        found.stated = {**self._stated(words), **getattr(found, "stated", {})}
        if rest and not self.free and self._subparsers is None:
            self.error(f"{rest[0]!r} is one word too many")
        if self.free:
            found.own_options = tuple(self._option_string_actions)
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message as one sentence with the remedy."""
        raise UserError(f"{message.removeprefix('argument ')}; see `{self.prog} --help`.")

    def _stated(self, words: Sequence[str]) -> dict[str, str]:
        """Return the options among the words, by the names of their values: top to "--top"."""
        typed = (_OPTION.fullmatch(word) for word in takewhile(lambda word: word != "--", words))
        options = (option[1] for option in typed if option)
        known = self._option_string_actions
        return {known[option].dest: option for option in options if option in known}

    def _check_options(self, words: Sequence[str]) -> None:
        """Refuse an unknown option before argparse can miss the one that it stands for."""
        known = self._option_string_actions
        own = takewhile(lambda word: word != "--", words)
        if self._subparsers is not None:  # what follows the command's name is the command's
            own = takewhile(lambda word: word.startswith("-"), own)
        for word in own:
            option = _OPTION.fullmatch(word)
            if option and option[1] not in known:
                hint = nearest(option[1], known) if len(option[1]) > 2 else ""
                if not hint:
                    self.error(f"unknown option {option[1]!r}")
                raise UserError(f"unknown option {option[1]!r}.{hint}")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Take a command of two words for the one name that it is known by."""
        pair = " ".join(arg_strings[:2])
        if action.nargs == argparse.PARSER and action.choices and pair in action.choices:
            arg_strings = [pair, *arg_strings[2:]]
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is not among the choices, with the nearest of them."""
        if action.choices is None or value in action.choices:
            return
        name = "/".join(action.option_strings) or action.metavar or action.dest
        raise UserError(
            f"{name} is {value!r}, but must be one of {', '.join(action.choices)}."
            f"{nearest(str(value), action.choices)}"
        )


def add_device(parser: Parser) -> None:
    """Add --device, for a command that loads a model."""
    parser.everywhere.add_argument(
        "--device",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="cpu, cuda, mps (default: auto, a GPU where there is one)",
    )
    parser.set_defaults(takes_device=True)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what a benchmark can be told besides its data."""
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another setting of the benchmark, e.g. split=test; may be given several times",
    )


def add_box_format(parser: argparse.ArgumentParser) -> None:
    """Add what says how --box is written."""
    parser.add_argument(
        "--box-format",
        choices=("xywh", "xyxy", "cxcywh", "normalized"),  # data.box_formats, which is slow to load
        help="what the numbers of --box are: xyxy for left,top,right,bottom, cxcywh for the center "
        "and the sides, normalized for shares of the picture (default: xywh)",
    )


def add_json(parser: argparse.ArgumentParser, what: str = "words") -> None:
    """Add what makes a command print its result as JSON, and its remarks on the other stream."""
    parser.add_argument("--json", action="store_true", help=f"print JSON instead of {what}")


def add_bare_weights(parser: Parser) -> None:
    """Add what a file of weights alone does not say of its model."""
    parser.add_argument("--activation", choices=("gelu", "quick_gelu"), help="of bare weights")
    parser.add_argument("--tokenizer", help="vocabulary for weights that carry none")


def _reader(kind: Callable[[str], Any], name: str) -> Callable[[str], Any]:
    """Return what reads a number, or says in plain words that it is none."""

    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {name}") from None

    return read
