"""The chapter on concepts: few-shot heads on the world's invented classes, and their reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import ACC, TEST
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.evaluate.names import WORLD_NOTE
from trifocal.metrics.intervals import Difference
from trifocal.report.concept_trust import Trust, trust_blocks
from trifocal.report.few_shot import ZERO_SHOT, accuracy_highlight, cost_highlight, curves
from trifocal.report.few_shot_tables import (
    brief_shots_table,
    costs_table,
    difference,
    domains_table,
    is_sure,
    shots_table,
)
from trifocal.report.found import joined
from trifocal.report.numbers import percent, percentage, signed
from trifocal.report.page import (
    Block,
    Chapter,
    Facts,
    Highlights,
    Note,
    Picture,
    Pictures,
    Plots,
    Prose,
)
from trifocal.report.table import Column, Row, Table
from trifocal.world import FEW_SHOT_CLASSES, WORLD_CONCEPTS

NAMED, TOLD = "world/names", "world/told"
TITLES = {NAMED: "Invented names", TOLD: "Descriptions"}
MAP, NAMELESS = "concept-map", "map-nameless"
CONTROLS = RAW, TEXT = "concept-map-raw", "concept-map-text"
CACHE, GDA = "tip-adapter-f", "gda"
_SMALL = 0.03  # three points

_ONE = FEW_SHOT_CLASSES[1]
_LEAD = (
    f"A {_ONE.name} is {_ONE.descriptions[0]}: {len(FEW_SHOT_CLASSES)} classes of things that the "
    "base has never been told of, learned from 1 to 16 pictures of each by heads on its frozen "
    "features. All is done twice. With the classes' invented names the text tower is of no use, "
    "as it is for a new product or a species it has never read of. With descriptions of the classes "
    "instead of names it knows much beforehand, as CLIP does of everyday things. The pictures are "
    "the same."
)
_HONEST = (
    "Heads select their settings on min(shots, 4) validation pictures a class or on nothing; the "
    "{tested} test pictures are opened after that. The concepts are {concepts} phrases that "
    "captions of this world are made of (“a red cup”, “a fish on the left”); none names a class, or "
    "one of the kinds that the base never saw."
)
_REASONS = (
    "The first test picture that is named rightly and the first of another class that is not, by "
    "concept-map with invented names at 16 shots (first draw). Bars are what each part adds to the "
    "logit (to the difference of two logits, for the wrong one), and add up to it. A concept is "
    "named only where the picture shows it; what the picture has besides is “everything else”."
)
_ASK = (
    "The classifier of these two pictures and all pictures that were drawn are kept; any of them "
    "can be asked about, and any class be set against any other."
)


def overview(summaries: Mapping[str, Summary]) -> list[Table]:
    """Return the tables that fit into a terminal; the chapter has the rest."""
    shots = [brief_shots_table(one, [name], TITLES[name]) for name, one in summaries.items()]
    return [*shots, domains_table(summaries[TOLD], TOLD)]


def tour_chapter(
    summaries: Mapping[str, Summary],
    answers: Answers,
    pictures: Sequence[Picture],
    commands: Sequence[str],
    trust: Trust | None = None,
) -> Chapter:
    """Return the chapter of results by the keys of `TITLES`, with explained answers.

    The `commands` are those that give the explanations again; `trust` is what these are worth.
    """
    tested = next(one.row.n for one in summaries[NAMED].measured if one.row.metric == ACC)
    honest = _HONEST.format(tested=tested, concepts=len(WORLD_CONCEPTS))
    blocks: list[Block] = [_highlights(summaries), Note(honest)]
    blocks += [_curves(summaries), _table(summaries), _against(summaries, answers)]
    blocks.append(Prose(_meaning(summaries, answers), "What this says"))
    blocks.append(Pictures("Because of which concepts?", pictures, _REASONS))
    blocks += [] if trust is None else trust_blocks(trust)
    blocks.append(_domains(summaries[TOLD]))
    blocks.append(costs_table(summaries[NAMED]))
    blocks.append(Facts("Ask it yourself", [("kept", _ASK)], commands))
    return Chapter("Concepts", _LEAD, blocks, WORLD_NOTE, _found(summaries, answers))


def _found(summaries: Mapping[str, Summary], answers: Answers) -> list[str]:
    """Return how concept-map does under each wording, and what it is ahead of or behind."""
    told = []
    for name, summary in summaries.items():
        whole, zero = (summary.mean(one, [name], summary.shots) for one in (MAP, ZERO_SHOT))
        if whole is None or zero is None:
            continue
        others = [one for one in summary.methods if one not in (MAP, ZERO_SHOT)]
        found = {one: answers.difference(MAP, one, [name], summary.shots, TEST) for one in others}
        sure = {one: found_ for one, found_ in found.items() if found_ and is_sure(found_)}
        parts = [
            f"{words} {joined(names)}"
            for words, names in (
                ("ahead of", [one for one in sure if sure[one].value > 0]),
                ("behind", [one for one in sure if sure[one].value < 0]),
            )
            if names
        ]
        beyond = f", beyond noise {'; '.join(parts)}" if parts else ""
        told.append(
            f"{TITLES[name]}: {MAP} is right on {percentage(whole.value)} of the pictures, averaged "
            f"over shots, zero-shot on {percentage(zero.value)}{beyond}."
        )
    return told


def _curves(summaries: Mapping[str, Summary]) -> Plots:
    plots = [
        curves(summary, [name], MAP, title=TITLES[name], bands=False)
        for name, summary in summaries.items()
    ]
    draws = summaries[NAMED].seeds()
    return Plots(
        "Accuracy over shots",
        plots,
        f"Mean of {draws} draws of the support. Shaded: the 95 % interval of {MAP} over draws. Each "
        "panel has a scale of its own.",
    )


def _table(summaries: Mapping[str, Summary]) -> Table:
    parts = {TITLES[name]: shots_table(summary, [name], MAP) for name, summary in summaries.items()}
    columns = [
        Column(column.label, f"{title}, shots a class")
        for title, part in parts.items()
        for column in part.columns
    ]
    rows = [
        replace(row, entries=[e for part in parts.values() for e in part.rows[place].entries])
        for place, row in enumerate(parts[TITLES[NAMED]].rows)
    ]
    return Table("Accuracy, %", "method", columns, rows, "±: 95 % over draws of the support.")


def _highlights(summaries: Mapping[str, Summary]) -> Highlights:
    """Return concept-map's accuracy at the most shots under both wordings, and what it takes."""
    items = [
        accuracy_highlight(one, [name], MAP, one.shots[-1], f": {TITLES[name].lower()}")
        for name, one in summaries.items()
    ]
    return Highlights([item for item in (*items, cost_highlight(summaries[NAMED], MAP)) if item])


