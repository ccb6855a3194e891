"""Sentences of the library in the words of a command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trifocal
from trifocal.apps.wording import as_options
from trifocal.cli import main


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("x has content; force=True replaces it, or", "x has content; --force replaces it, or"),
        ('start over with resume="fresh", which', "start over with --fresh, which"),
        ("or name it with tokenizer=.", "or name it with --tokenizer."),
        ("as in activation='quick_gelu' (OpenAI)", "as in --activation quick_gelu (OpenAI)"),
        ('draw them (val_from="train").', "draw them (--val-from train)."),
        ("or set available_only=True to score", "or set --available-only to score"),
        ("name one of a, b with models=.", "name one of a, b with --models."),
        ("a=b split=test alpha=2 x=True", "a=b split=test alpha=2 x=True"),
    ],
)
def test_fields_become_options(sentence: str, said: str):
    options = {"force", "fresh", "tokenizer", "activation", "val_from", "split"}
    options |= {"available_only", "models"}
    assert as_options(sentence, options) == said


def test_a_field_that_a_command_has_no_option_for_stays():
    assert as_options("force=True replaces it", {"out"}) == "force=True replaces it"


def test_the_command_line_says_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["export", "builtin", "--to", "transformers", "--out", str(tmp_path / "model")]
    assert main(words) == 0
    assert main(words) == 2
    assert "; --force replaces it" in capsys.readouterr().err


def test_the_library_names_no_options():
    """Docstrings, comments and the command lines that a page recommends may."""
    package = Path(trifocal.__file__).parent
    flags = re.compile(r"(?<![\w`-])--(force|fresh|no-resume|methods|out|model|seeds)\b")
    for path in sorted(package.rglob("*.py")):
        area = path.relative_to(package).parts[0]
        if area in ("apps", "cli.py", "report"):
            continue
        text = re.sub(r'"""(?s:.*?)"""', "", path.read_text(encoding="utf-8"))
        assert not flags.search(text), path
