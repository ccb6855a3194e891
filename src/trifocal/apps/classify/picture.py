"""A picture of an explained class: the photo, the reasons as bars, and the images behind each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from PIL import Image, ImageDraw

from trifocal.apps.classify.answers import Because, Guess, Reason
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

_SIDE, _PANEL, _MARGIN = 400, 716, 28  # pixels: the photo, the reasons, what is around them
_NAME, _BARS, _VALUE, _GAP = 216, 196, 84, 14  # columns of a reason
_ROW, _THUMB, _THUMBS = 62, 46, 4  # height of a reason; its support images, and how many at most
_ROWS = 12  # reasons drawn at most
_TITLE, _SIZE, _SMALL = 26, 18, 14
_SUMMED = {  # what has no bar of its own, and what it is called in the sum
    "text": "class text",
    "network": "network",
    "bias": "bias",
    "rest": "everything else",
}
_PLURAL = {"concept": "concepts", "image": "support images"}


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
    """Return the right side: a bar for each reason, and their sum."""
    barred = [one for one in because.reasons if one.term.kind not in _SUMMED]
    shown, unseen = barred[:_ROWS], barred[_ROWS:]
    page = Image.new("RGB", (_PANEL, 150 + _ROW * len(shown) + 120), PAPER)
    draw = ImageDraw.Draw(page)
    rival = because.against
    title = f"Why {because.about.label}" + (f", not {rival}?" if rival else "?")
    type_ = font(_TITLE, bold=True)
    draw.text((0, 0), cut(title, _PANEL, type_), INK, type_)
    draw.text((0, 38), _subtitle(shown, because), FAINT, font(_SMALL))
    y = 70
    ends = [one.term.value for one in shown] + [0.0]
    low, high = min(ends), max(ends)
    label = saved.classes.index(because.about.label)
    for one in shown:
        _reason(page, y, one, (low, high), saved, label)
        y += _ROW
    y = _sum(draw, y + 12, because, shown, unseen)
    return page.crop((0, 0, _PANEL, y))


def _subtitle(shown: Sequence[Reason], because: Because) -> str:
    if not shown:
        return "This method does not divide its answer into concepts or images."
    kinds = {one.term.kind for one in shown}
    what = " and ".join(_PLURAL.get(kind, kind) for kind in sorted(kinds))
    rival = because.against
    adds = f"What {what} add to its logit" + (f", less that of {rival}" if rival else "")
    images = "" if kinds == {"image"} else "; their support images, framed if of this class"
    return cut(adds + images, _PANEL, font(_SMALL))


def _reason(
    page: Image.Image,
    y: int,
    reason: Reason,
    ends: tuple[float, float],
    saved: SavedHead,
    label: int,
) -> None:
    """Draw a reason: name, bar, value, support images."""
    draw, value = ImageDraw.Draw(page), reason.term.value
    middle = y + _THUMB // 2
    ink = FAINT if reason.ungrounded else INK
    name = cut(reason.name, _NAME - _GAP, font(_SIZE))
    note = _note(reason)
    draw.text((0, middle - (10 if note else 0)), name, ink, font(_SIZE), anchor="lm")
    if note:
        draw.text((0, middle + 13), cut(note, _NAME, font(_SMALL)), FAINT, font(_SMALL), "lm")
    low, high = ends
    zero = -low / ((high - low) or 1.0)
    start, stop = sorted((zero, (value - low) / ((high - low) or 1.0)))
    color = MARK if value < 0 else BAR
    left = _NAME
    draw_bar(draw, (left, middle - 7, left + _BARS, middle + 7), start, stop, color)
    if low < 0 < high:
        x = left + round(zero * _BARS)
        draw.line((x, middle - 12, x, middle + 12), FAINT, 1)
    left += _BARS + _VALUE
    draw.text((left - 6, middle), signed(value, 3), ink, font(_SIZE), anchor="rm")
    left += _GAP
    indices = reason.term.images or (() if reason.term.index is None else (reason.term.index,))
    for index in indices[:_THUMBS] if reason.images else ():
        _thumb(page, (left, y), saved, index, own=saved.labels[index] == label)
        left += _THUMB + 6


def _note(reason: Reason) -> str:
    """Return the small print under a reason's name."""
    score = reason.term.score
    told = ["ungrounded"] if reason.ungrounded else []
    if score is not None:
        told.append(minus(f"score {score:.2f}"))
        told += ["less than usual"] if score < 0 else []
    return " · ".join(told)


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


def _sum(
    draw: ImageDraw.ImageDraw,
    y: int,
    because: Because,
    shown: Sequence[Reason],
    unseen: Sequence[Reason],
) -> int:
    """Draw what adds up to the logit, in one line of cells; return where it ends."""
    cells: list[tuple[str, float]] = []
    for one in because.reasons:
        if one.term.kind == "text":
            cells.append((_SUMMED["text"] + "s" * (because.against is not None), one.term.value))
    for kind, group in groupby(
        sorted(shown, key=lambda one: one.term.kind), lambda one: one.term.kind
    ):
        values = [one.term.value for one in group]
        cells.append((f"{len(values)} {_PLURAL.get(kind, kind)} shown", sum(values)))
    rest = sum(one.term.value for one in unseen)
    for one in because.reasons:
        if one.term.kind in ("network", "bias"):
            cells.append((_SUMMED[one.term.kind], one.term.value))
        elif one.term.kind == "rest":
            rest += one.term.value
    if unseen or any(one.term.kind == "rest" for one in because.reasons):
        cells.append((_SUMMED["rest"], rest))
    draw.line((0, y, _PANEL, y), TRACK, 2)
    y += 14
    width = _PANEL // (len(cells) + 1)
    for number, (label, value) in enumerate(cells):
        x = number * width
        draw.text((x, y), signed(value, 3), INK, font(_SIZE))
        draw.text((x, y + 26), cut(label, width - 8, font(_SMALL)), FAINT, font(_SMALL))
    draw.text((_PANEL, y), f"= {because.logit:.3f}", INK, font(_SIZE, bold=True), anchor="ra")
    what = "logit" if because.against is None else "difference"
    draw.text((_PANEL, y + 26), what, FAINT, font(_SMALL), anchor="ra")
    return y + 50
