"""A contact sheet: the hits of a search as one page that loads nothing."""

from __future__ import annotations

import os

from trifocal.data.images import BadImage, open_image
from trifocal.errors import UserError
from trifocal.files import atomic_write, check_file
from trifocal.report.drawing import marked
from trifocal.report.page import REPORT, data_uri
from trifocal.search.query import Found, Hit
from trifocal.version import __version__

_SIDE = 360  # pixels of a picture's longer side


def check_sheet(path: str | os.PathLike[str]) -> None:
    """Refuse a path that `write_sheet` would refuse.

    Raises:
        UserError: it does not end in .html, or there is a file that is none of ours.
    """
    if not os.fspath(path).lower().endswith((".html", ".htm")):
        raise UserError(f"the page {path} is an HTML page; end its name in .html.")
    check_file(path, REPORT, force=True)


def write_sheet(path: str | os.PathLike[str], asked: str, found: Found, model: str) -> None:
    """Write the hits as a page.

    Args:
        path: Where to.
        asked: The question, in words.
        found: The answer.
        model: Name of the model.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = __file__.rpartition(os.sep)[0] + os.sep + "sheet.html"
    with open(text, encoding="utf-8") as file:
        template = environment.from_string(file.read())
    page = template.render(
        asked=asked,
        found=found,
        cells=[(hit, _shown(hit)) for hit in found.hits],
        model=model,
        version=__version__,
    )
    check_sheet(path)
    with atomic_write(path, REPORT, force=True) as aside:
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")


def _shown(hit: Hit) -> str:
    """Return the picture of a hit as an address, with its box; empty if it cannot be read now."""
    try:
        picture = open_image(hit.picture.content(), name=hit.name)
    except (BadImage, OSError):
        return ""
    if hit.box is not None:
        picture = marked(picture, [hit.box], _SIDE)
    return data_uri(picture, _SIDE)
