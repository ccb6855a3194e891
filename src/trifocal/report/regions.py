"""The chapter on regions: models on what follows from a part of a picture, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from trifocal.clip import Clip
from trifocal.data.regions import Region
from trifocal.evaluate.names import WORLD_NOTE
from trifocal.evaluate.summary import part_of
from trifocal.metrics.intervals import Interval
from trifocal.regions.attention import cls_attention
from trifocal.regions.encoder import RegionEncoder, default_prompt, region_encoder
from trifocal.regions.prompts import PromptConfig, prompts
from trifocal.report import figures
from trifocal.report.comparison import beyond_noise, chance_row, compare, entry_of, seeds_note
from trifocal.report.contender import SUMMARY_NAMES, Contender
from trifocal.report.drawing import marked
from trifocal.report.found import joined, noise, summary_changes
from trifocal.report.numbers import percent, signed, thousands
from trifocal.report.page import (
    Block,
    Chapter,
    Highlight,
    Highlights,
    Note,
    Ranked,
    Ranking,
    Rankings,
)
from trifocal.report.pictures import loss_blocks
from trifocal.report.table import Column, Entry, Row, Table, tone_of

# Metrics as Sherlock names them, in the order of its leaderboard, with what they are.
MEASURES = {
    "im2txt": ("im→txt", "retrieval"),
    "txt2im": ("txt→im", "retrieval"),
    "P@1": ("P@1", "retrieval"),
    "GT-Box": ("GT-Box", "localization"),
    "Auto-Box": ("Auto-Box", "localization"),
    "Human Acc": ("agreement", "comparison"),
}
COSTS = ("zero_shot", "retrieval")  # what the base could do, of `summarize`
_HIGHLIGHTED = ("im2txt", "P@1", "GT-Box")
_COST = "cost: whole pictures"
_MAP_SIDE = 320  # pixels: the width of a map of attention
_TOP = 3  # answers shown of each model
_SHOWN = 256  # pixels; the longer side of a picture with its region

_TOUR_LEAD = (
    "What follows from this part of this picture? A boat beside a flag means one thing and beside "
    "an umbrella another: the answer needs the region and the rest of the picture. The frozen base "
    "has never read such sentences, however it is shown the region. Fine-tuning trains all of it on "
    "magnified regions stacked on their pictures; RCA trains adapters inside the frozen towers: "
    "alone (strict), or with the embeddings and projections, as published."
)
_TOUR_REMARK = (
    "To tell the regions of one picture apart (GT-Box) the region is enough in this world, since a "
    "picture has one occasion. Retrieval needs both: the best there can be is P@1 25 % from the "
    "region alone and 42 % from the picture without the region. What it costs: a model that has "
    "learned these sentences has forgotten much of how to name whole pictures. The base is not "
    "touched by it; RCA's adapters are kept beside it and can be left out."
)


@dataclass(frozen=True)
class ShownRegion:
    """A region to look at, with what is true of it."""

    region: Region  # the picture and the boxes
    truth: str  # what follows from it, in words
    right: frozenset[str]  # the answers that count as right


def tour_chapter(
    contenders: Sequence[Contender],
    trained: Mapping[str, int],
    shown: Sequence[ShownRegion],
    bank: Sequence[str],
) -> Chapter:
    """Return the tour's chapter; see `region_chapter`."""
    told = {"lead": _TOUR_LEAD, "remark": _TOUR_REMARK, "label": WORLD_NOTE}
    return region_chapter(contenders, trained=trained, shown=shown, bank=bank, **told)


