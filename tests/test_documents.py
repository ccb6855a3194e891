"""What the documents show is what there is: commands parse, Python runs, pages are as their commands write them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from trifocal.apps.parser import Parser
from trifocal.cli import make_parser
from trifocal.recipes import shipped_recipes

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#([^)\s]+))?\)")
# What stands in the documents for what a reader puts there, and what ends a parser.
_NOT_RUN = {"RECIPE", "NAME", "MODEL", "FOLDER", "...", "--help"}


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of code of a language on a page."""
    return [
        code for kind, code in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language
    ]


def commands() -> Iterator[tuple[str, str]]:
    """Yield every `trifocal` command of the documents, with its page."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"\s&&\s|\s\|\s", line):
                    words = part.split("#")[0].split()
                    if words and words[0] == "trifocal" and not _NOT_RUN & {*words}:
                        yield page.name, " ".join(_without_options(part.split("  #")[0].split()))


def _without_options(words: list[str]) -> Iterator[str]:
    """Yield words without variables that hold options, as "$TEXTS" does; not without their values."""
    for before, word in zip(["", *words], words):
        if before.startswith("--") or not re.fullmatch(r"\$[A-Z]+", word):
            yield word


COMMANDS = sorted({*commands()})


def test_there_are_commands():
    assert len(COMMANDS) > 40


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_documented_command_parses(page: str, command: str):
    words = shlex.split(command)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    found = make_parser(words).parse_args(words) if words[0] != "train" else trained(words)
    assert found is not None


def trained(words: list[str]) -> Parser:
    """Parse a `train` command, whose recipe ships unless it is a file."""
    parser = make_parser(words)
    found, _ = parser.parse_known_args(words)
    assert (
        found.recipe is None or found.recipe.endswith(".yaml") or found.recipe in shipped_recipes()
    )
    return parser


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path):
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target).resolve()
        assert file.exists(), f"{target} of {page.name}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{target}#{anchor} of {page.name}"


def anchors(page: Path) -> set[str]:
    """Return what a page's headings are known by in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_the_readme_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(REPOSITORY)
    (code,) = blocks(PAGES[0], "python")
    exec(code, {})
    assert "tensor([[" in capsys.readouterr().out


def test_every_page_is_in_the_site():
    site = yaml.load(
        (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader
    )
    assert {*_files(site["nav"])} == {
        str(page.relative_to(REPOSITORY / "docs")) for page in PAGES[1:]
    }


def _files(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for one in nav.values():
            yield from _files(one)
    elif isinstance(nav, list):
        for one in nav:
            yield from _files(one)


def test_settings_are_as_their_command_writes_them():
    from tools.settings_page import page

    assert (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8") == page()
