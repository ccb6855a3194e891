"""A picture of an explained class: the photo, all that adds up to its logit, and images behind it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from trifocal.apps.classify.answers import Because, Guess, Reason
from trifocal.concepts.explanation import Term
from trifocal.concepts.head_files import SavedHead
from trifocal.data.regions import Box
from trifocal.report.drawing import (
    BAR,
    FAINT,
    INK,
    MARK,
    PAPER,
    TRACK,
    cut,
    draw_bar,
    font,
    marked,
)
from trifocal.report.numbers import minus, percentage, signed

_SIDE, _PANEL, _MARGIN = 400, 760, 28  # pixels: the photo, the reasons, what is around them
_NAME, _BARS, _VALUE, _GAP = 250, 190, 96, 14  # columns of a reason
_NUMBER = _NAME + _BARS + _VALUE  # where values end
_ROW, _THUMB, _THUMBS = 66, 46, 4  # height of a reason; its support images, and how many at most
_ROWS = 12  # concepts, or support images, drawn at most
_TITLE, _SIZE, _SMALL = 26, 18, 14
_SUMMED = ("text", "network", "bias", "rest")  # of which there is one each


def explained_picture(
    image: Image.Image, boxes: Sequence[Box], because: Because, saved: SavedHead
) -> Image.Image:
    """Return an RGB picture of a photo, its class, and what speaks for and against that.

    The bars share one scale. Support images of the explained class have a frame in the color of
    the bars.

    Args:
        image: The photo.
        boxes: The region that was asked about; none for the whole photo.
        because: Why it has its logit.
        saved: The classifier, for its support images.
    """
    left, right = _answer(image, boxes, because, saved), _reasons(because, saved)
    high = max(left.height, right.height)
    page = Image.new("RGB", (_SIDE + _PANEL + 3 * _MARGIN, high + 2 * _MARGIN), PAPER)
    page.paste(left, (_MARGIN, _MARGIN))
    page.paste(right, (_SIDE + 2 * _MARGIN, _MARGIN))
    return page


def _answer(
    image: Image.Image, boxes: Sequence[Box], because: Because, saved: SavedHead
) -> Image.Image:
    """Return the left side: the photo and its most probable classes."""
    photo = marked(image, boxes, _SIDE)
    guesses = list(because.guesses)
    if because.about not in guesses:
        guesses.append(because.about)
    page = Image.new("RGB", (_SIDE, photo.height + 48 * len(guesses) + 100), PAPER)
    page.paste(photo, ((_SIDE - photo.width) // 2, 0))
    draw, y = ImageDraw.Draw(page), photo.height + 20
    for guess in guesses:
        _guess(draw, y, guess, bold=guess == because.about)
        y += 48
    facts = [
        f"{saved.method} on {saved.backbone.name}",
        f"{len(saved.images):,} support images of {len(saved.classes):,} classes",
    ]
    for line in facts:
        draw.text((0, y), cut(line, _SIDE, font(_SMALL)), FAINT, font(_SMALL))
        y += 22
    return page.crop((0, 0, _SIDE, y))


def _guess(draw: ImageDraw.ImageDraw, y: int, guess: Guess, *, bold: bool) -> None:
    """Draw a class, its probability, and a bar of that."""
    ink, type_ = (INK, font(_SIZE, bold=True)) if bold else (FAINT, font(_SIZE))
    share = percentage(guess.probability)
    room = _SIDE - round(type_.getlength(share)) - _GAP
    draw.text((0, y), cut(guess.label, room, type_), ink, type_)
    draw.text((_SIDE, y), share, ink, type_, anchor="ra")
    draw_bar(draw, (0, y + 28, _SIDE, y + 34), 0.0, guess.probability, BAR if bold else FAINT)


def _reasons(because: Because, saved: SavedHead) -> Image.Image:
    """Return the right side: a bar for every part of the sum, and what it comes to."""
    rows = _rows(because)
    lines = [
        (line, remark)
        for remark in because.remarks
        for line in wrapped(_sentence(remark), _PANEL, font(_SMALL))
    ]
    page = Image.new("RGB", (_PANEL, 180 + _ROW * len(rows) + 22 * len(lines)), PAPER)
    draw = ImageDraw.Draw(page)
    rival = because.against
    title = f"Why {because.about.label}" + (f", not {rival}?" if rival else "?")
    y = 0
    for line in wrapped(title, _PANEL, font(_TITLE, bold=True))[:2]:
        draw.text((0, y), line, INK, font(_TITLE, bold=True))
        y += 34
    draw.text((0, y + 2), f"What adds up to the {because.what}", FAINT, font(_SMALL))
    y += 32
    ends = [one.term.value for one in rows] + [0.0]
    label = saved.classes.index(because.about.label)
    for one in rows:
        _reason(page, y, one, (min(ends), max(ends)), saved, label)
        y += _ROW
    draw.line((0, y, _PANEL, y), TRACK, 2)
    total = signed(because.logit, 3)
    draw.text((0, y + 12), f"= {because.what}", INK, font(_SIZE, bold=True))
    draw.text((_NUMBER, y + 12), total, INK, font(_SIZE, bold=True), anchor="ra")
    y += 50
    warned = because.decision is not None and because.decision.rest_decides
    for line, remark in lines:
        ink = MARK if warned and remark == because.remarks[1] else INK
        draw.text((0, y), line, ink if remark != because.names else FAINT, font(_SMALL))
        y += 22
    return page.crop((0, 0, _PANEL, y))


def _rows(because: Because) -> list[Reason]:
    """Return what gets a bar, by size; more than fit are one bar."""
    named = [one for one in because.reasons if one.term.kind not in _SUMMED]
    unseen = named[_ROWS:]
    rows = [one for one in because.reasons if one not in unseen]
    if unseen:
        value = sum(one.term.value for one in unseen)
        rows.append(Reason(Term("rest", value), f"{len(unseen)} more reasons"))
    return sorted(rows, key=lambda one: -abs(one.term.value))


def _sentence(remark: str) -> str:
    return f"{remark[0].upper()}{remark[1:]}."


def wrapped(text: str, width: int, face: ImageFont.FreeTypeFont) -> list[str]:
    """Return a text as lines that fit, broken between words, and inside one that is too long."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and face.getlength(joined) <= width:
            lines[-1] = joined
            continue
        while face.getlength(word) > width:
            kept = next(n for n in range(len(word), 0, -1) if face.getlength(word[:n]) <= width)
            lines.append(word[:kept])
            word = word[kept:]
        lines.append(word)
    return lines


