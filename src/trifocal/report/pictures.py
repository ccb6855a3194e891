"""The report's pictures: trade-offs, loss curves, examples, and where words look."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.evaluate.summary import part_of, summarize
from trifocal.features.embed import encode_images, encode_texts
from trifocal.features.word_maps import EVERYDAY
from trifocal.report import figures
from trifocal.report.contender import SUMMARY_NAMES, Contender
from trifocal.report.map_quality import (
    COLORS,
    PHOTOS,
    THINGS,
    MapQuality,
    photo_map_quality,
    world_map_quality,
)
from trifocal.report.page import Block, Example, Examples, HeatMap, HeatMaps, Plot, Plots, Verdict
from trifocal.report.shown import Shown
from trifocal.report.word_maps import maps_of, word_maps
from trifocal.world.vocabulary import COLOR_NAMES, KINDS

logger = logging.getLogger(__name__)

_MAP_SIDE = 200  # pixels of a heat map, large enough to see what it lies on
_WORDS = 6  # heat maps of a picture; as many as fit beside each other

# Numbers of a training log that are no loss terms.
_NO_TERMS = {
    "step", "epoch", "loss", "gradient_norm", "logit_scale", "lr", "samples_per_second", "waiting",
}  # fmt: skip


def trade_off_blocks(contenders: Sequence[Contender]) -> list[Block]:
    plots = []
    for cost in ("zero_shot", "retrieval"):
        paths = [_path(one, cost, place) for place, one in enumerate(contenders)]
        series = [path for path in paths if path is not None]
        if len(series) < 2:
            continue
        figure = figures.trade_off(
            series,
            f"{SUMMARY_NAMES[cost]}, %",
            f"{SUMMARY_NAMES['composition']}, % ({_meant(contenders)})",
        )
        told = "; ".join(f"{s.label}: {s.y[-1]:.1f} at {s.x[-1]:.1f}" for s in series)
        plots.append(Plot(figure, f"Composition against {SUMMARY_NAMES[cost]}. {told}."))
    if not plots:
        return []
    runs = max(len(one.runs) for one in contenders)
    bars = f"over {runs} runs, and over questions where there is one run" if runs > 1 else ""
    text = (
        f"Up is gained, left is lost; dashed lines mark {contenders[0].label}. Bars are 95 % "
        f"intervals {bars or 'over questions'}."
    )
    if any(one.curves for one in contenders):
        text += " Lines are the way from the base in weight space (WiSE-FT)."
    return [Plots("Gained and lost", plots, text)]


def _meant(contenders: Sequence[Contender]) -> str:
    """Return what composition is the mean of."""
    rows = [row for run in contenders[0].runs for row in run if part_of(row) == "composition"]
    count = len({row.benchmark for row in rows})
    return f"mean of {count} benchmarks" if count > 1 else "mean of its groups"


def _path(one: Contender, cost: str, place: int) -> figures.Series | None:
    """Return the points of a contender, the model itself last."""
    summary = one.summary()
    if "composition" not in summary or cost not in summary:
        return None
    x = [*_on_the_way(one, cost), summary[cost].value]
    y = [*_on_the_way(one, "composition"), summary["composition"].value]
    spread = (summary[cost].half, summary["composition"].half)
    return figures.Series(one.label, x, y, spread, place)


def _on_the_way(one: Contender, number: str) -> list[float]:
    """Return a number of the summary, in percent, at each point before the model, over its runs."""
    points = [
        [100 * summarize(point.rows)[number] for point in curve if point.alpha < 1]
        for curve in one.curves
    ]
    return np.mean(points, axis=0).tolist() if points else []


def loss_blocks(contenders: Sequence[Contender], text: str) -> list[Block]:
    """Return the curves of every loss term; `text` says how to read them."""
    logs = [
        (one.label, place, log)
        for place, one in enumerate(contenders)
        for path in one.logs
        if (log := read_log(path))
    ]
    terms = dict.fromkeys(name for *_, log in logs for name in log[-1] if name not in _NO_TERMS)
    plots = []
    for term in terms:
        series = [
            figures.Series(label, [r["step"] for r in kept], [r[term] for r in kept], place=place)
            for label, place, log in logs
            if (kept := [record for record in log if record.get(term) is not None])
        ]
        words = term.replace("_", " ")
        plots.append(Plot(figures.lines(series, "step", f"{words} loss"), f"{words} loss by step"))
    if not plots:
        return []
    return [Plots("Training", plots, text, folded=True)]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the numbers of a `metrics.jsonl`'s training records; broken lines are skipped."""
    records = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict):
            continue
        if record.get("event", "train") == "train" and "step" in record:
            records.append({k: v for k, v in record.items() if isinstance(v, int | float)})
    if not records:
        logger.warning("%s has no training records; its curves are left out", path)
    return records


