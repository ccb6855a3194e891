"""The report: one HTML file that explains itself, opens anywhere, and loads nothing.

What was found stands on top, what is to be looked at is folded. Its one script (`page.js`) copies
commands and says which tables can be scrolled; the page's own policy lets no other run.

A report is a list of chapters, a chapter a list of blocks, and a block plain data that the
template knows how to show. Another focus adds its results by adding a chapter. All text is
escaped by the template; only figures (`figures.py`) enter as markup. Pictures are inlined.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import ClassVar

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from trifocal.errors import UserError
from trifocal.files import atomic_write, check_file
from trifocal.report.numbers import minus
from trifocal.report.table import Table, Tone
from trifocal.version import __version__

REPORT = "report"  # the kind of a page, where it is written


@dataclass(frozen=True)
class Prose:
    """Paragraphs."""

    paragraphs: Sequence[str]
    title: str = ""
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Note:
    """A remark that must not be overlooked, with the command that it tells of, if it does."""

    text: str
    command: str = ""
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Highlight:
    """One large number: what it is, its value, and the change behind it."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Highlights:
    """A row of large numbers."""

    items: Sequence[Highlight]
    kind: ClassVar[str] = "highlights"


@dataclass(frozen=True)
class Plot:
    """A figure with its caption; `summary` says in words what it shows."""

    figure: Markup
    summary: str
    caption: str = ""


@dataclass(frozen=True)
class Plots:
    """Figures side by side, or one above the other where there is no room.

    `beside` is a table of the same numbers.
    """

    title: str
    plots: Sequence[Plot]
    caption: str = ""
    beside: Table | None = None
    folded: bool = False  # whether only its title is seen until somebody opens it
    kind: ClassVar[str] = "plots"


@dataclass(frozen=True)
class Verdict:
    """A model's scores of a caption and of a false one."""

    model: str
    caption: float
    negative: float

    @property
    def right(self) -> bool:
        """Whether the caption scores strictly higher."""
        return self.caption > self.negative


@dataclass(frozen=True)
class Example:
    """A picture with its caption, a false caption, and what each model prefers."""

    picture: Image.Image | Tensor
    subject: str
    caption: str
    negative: str
    verdicts: Sequence[Verdict]


@dataclass(frozen=True)
class Examples:
    """Example pictures."""

    title: str
    items: Sequence[Example]
    caption: str = ""
    kind: ClassVar[str] = "examples"


@dataclass(frozen=True)
class Score:
    """The cosine of a picture of a question with a text of it, and whether a model chose them."""

    value: float
    true: bool  # whether they belong together
    chosen: bool


@dataclass(frozen=True)
class Judged:
    """A question about a few pictures and texts, and how some models answered.

    `places` names the pairs that are scored, such as "1" or "a1"; `answers` holds for each model
    whether it is right and its score of each pair.
    """

    pictures: Sequence[Image.Image]
    subject: str
    texts: Sequence[
        tuple[str, bool | None]
    ]  # and whether each is true, where that is one picture's
    places: Sequence[str]
    answers: Sequence[tuple[str, bool, Sequence[Score]]]


@dataclass(frozen=True)
class Browser:
    """Questions with their pictures and answers."""

    title: str
    items: Sequence[Judged]
    caption: str = ""
    kind: ClassVar[str] = "browser"


@dataclass(frozen=True)
class HeatMap:
    """A picture, words of its caption, and for each model the overlay of each word."""

    picture: Image.Image | Tensor
    caption: str
    words: Sequence[str]
    overlays: Sequence[tuple[str, Sequence[Image.Image]]]


@dataclass(frozen=True)
class HeatMaps:
    """Heat maps."""

    title: str
    items: Sequence[HeatMap]
    caption: str = ""
    kind: ClassVar[str] = "heat_maps"


@dataclass(frozen=True)
class Ranked:
    """An answer of a model, its score, and whether it is the right one."""

    text: str
    score: float
    right: bool


@dataclass(frozen=True)
class Ranking:
    """A picture, what is true of it, and for each model its best answers and where it looked."""

    picture: Image.Image | Tensor
    truth: str
    answers: Sequence[tuple[str, Sequence[Ranked], Image.Image | None]]


