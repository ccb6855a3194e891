"""A picture of an explained region: its boxes drawn, the ranked explanations beside or below."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from trifocal.apps.explain.explanation import Explanation
from trifocal.data.regions import Box
from trifocal.report.drawing import BAR, FAINT, INK, MARK, PAPER, cut, draw_bar, font, marked

_SIDE, _PANEL, _MARGIN = 640, 520, 24  # pixels: longer side of the picture, width of the texts
_WIDE = 1.9  # a picture wider than so many times its height has the texts below
_ROWS, _LINES = 12, 3  # explanations drawn, and lines of one at most
_SIZE, _SMALL, _LEADING, _GAP = 19, 15, 26, 14


def explained_picture(
    image: Image.Image,
    boxes: Sequence[Box],
    explanations: Sequence[Explanation],
    note: str = "",
) -> Image.Image:
    """Return an RGB picture of a region and its explanations, the likeliest first.

    Bars begin at a cosine of 0; the likeliest has the full length.

    Args:
        image: The picture.
        boxes: The region, in its pixels.
        explanations: At least one; the first twelve are drawn.
        note: A line of small print, such as the model's name.
    """
    picture = marked(image, boxes, _SIDE)
    below = picture.width > _WIDE * picture.height
    width = max(picture.width, _PANEL) if below else _PANEL
    panel = _panel(explanations, note, width)
    if below:
        size = (width + 2 * _MARGIN, picture.height + panel.height + 3 * _MARGIN)
        place = (_MARGIN, picture.height + 2 * _MARGIN)
    else:
        high = max(picture.height, panel.height)
        size = (picture.width + width + 3 * _MARGIN, high + 2 * _MARGIN)
        place = (picture.width + 2 * _MARGIN, _MARGIN)
    page = Image.new("RGB", size, PAPER)
    page.paste(picture, (_MARGIN, _MARGIN))
    page.paste(panel, place)
    return page


def _panel(explanations: Sequence[Explanation], note: str, width: int) -> Image.Image:
    shown = explanations[:_ROWS]
    indent = 40
    wrapped = [_wrapped(one.text, width - indent) for one in shown]
    height = sum(_LEADING * len(lines) + _LEADING + _GAP for lines in wrapped) + 2 * _LEADING
    panel = Image.new("RGB", (width, height), PAPER)
    draw, y = ImageDraw.Draw(panel), 0
    high = max(max(one.score for one in shown), 1e-6)
    number = round(font(_SMALL).getlength("-0.0000")) + 8
    for one, lines in zip(shown, wrapped):
        draw.text((0, y), f"{one.rank}", MARK, font(_SIZE, bold=True))
        for line in lines:
            draw.text((indent, y), line, INK, font(_SIZE))
            y += _LEADING
        draw.text((indent, y + 2), f"{one.score:.3f}", FAINT, font(_SMALL))
        draw_bar(draw, (indent + number, y + 8, width, y + 14), 0, max(one.score, 0) / high, BAR)
        y += _LEADING + _GAP
    more = f"and {len(explanations) - _ROWS} more" if len(explanations) > _ROWS else ""
    for line in filter(None, (more, note)):
        draw.text((0, y), cut(line, width, font(_SMALL)), FAINT, font(_SMALL))
        y += _LEADING
    return panel.crop((0, 0, width, y))


def _wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines no wider than `width`, the last one cut where there are too many."""
    face, lines = font(_SIZE), [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if face.getlength(joined) <= width or not lines[-1]:
            lines[-1] = joined
        elif len(lines) == _LINES:
            lines[-1] = f"{joined} …"
            break
        else:
            lines.append(word)
    return [cut(line, width, face) for line in lines]