def examples(contenders: Sequence[Contender], shown: Sequence[Shown]) -> Examples:
    verdicts: list[list[Verdict]] = [[] for _ in shown]
    for one in contenders:
        images = encode_images(one.model, [question.picture for question in shown])
        texts = [question.caption for question in shown] + [q.negative for q in shown]
        true, false = encode_texts(one.model, texts).chunk(2)
        scores = torch.stack([(images * true).sum(1), (images * false).sum(1)], dim=1).tolist()
        for place, (caption, negative) in enumerate(scores):
            verdicts[place].append(Verdict(one.label, caption, negative))
    items = [
        Example(q.display, q.subject, q.caption, q.negative, found)
        for q, found in zip(shown, verdicts, strict=True)
    ]
    text = (
        "Cosine of the picture with its true and with its false caption; ✓ where the true one is "
        "higher. The first question of each subset with a picture of its own, whatever came out."
    )
    return Examples("What each model prefers", items, text)


def heat_maps(contenders: Sequence[Contender], shown: Sequence[Shown]) -> HeatMaps | None:
    """Return where words look, or None where no map is known to be better than chance.

    Maps on drawn scenes are measured here, on others; maps on photos are shown of models that were scored
    on the benchmark `word_maps`, for names of things, which it asks about. Words of relations have no
    place, and get no map.
    """
    on = {isinstance(question.picture, Tensor) for question in shown}
    measured = {
        (one.label, drawn): world_map_quality(one.model) if drawn else photo_map_quality(one.rows)
        for one in contenders
        for drawn in on
    }
    told = {key: _above_chance(quality) for key, quality in measured.items()}
    items = []
    for question in shown:
        drawn = isinstance(question.picture, Tensor)
        known = {one.label: told[one.label, drawn] for one in contenders}
        overlays: list[tuple[str, list[Image.Image]]] = []
        words = [w for w in question.words if any(w in names for names in known.values())][:_WORDS]
        for one in contenders:
            if not words or not known[one.label].issuperset(words):
                continue
            maps = maps_of(word_maps(one.model, question.picture, question.caption), words)
            seen = _seen(one.model, question)
            overlays.append(
                (one.label, [figures.heat_overlay(seen, m.weights, size=_MAP_SIDE) for m in maps])
            )
        if overlays:
            items.append(HeatMap(question.display, question.caption, words, overlays))
    if not items:
        return None
    text = (
        "How much more each patch shows a word than other words, from the least (dark) to the most "
        "(bright); patches are read without training (query-key attention in the last block). "
        "Measured on boxes: "
    )
    figures_of = [
        f"{label}, {name}: area under the ROC curve {100 * one.auc.value:.0f} % (chance 50), "
        f"brightest patch inside {100 * one.pointing:.0f} % (chance {100 * one.chance:.0f})"
        for (label, drawn), quality in measured.items()
        for name, one in quality.items()
        if told[label, drawn]
    ]
    return HeatMaps("Where words look", items, text + "; ".join(figures_of) + ".")


def _above_chance(quality: Mapping[str, MapQuality]) -> frozenset[str]:
    """Return the words whose maps say something: of the world, and of things on photos."""
    things = (*EVERYDAY, *(f"{word}s" for word in EVERYDAY))
    known = {THINGS: KINDS, COLORS: COLOR_NAMES, PHOTOS: things}
    return frozenset(
        word for name, one in quality.items() if one.above_chance for word in known[name]
    )


def _seen(model: Encoder, question: Shown) -> Image.Image:
    """Return the part of the shown picture that the model's patches cover."""
    if isinstance(question.picture, Tensor) or model.preprocess.resize == "squash":
        return question.display
    height, width = model.image_size
    return ImageOps.fit(question.display, _largest(question.display.size, width / height))


def _largest(size: tuple[int, int], ratio: float) -> tuple[int, int]:
    """Return the largest (width, height) of this ratio inside `size`."""
    width, height = size
    if width > height * ratio:
        return max(1, round(height * ratio)), height
    return width, max(1, round(width / ratio))