def _reason(
    page: Image.Image,
    y: int,
    reason: Reason,
    ends: tuple[float, float],
    saved: SavedHead,
    label: int,
) -> None:
    """Draw a reason: name, bar, the value beside it, support images."""
    draw, value = ImageDraw.Draw(page), reason.term.value
    middle = y + _THUMB // 2
    quiet = reason.ungrounded or reason.term.kind in _SUMMED
    lines = [(line, FAINT if quiet else INK, _SIZE) for line in _name_lines(reason)]
    lines += [(line, FAINT, _SMALL) for line in _note(reason)]
    top = middle - sum(size + 4 for *_, size in lines) // 2
    for line, ink, size in lines:
        draw.text((0, top), line, ink, font(size))
        top += size + 4
    low, high = ends
    pixels = _BARS / ((high - low) or 1.0)
    zero = _NAME + round(-low * pixels)
    tip = zero + round(value * pixels)
    color = MARK if value < 0 else FAINT if reason.term.kind in _SUMMED else BAR
    draw.rectangle((_NAME, middle - 7, _NAME + _BARS, middle + 7), TRACK)
    if tip != zero:
        draw.rectangle((min(zero, tip), middle - 7, max(zero, tip), middle + 7), color)
    draw.line((zero, middle - 12, zero, middle + 12), FAINT, 1)
    draw.text((_NUMBER, middle), signed(value, 3), INK, font(_SIZE), anchor="rm")
    left = _NUMBER + _GAP
    indices = reason.term.images or (() if reason.term.index is None else (reason.term.index,))
    for index in indices[:_THUMBS] if reason.images else ():
        _thumb(page, (left, y), saved, index, own=saved.labels[index] == label)
        left += _THUMB + 6


def _name_lines(reason: Reason) -> list[str]:
    """Return a reason's name as two lines at most."""
    face = font(_SIZE)
    lines = wrapped(reason.shown, _NAME - _GAP, face)
    if len(lines) <= 2:
        return lines
    return [lines[0], cut(" ".join(lines[1:]), _NAME - _GAP, face)]


def _note(reason: Reason) -> list[str]:
    """Return the small print under a reason's name: a line, or none."""
    told = []
    if reason.evidence is not None:
        told.append(f"evidence {reason.evidence:.2f}")
    elif reason.term.score is not None:
        told.append(minus(f"score {reason.term.score:.2f}"))
    if reason.ungrounded:
        told.append("ungrounded")
    return [" · ".join(told)] if told else []


def _thumb(
    page: Image.Image, place: tuple[int, int], saved: SavedHead, index: int, *, own: bool
) -> None:
    """Draw a support image, framed; an empty frame where it was not kept."""
    draw, (x, y) = ImageDraw.Draw(page), place
    draw.rectangle((x - 2, y - 2, x + _THUMB + 1, y + _THUMB + 1), BAR if own else TRACK)
    small = saved.thumbnail(index)
    if small is None:
        draw.rectangle((x, y, x + _THUMB - 1, y + _THUMB - 1), PAPER)
    else:
        page.paste(small.resize((_THUMB, _THUMB), Image.Resampling.LANCZOS), (x, y))