def _differences(
    summaries: Mapping[str, Summary], answers: Answers, method: str
) -> list[Difference | None]:
    """Return how much better than concept-map a method is under each wording, over all shots."""
    return [
        answers.difference(method, MAP, [name], summary.shots, TEST)
        for name, summary in summaries.items()
    ]


def _against(summaries: Mapping[str, Summary], answers: Answers) -> Table:
    others = [method for method in summaries[NAMED].methods if method != MAP]
    return Table(
        f"Against {MAP}, on the same test pictures",
        "method",
        [Column(title) for title in TITLES.values()],
        [Row(one, [*map(difference, _differences(summaries, answers, one))]) for one in others],
        f"Points more (or less) than {MAP}, averaged over shots and draws; ±: the 95 % interval of "
        "a paired bootstrap over test pictures; colored where p < 0.05.",
    )


def _meaning(summaries: Mapping[str, Summary], answers: Answers) -> list[str]:
    def means(method: str) -> list[str]:
        found = [one.mean(method, [name], one.shots) for name, one in summaries.items()]
        return ["–" if cell is None else f"{percent(cell.value)} %" for cell in found]

    def both(method: str) -> str:
        return " and ".join(means(method))

    zero, alone = means(ZERO_SHOT), means(NAMELESS)[0]
    lost = _differences(summaries, answers, NAMELESS)[0]
    misled = f"{NAMELESS}, the same without class texts, gets {alone}."
    if lost is not None and is_sure(lost) and lost.value > 0:
        misled = (
            f"Texts that mislead still cost it {100 * lost.value:.1f} ± {100 * lost.half:.1f} "
            f"points, most of them where pictures are few: {NAMELESS}, the same without class "
            f"texts, gets {alone}. Texts that say nothing are better left out."
        )
    found = [one for name in CONTROLS for one in _differences(summaries, answers, name)]
    controls = [one for one in found if one is not None]
    sure = [one.value for one in controls if is_sure(one)]
    ahead = sum(value < 0 for value in sure)
    verdict = (
        f"Of these four differences, {ahead} in favor of {MAP} and {len(sure) - ahead} in favor of "
        "a control are beyond noise (p < 0.05)."
    )
    if controls and all(abs(one.value) < _SMALL for one in controls):
        verdict += (
            " All are small: the accuracy comes from the inference that the three share (texts as a "
            "prior, directions in which a class varies counting less, a penalty chosen on held-out "
            "pictures). What concepts add here is above all an answer that can be read."
        )
    return [
        f"What a name is worth. Zero-shot gets {zero[0]} by invented names, where chance is "
        f"{100 / len(FEW_SHOT_CLASSES):.1f} %, and {zero[1]} by descriptions. {CACHE} adds to the "
        f"zero-shot answer and stands or falls with it: {both(CACHE)}, averaged over shots. {GDA}, "
        f"which weighs texts against pictures by validation, gets {both(GDA)}; {MAP}, for which "
        f"texts are a prior that pictures overrule, {both(MAP)}. {misled}",
        f"What concepts are worth. {RAW} is the same inference on raw features, {TEXT} the same on "
        f"words as the text tower embeds them, without visual concepts. Against {MAP}, {RAW} is "
        f"{_apart(summaries, answers, RAW)}; {TEXT} {_apart(summaries, answers, TEXT)}. {verdict}",
    ]


def _apart(summaries: Mapping[str, Summary], answers: Answers, method: str) -> str:
    told = [
        "–" if one is None else f"{signed(100 * one.value)} (± {100 * one.half:.1f})"
        for one in _differences(summaries, answers, method)
    ]
    return f"{told[0]} points with invented names and {told[1]} with descriptions"


def _domains(summary: Summary) -> Table:
    table = domains_table(summary, TOLD)
    return replace(
        table,
        title=f"{table.title}: {TITLES[TOLD].lower()}",
        columns=[Column("as drawn", "fitted to"), *table.columns[1:]],
        caption="Fitted and selected on pictures as they are drawn; the other styles are tested on "
        "alone. The base was trained on pictures as they are drawn, too.",
    )