def region_chapter(
    contenders: Sequence[Contender],
    *,
    lead: str,
    trained: Mapping[str, int],
    shown: Sequence[ShownRegion] = (),
    bank: Sequence[str] = (),
    remark: str = "",
    label: str = "",
) -> Chapter:
    """Return the chapter that compares models on regions; the frozen base comes first.

    Args:
        contenders: The models; the others are compared with the first.
        lead, remark, label: See `Chapter`, and `Note` for what numbers must be read with.
        trained: Number of trained parameters by contender.
        shown: Regions to look at, for the contenders whose model is given.
        bank: Explanations that are ranked for them.
    """
    blocks: list[Block] = [_highlights(contenders, trained)]
    if remark:
        blocks.append(Note(remark))
    blocks.append(measures_table(contenders, trained))
    blocks += loss_blocks(contenders, "Each term as it is trained (weighted).")
    with_model = [one for one in contenders if one.model is not None]
    if shown and with_model:
        blocks.append(rankings(with_model, shown, bank))
    return Chapter("Regions", lead, blocks, label, _found(contenders))


def measures_table(contenders: Sequence[Contender], trained: Mapping[str, int]) -> Table:
    """Return the table of models by Sherlock's measures."""
    rows = [row for one in contenders for row in one.rows]
    compared = compare(rows, contenders[0].label)
    keys = [key for metric in MEASURES for key in compared if key[2] == metric]
    body = []
    base = contenders[0].summary()
    costs = [name for name in COSTS if name in base]
    for one in contenders:
        entries = [entry_of(compared[key].get(one.label)) for key in keys]
        entries += [_cost(base[name], one.summary().get(name)) for name in costs]
        count = trained.get(one.label, 0)
        body.append(Row(one.label, [*entries, Entry(thousands(count))]))
    chance = chance_row(compared, keys)
    blank = [Entry("")] * (len(costs) + 1)
    body.append(replace(chance, entries=[*chance.entries, *blank]))
    columns = [Column(*MEASURES[key[2]], " · ".join(key)) for key in keys]
    columns += [Column(SUMMARY_NAMES[name], _COST) for name in costs]
    runs = max(len(one.runs) for one in contenders)
    return Table(
        "Before and after",
        "model",
        [*columns, Column("trained")],
        body,
        "im→txt: the mean rank of a region's own inference, txt→im: of an inference's own region; "
        "1 is best. The others in percent; agreement (Sherlock's comparison) is 0 at chance and 100 "
        "where the order is always right. Costs: zero-shot accuracy and retrieval with whole "
        f"pictures{_asked(contenders)}; over fewer or more than these, as in another chapter, the same "
        f"model has other numbers. Trained: parameters. Below: the change against {contenders[0].label}, colored "
        f"where it is larger than the noise of the test (95 %).{seeds_note(runs)}",
    )


def overview(contenders: Sequence[Contender], trained: Mapping[str, int]) -> Table:
    """Return what fits into a terminal: the values of the measures, without changes and costs."""
    table = measures_table(contenders, trained)
    kept = [place for place, column in enumerate(table.columns) if column.group != _COST]
    columns = [table.columns[place] for place in kept]
    rows = [
        Row(row.label, [Entry(row.entries[place].value) for place in kept])
        for row in table.rows
        if row.emphasis != "faint"
    ]
    return Table("On the built-in drawn world", table.corner, columns, rows)


def _cost(base: Interval, found: Interval | None) -> Entry:
    """Return the entry of something that training on regions was not asked for."""
    if found is None:
        return Entry("–")
    change = found.value - base.value
    if not change:
        return Entry(f"{found.value:.1f}")
    tone = tone_of(change, beyond_noise(found, base))
    return Entry(f"{found.value:.1f}", signed(change), tone)


def rankings(
    contenders: Sequence[Contender], shown: Sequence[ShownRegion], bank: Sequence[str]
) -> Rankings:
    """Return pictures with their region, ranked explanations, and where attention went."""
    answers: list[list[tuple[str, list[Ranked], Image.Image | None]]] = [[] for _ in shown]
    bank, regions = list(bank), [each.region for each in shown]
    for one in contenders:
        encoder = region_encoder(one.model)
        scores = encoder.encode_regions(regions) @ encoder.encode_inferences(bank).T
        for place, each in enumerate(shown):
            best = scores[place].topk(min(_TOP, len(bank)))
            ranked = [
                Ranked(bank[k], value, bank[k] in each.right)
                for value, k in zip(best.values.tolist(), best.indices.tolist())
            ]
            answers[place].append((one.label, ranked, attention_picture(one.model, each.region)))
    items = [
        Ranking(marked(*each.region.open(), _SHOWN), each.truth, found)
        for each, found in zip(shown, answers, strict=True)
    ]
    text = (
        f"The best of {len(bank)} explanations, cosines beside them. The small pictures show how "
        "the last block's CLS spreads its attention over the magnified region (top) and the whole "
        "picture (bottom), brightest where it is highest."
    )
    return Rankings("What each model concludes, and where it looks", items, text)