@dataclass(frozen=True)
class Rankings:
    """Ranked answers to pictures."""

    title: str
    items: Sequence[Ranking]
    caption: str = ""
    kind: ClassVar[str] = "rankings"


@dataclass(frozen=True)
class Picture:
    """A picture that speaks for itself, what it is of, and in `summary` all that is in it."""

    picture: Image.Image
    text: str
    summary: str


@dataclass(frozen=True)
class Pictures:
    """Pictures as wide as the page, one below the other."""

    title: str
    items: Sequence[Picture]
    caption: str = ""
    kind: ClassVar[str] = "pictures"


@dataclass(frozen=True)
class Facts:
    """Names and values, then commands that can be typed."""

    title: str
    entries: Sequence[tuple[str, str]]
    commands: Sequence[str] = ()
    kind: ClassVar[str] = "facts"


Block = (
    Prose
    | Note
    | Highlights
    | Table
    | Plots
    | Examples
    | Browser
    | HeatMaps
    | Rankings
    | Pictures
    | Facts
)


@dataclass(frozen=True)
class Chapter:
    """A part of the report."""

    title: str  # heading
    lead: str  # the paragraph that says what was done and what came out
    blocks: Sequence[Block]  # what it shows, in order
    # Where the numbers come from, if that must be said ("on the built-in drawn world").
    label: str = ""
    # What was found, in one to three sentences, from the numbers; on top of the page.
    found: Sequence[str] = ()

    @property
    def anchor(self) -> str:
        """Return the name that links to the chapter use."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "chapter"


@dataclass(frozen=True)
class Report:
    """All of it."""

    title: str  # heading of the page
    summary: str  # what the page is, in a sentence or two
    chapters: Sequence[Chapter]  # its parts
    # What was run, and in which environment; at the end.
    facts: Sequence[Facts] = field(default_factory=tuple)
    # What to try next, as (text, command).
    next_steps: Sequence[tuple[str, str]] = field(default_factory=tuple)


def check_report(path: str | Path) -> None:
    """Refuse a path that `write_report` would refuse.

    Raises:
        UserError: it does not end in .html, or there is a file that is no report of ours.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise UserError(f"the report {path} is an HTML page; end its name in .html.")
    check_file(path, REPORT, force=True)


def write_report(path: str | Path, report: Report) -> Path:
    """Write a report as one HTML file, wholly or not at all; return its path.

    An older report is drawn anew; any other file is kept.

    Raises:
        UserError: see `check_report`, or nothing can be written there.
    """
    check_report(path)
    with atomic_write(path, REPORT, force=True) as aside:
        aside.write_text(render(report), encoding="utf-8", errors="backslashreplace")
    return Path(path)


def render(report: Report) -> str:
    """Return a report as HTML."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["score"] = score
    environment.filters["breakable"] = breakable
    files = resources.files("trifocal.report")
    text, script = (files.joinpath(name).read_text("utf-8") for name in ("report.html", "page.js"))
    return environment.from_string(text).render(
        report=report, version=__version__, script=Markup(script), digest=_digest(script)
    )


def _unbroken(value: object) -> object:
    """Return text whose percent signs stay with their numbers at a line's end."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", value)


def _digest(script: str) -> str:
    """Return what a page's policy calls a script that it lets run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def breakable(text: str) -> str:
    """Return a label that may go on in the next line after a slash, if more than "…" is before it."""
    return re.sub(r"(?<!…)/", "/\N{ZERO WIDTH SPACE}", text)


def score(value: float) -> str:
    """Return a cosine with three decimals and no leading zero: ".312", "−.050"."""
    return re.sub(r"^(−?)0\.", r"\1.", minus(f"{value:.3f}"))


def data_uri(picture: Image.Image | Tensor, size: int | None = None) -> str:
    """Return a picture as a `data:` address, WebP.

    Args:
        picture: A PIL image or a (3, H, W) uint8 tensor.
        size: Longer side at most; larger pictures are reduced.
    """
    if isinstance(picture, Tensor):
        array = picture.permute(1, 2, 0).contiguous().cpu().numpy()
        picture = Image.fromarray(array.astype(np.uint8))
    picture = picture.convert("RGB")
    if size is not None and max(picture.size) > size:
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)  # `convert` made a copy
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=88, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
