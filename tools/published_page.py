"""Write docs/results/published.md: every published row that eval can set beside one's own, with its source.

python tools/published_page.py docs/results/published.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trifocal.evaluate.published.means import MEANS, MEANS_OF, Key, Mean
from trifocal.evaluate.published.tables import TABLES, published_models, published_table
from trifocal.files import atomic_write
from trifocal.report.markdown import markdown
from trifocal.report.table import Column, Entry, Row, Table

_RIVALS: dict[str, Key] = {
    "SugarCrepe": ("sugarcrepe", "mean", "acc"),
    "SugarCrepe++ ITT": ("sugarcrepe_pp", "mean", "itt"),
    "replace": ("sugarcrepe_pp", "replace", "itt"),
    "swap": ("sugarcrepe_pp", "swap", "itt"),
    "TOT (sym)": ("sugarcrepe_pp", "mean", "tot_sym"),
    "BiVLC group": ("bivlc", "all", "group"),
    "NegBench COCO": ("negbench", "coco", "acc_micro"),
    "comp_fsc_clip": MEANS["comp_fsc_clip"].key,
    "zs_elevater": MEANS["zs_elevater"].key,
    "COCO T2I R@1": ("dataset_coco", "zeroshot_retrieval", "image_retrieval_recall@1"),
}


def page() -> str:
    """Return the page."""
    parts = [
        "# Published rows\n",
        "Percent, as papers and authors print them; nothing here was measured by us. Written by\n"
        "`python tools/published_page.py docs/results/published.md` from\n"
        "`src/trifocal/evaluate/published/*.csv`; `trifocal eval … --beside MODEL…` sets one's own model\n"
        "beside them. Numbers of two sources come from two evaluators.\n",
        "## Rivals in one table\n",
        "`–`: nobody has published it. `comp_fsc_clip`, `zs_elevater`: see the named means below.\n",
        markdown(_rivals()),
        "## Named means\n",
        *(_mean(one) for one in MEANS.values()),
        "\n## Every row, by source\n",
        *(_listing(name) for name in TABLES),
    ]
    return "\n".join(parts)


def _rivals() -> Table:
    known = published_models()
    rows = [
        Row(model, _entries(values, list(_RIVALS.values())))
        for model, values in known.items()
        if values.keys() & set(_RIVALS.values())
    ]
    return Table("", "model (ViT-B/32)", [Column(label) for label in _RIVALS], rows)


def _mean(mean: Mean) -> str:
    members = [one.name if isinstance(one, Mean) else " ".join(one) for one in mean.members]
    return f"- `{mean.name}`: the mean of {len(members)}: {', '.join(members)}. {mean.source}."


def _listing(name: str) -> str:
    lines = [f"### {name}.csv\n"]
    for row in published_table(name):
        lines.append(f"**{row.model}** ({row.weights}; {row.source}):")
        lines.append(", ".join(f"{_label(key)} {100 * v:.4g}" for key, v in row.values.items()))
        lines.append("")
    return "\n".join(lines)


def _label(key: Key) -> str:
    return key[1] if key[0] == MEANS_OF else " ".join(key)


def _entries(values: Mapping[Key, float], keys: Sequence[Key]) -> list[Entry]:
    return [Entry(f"{100 * values[key]:.4g}" if key in values else "–") for key in keys]


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as aside:
        aside.write_text(page(), encoding="utf-8")
