"""What is wrong with a command line is one sentence: every command, walked through the parser itself."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from trifocal.apps.parser import Parser
from trifocal.cli import main, make_parser


def commands(parser: argparse.ArgumentParser, *words: str) -> Iterator[tuple[str, Parser]]:
    """Yield every command that does something, as it is typed, with its parser."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        assert isinstance(parser, Parser)
        yield " ".join(words), parser
    for action in below:
        for name, command in action.choices.items():
            yield from commands(command, *words, name)


COMMANDS = dict(commands(make_parser()))
TYPED = {
    name: action
    for name, parser in COMMANDS.items()
    if (action := next((a for a in parser._actions if a.type in (int, float)), None))
}
CHOICE = {
    name: action
    for name, parser in COMMANDS.items()
    if (action := next((a for a in parser._actions if a.choices), None))
}


def complete(parser: Parser, without: argparse.Action | None = None) -> list[str]:
    """Return words that a command cannot do without, of which none means anything.

    Args:
        parser: The command's.
        without: What is left out; with a positional argument all that follow it.
    """
    words: list[str] = []
    left_out = False
    for action in parser._actions:
        left_out |= action is without and not action.option_strings
        if not action.required or action is without or (left_out and not action.option_strings):
            continue
        value = str(next(iter(action.choices))) if action.choices else "nothing"
        words += [*action.option_strings[:1], value]
    return words


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is said of a command line that is wrong."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert not said.out
    assert re.fullmatch(r"trifocal: [^\n]+[.?]\n", said.err), said.err
    return said.err


@pytest.mark.parametrize("command", [name for name, parser in COMMANDS.items() if complete(parser)])
def test_something_missing(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = COMMANDS[command]
    for action in parser._actions:
        if action.required:
            said = refused([*command.split(), *complete(parser, action)], capsys)
            assert (action.option_strings or [action.metavar or action.dest])[0] in said
            assert f"see `trifocal {command} --help`" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_value_missing(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = COMMANDS[command]
    valued = [a for a in parser._actions if a.option_strings and a.nargs is None]
    for action in valued:
        words = [*command.split(), *complete(parser, action), action.option_strings[0]]
        assert action.option_strings[0] in refused(words, capsys)


@pytest.mark.parametrize("command", [name for name, parser in COMMANDS.items() if not parser.free])
def test_an_unknown_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = COMMANDS[command]
    for words in (complete(parser), []):  # the typo is told, not what is missing because of it
        said = refused([*command.split(), *words, "--xyxyxy", "1"], capsys)
        assert f"unknown option '--xyxyxy'; see `trifocal {command} --help`" in said
    said = refused([*command.split(), *complete(parser), "--quite"], capsys)
    assert "Did you mean '--quiet'?" in said
    free = [action.nargs for action in parser._actions if not action.option_strings]
    if not {"+", "*"} & {*free}:
        words = [*complete(parser), *["fine"] * free.count("?"), "more"]
        assert "'more' is one word too many" in refused([*command.split(), *words], capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_type(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*command.split(), *complete(COMMANDS[command])]
    refused([*words, "--quiet=3"], capsys)  # a flag has no value
    if command in TYPED:
        option = TYPED[command].option_strings[0]
        number = "a number" if TYPED[command].type is float else "a whole number"
        said = refused([*words, option, "few"], capsys)
        assert (
            said == f"trifocal: {option}: 'few' is not {number}; see `trifocal {command} --help`.\n"
        )
    if command in CHOICE:
        action = CHOICE[command]
        known = [str(choice) for choice in action.choices or ()]
        words = [*command.split(), *complete(COMMANDS[command], action), *action.option_strings[:1]]
        assert f"Did you mean {known[0]!r}?" in refused([*words, f"{known[0]}s"], capsys)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("eval builtin retrieval --captons c.csv", "--captions"),
        ("explain a.jpg --bank b.txt --modle builtin", "--model"),
        ("eval few-shot --datasets world --shot 1", "--shots"),
        ("explain a.jpg --bnak b.txt --model builtin", "--bank"),
        ("train fsc_clip-coco-ViT-B-32 --method.gama 1 --print", "--method.gamma"),
        ("train fsc_clip-coco-ViT-B-32 --optimiser.lr 1 --print", "--optimizer.lr"),
        ("train fsc_clip-coco-ViT-B-32 --lr 1 --print", "--optimizer.lr"),
        ("train fsc_clip-coco-ViT-B-32 --batch-sise 1 --print", "--batch_size"),
        ("train fsc_clip-coco-ViT-B-32 --prin", "--print"),
        ("train fsc_clip-coco-ViTB-32", "fsc_clip-coco-ViT-B-32"),
        ("data check world --rot data", "--root"),
        ("data prepare world w --scene 3", "--scenes"),
        ("classify fit photos --out o --vocabluary v", "--vocabulary"),
        ("export a --to open_cilp --out o", "open_clip"),
        ("evl builtin world", "eval"),
        ("eval-few-shot", "eval few-shot"),
        ("classify predcit a b", "predict"),
        ("list recipies", "recipes"),
        ("--quite list recipes", "--quiet"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_that_command_knows(
    words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(words.split(), capsys).endswith(f"Did you mean '{hint}'?\n")


def test_no_option_may_be_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'--mod'" in refused(["explain", "a.jpg", "--bank", "b.txt", "--mod", "builtin"], capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_every_command_stand_before_it_and_after_it(command: str) -> None:
    parser, own = make_parser(), complete(COMMANDS[command])
    given = ["--debug", "--quiet"]
    if "--device" in COMMANDS[command]._option_string_actions:
        given += ["--device", "cpu"]
    plain = vars(parser.parse_known_args([*command.split(), *own])[0])
    assert (plain["debug"], plain["quiet"], plain["device"]) == (False, False, "auto")
    before, _ = parser.parse_known_args([*given, *command.split(), *own])
    after, _ = parser.parse_known_args([*command.split(), *own, *given])
    assert before == after
    assert before.debug
    assert before.quiet
    assert before.device == ("cpu" if "--device" in given else "auto")


def test_a_device_is_refused_where_no_model_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert "leave out --device" in refused(["--device", "cpu", "list", "recipes"], capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_every_option_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    assert caught.value.code == 0
    assert f"usage: trifocal {command}" in capsys.readouterr().out
    assert all(action.help for action in COMMANDS[command]._actions)