def attention_picture(model: Clip | RegionEncoder, region: Region) -> Image.Image:
    """Return region and context, one above the other, with the model's attention laid over."""
    own = isinstance(model, RegionEncoder)
    clip, prompt = (model.clip, model.prompt) if own else (model, default_prompt(model))
    assert isinstance(clip, Clip)  # no other has towers to look into
    image, boxes = region.open()
    config = PromptConfig(variant="r-ctx", boxes="largest", size=prompt.size)
    pixels = prompts(image, boxes, config, clip.image_size[0])[0]  # (1, 3, 2n, n)
    weights = cls_attention(clip.eval(), pixels.to(clip.device))[0].cpu().numpy()
    picture = Image.fromarray(pixels[0].permute(1, 2, 0).contiguous().numpy())
    return figures.heat_overlay(picture, weights, size=_MAP_SIDE)


def _found(contenders: Sequence[Contender]) -> list[str]:
    """Return what the last model gained over the base in the highlighted measures, and its price."""
    base, chosen = contenders[0], contenders[-1]
    if chosen is base:
        return []
    compared = compare([*base.rows, *chosen.rows], base.label)
    told = []
    for metric in _HIGHLIGHTED:
        cells = next((cells for key, cells in compared.items() if key[2] == metric), {})
        if chosen.label in cells and base.label in cells:
            cell, unit = cells[chosen.label], "" if cells[base.label].row.is_rank else "\u00a0%"
            start = cells[base.label].row.shown()
            sure = "" if cell.beyond_noise else " (within noise)"
            name = f"mean rank {MEASURES[metric][0]}" if cell.row.is_rank else MEASURES[metric][0]
            told.append(f"{name} {start}{unit} → {cell.row.shown()}{unit}{sure}")
    costs = [one for name, one in summary_changes(base, chosen).items() if name in COSTS]
    sentences = [f"{chosen.label} against {base.label}: {joined(told)}."] if told else []
    return sentences + ([f"With whole pictures: {noise(costs)}."] if costs else [])


def _asked(contenders: Sequence[Contender]) -> str:
    """Return on how many whole pictures the costs were measured."""
    numbers = {part_of(row): f"{row.n}" for row in contenders[0].rows}
    known = [numbers[name] for name in ("zero_shot", "t2i") if name in numbers]
    return f", of {joined(known)} questions" if known else ""


def _highlights(contenders: Sequence[Contender], trained: Mapping[str, int]) -> Highlights:
    base, chosen = contenders[0], contenders[-1]
    compared = compare([*base.rows, *chosen.rows], base.label)
    items = []
    for metric in _HIGHLIGHTED:
        cells = next((cells for key, cells in compared.items() if key[2] == metric), {})
        if chosen.label not in cells:
            continue
        cell, start, gain = cells[chosen.label], cells[base.label], cells[chosen.label].gain or 0
        unit = "" if cell.row.is_rank else " %"
        label, value = f"{chosen.label}: {MEASURES[metric][0]}", f"{cell.row.shown()}{unit}"
        detail = f"{signed(gain)} against {base.label} ({start.row.shown()}{unit})"
        items.append(Highlight(label, value, detail, tone_of(gain, cell.beyond_noise, unsure="")))
    every = max(trained.values(), default=0)
    if every and trained.get(chosen.label):
        share = f"{percent(trained[chosen.label] / every)} %"
        label = f"{chosen.label}: trained"
        items.append(Highlight(label, share, "of what full fine-tuning trains"))
    return Highlights(items)
