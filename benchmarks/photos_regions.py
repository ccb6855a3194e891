"""Regions on real photos: which box is "a dog", zero-shot and after training, and what it is worth.

    python benchmarks/photos_regions.py --data ROOT --model FOLDER --out DIR [--steps 60]

ROOT holds `images/coco.json` with `images/coco/` and `photos/coco_mini/`. Their annotations become one
file, DIR/photos.json, of every photo once (coco_mini's annotations where both have it); photos are
divided by their names (`data.coco_files.split_of`), so none is on both sides. Zero-shot is every
marking, and patches pooled under the box. Five ways to train see the same prompts, steps and number
of learning rates, of which validation photos choose; then three seeds. Every answer is a line of
DIR/answers.jsonl, and the same command goes on where it was stopped. The tables are DIR/regions.md, the
plot DIR/regions.png; DIR/shown.png shows test photos with the boxes that a model chose.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from trifocal.clip import load_clip
from trifocal.files import atomic_write
from trifocal.metrics.intervals import Interval, bootstrap, paired_bootstrap
from trifocal.regions.benchmarks.coco_regions import (
    CocoRegionItems,
    CocoRegions,
    Outcome,
    answers,
    class_recall,
)
from trifocal.regions.encoder import region_encoder
from trifocal.report.drawing import font, marked
from trifocal.report.forest import Panel, forest
from trifocal.report.markdown import markdown
from trifocal.report.numbers import p_text, percent, signed
from trifocal.report.table import Column, Entry, Row, Table
from trifocal.train.build import METHODS, run
from trifocal.train.logs import read_lines
from trifocal.train.recipe import load_recipe
from trifocal.tuning import load_model

ZERO_SHOT = {
    "whole picture, not told the region": "plain",
    "patches under the box": "patches",
    "crop alone": "reg",
    "crop + picture": "r-ctx",
    "crop + highlight": "r-cpt",
    "crop + ellipse": "r-cir",
    "crop + gray around the box": "r-box",
    "highlight alone": "cpt",
    "ellipse alone": "cir",
    "gray around the box alone": "box",
}
REFERENCE = "crop + picture"  # how the toolkit shows regions to a model that never saw one
_RCA = ["--method", "rca", "--method.adapters.drop_path", "0"]
_STRICT_RATES = (2.5e-4, 1e-3, 4e-3)
TRAINED: dict[str, tuple[list[str], tuple[float, ...]]] = {
    "full fine-tuning": (["--method", "region_finetune"], (5e-5, 2e-4, 8e-4)),
    "LoRA": (["--method", "region_lora", "--method.pretrained", "scale"], (4e-3, 1.6e-2, 6.4e-2)),
    "RCA, published": ([*_RCA, "--method.trains", "published"], (1e-3, 4e-3, 1.6e-2)),
    "RCA, strict": ([*_RCA, "--method.trains", "strict_frozen"], _STRICT_RATES),
    "RCA, not told the region": ([*_RCA, "--method.trains", "strict_frozen"], _STRICT_RATES),
}
BLIND = "RCA, not told the region"
PAIRS = [(name, REFERENCE) for name in TRAINED] + [
    ("RCA, strict", "full fine-tuning"),
    ("RCA, strict", "LoRA"),
    ("RCA, strict", BLIND),
    ("RCA, published", "RCA, strict"),
    ("RCA, published", "full fine-tuning"),
    ("RCA, published", "LoRA"),
]
_TILE, _LINE = 256, 22  # pixels: sides of a shown photo, and the words above it
MEASURES = ("GT-Box", "acc1", "acc5", "per class")


@dataclass(frozen=True)
class Answered:
    """What one model said of a part's photos; see `Outcome`."""

    label: str
    split: str
    rate: float
    seed: int
    outcomes: list[Outcome]


def main() -> None:
    """Measure and train what is missing, then write tables and pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of images/ and photos/")
    parser.add_argument("--model", required=True, help="the CLIP to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of all that is written")
    parser.add_argument("--steps", type=int, default=60, help="of every training")
    parser.add_argument("--batch", type=int, default=16, help="regions in a step")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="these trainings alone, to share the work")
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    file = told.out / "photos.json"
    if not file.exists():
        with atomic_write(file) as aside:
            aside.write_text(json.dumps(merged(told.data)))
    study = Study(told, file)
    if not told.only:
        study.zero_shot()
    for seed in range(told.seeds):
        for label in told.only or TRAINED:
            study.trained(label, seed)
    write_page(study)


def merged(root: Path) -> dict[str, Any]:
    """Return one file in COCO's layout of all photos with boxes below ROOT, each photo once."""
    mini, photos, found = root / "photos" / "coco_mini", {}, []
    names: dict[int, str] = {}
    for part in ("train2017", "val2017"):
        read = json.loads((mini / "annotations" / f"instances_{part}.json").read_text())
        names.update({one["id"]: one["name"] for one in read["categories"]})
        for image in read["images"]:
            own = [one for one in read["annotations"] if one["image_id"] == image["id"]]
            photos[image["file_name"]] = (f"photos/coco_mini/{part}", image, own)
    for image in json.loads((root / "images" / "coco.json").read_text())["images"]:
        photos.setdefault(image["file_name"], ("images/coco", image, image["boxes"]))
    images = []
    for name, (folder, image, own) in sorted(photos.items()):
        if not own:
            continue
        sides = {side: image[side] for side in ("width", "height")}
        images.append({"id": len(images), "file_name": f"{folder}/{name}", **sides})
        kept = ("category_id", "bbox", "iscrowd")
        found += [
            {"image_id": images[-1]["id"], **{key: one[key] for key in kept if key in one}}
            for one in own
        ]
    categories = [{"id": number, "name": name} for number, name in names.items()]
    return {"images": images, "annotations": found, "categories": categories}


class Study:
    """What was asked, what has been answered, and what is still to do."""

    def __init__(self, told: argparse.Namespace, file: Path) -> None:
        self.told, self.file = told, file.resolve()
        self.record = told.out / "answers.jsonl"
        self.items = {
            split: CocoRegions(self.file, told.data, split).items(told.data)
            for split in ("train", "val", "test")
        }

    def every(self) -> Iterator[Answered]:
        """Yield what has been answered, each question once."""
        known = set()
        for line in read_lines(self.record):
            asked = tuple(line[key] for key in ("label", "split", "rate", "seed"))
            if asked in known:  # by two processes that shared the work
                continue
            known.add(asked)
            outcomes = [
                Outcome(np.array(box), np.array(first), np.array(five), tuple(ties))
                for box, first, five, ties in line.pop("outcomes")
            ]
            yield Answered(**line, outcomes=outcomes)

    def zero_shot(self) -> None:
        """Ask the model as it is, shown regions in every way."""
        model = load_clip(self.told.model)
        for label, variant in ZERO_SHOT.items():
            if not self._known(label, "test", 0, 0):
                encoder = region_encoder(model, variant=variant)
                self._ask(encoder, label, "test", 0, 0)

    def trained(self, label: str, seed: int) -> None:
        """Try each rate once, ask validation photos which is best, and train that with a seed."""
        _, rates = TRAINED[label]
        for rate in rates:
            if not self._known(label, "val", rate, 0):
                self._ask(self.model(label, rate, 0), label, "val", rate, 0)
        best = chosen_rate(self, label)
        if not self._known(label, "test", best, seed):
            self._ask(self.model(label, best, seed), label, "test", best, seed)

    def model(self, label: str, rate: float, seed: int) -> Any:
        """Return a trained model; its run goes on, or is opened, where there is one."""
        options, _ = TRAINED[label]
        variant = "ctx" if label == BLIND else "r-cpt"
        prompt = f"{{variant: {variant}, size: 112, prefix: false, period: false}}"
        name = f"{label.replace(',', '').replace(' ', '-')}-{rate:g}-{seed}"
        edges = ["--method.edge_lr", f"{rate / 20}"] if "published" in options else []
        recipe = load_recipe(
            None,
            [
                *("--model.name", self.told.model, *options, *edges, "--method.loss", "inference"),
                *("--method.prompt", prompt, "--method.augmentation.operations", "0"),
                *("--data.source", "coco_regions", "--data.path", str(self.file)),
                *("--data.images", str(self.told.data), "--data.split", "train"),
                *("--optimizer.lr", f"{rate}", "--schedule.steps", str(self.told.steps)),
                *("--schedule.warmup_steps", "5", "--batch_size", str(self.told.batch)),
                *("--clip_grad_norm", "1", "--workers", "0", "--checkpoint_every", "0"),
                *("--seed", str(seed), "--name", name, "--output", str(self.told.out / "runs")),
            ],
            METHODS,
        )
        run(recipe)
        return load_model(recipe.folder).eval()

    def _known(self, label: str, split: str, rate: float, seed: int) -> bool:
        asked = (label, split, rate, seed)
        return any((o.label, o.split, o.rate, o.seed) == asked for o in self.every())

    def _ask(self, model: Any, label: str, split: str, rate: float, seed: int) -> None:
        _, outcomes = answers(model, self.items[split])
        shown = [
            [one.gt_box.tolist(), one.first.tolist(), one.among_five.tolist(), one.ties]
            for one in outcomes
        ]
        line = {"label": label, "split": split, "rate": rate, "seed": seed, "outcomes": shown}
        with self.record.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        found = measured(self.items[split], [outcomes])
        said = ", ".join(f"{name} {percent(one.value)}" for name, one in found.items())
        print(f"{label}, rate {rate:g}, seed {seed}, {split}: {said}", flush=True)


def chosen_rate(study: Study, label: str) -> float:
    """Return the rate that is best on validation photos, by the mean of GT-Box and acc1."""

    def worth(one: Answered) -> float:
        found = measured(study.items["val"], [one.outcomes])
        return found["GT-Box"].value + found["acc1"].value

    tried = [one for one in study.every() if (one.label, one.split) == (label, "val")]
    return max(tried, key=worth).rate


def marks(runs: Sequence[Sequence[Outcome]], measure: str) -> np.ndarray:
    """Return (P,) shares of the photos that are asked about, means over runs."""
    field = {"GT-Box": "gt_box", "acc1": "first", "acc5": "among_five"}[measure]
    every = [[getattr(one, field) for one in outcomes] for outcomes in runs]
    return np.mean([[part.mean() for part in photos if len(part)] for photos in every], axis=0)


def measured(
    items: CocoRegionItems, runs: Sequence[Sequence[Outcome]], samples: int = 2000
) -> dict[str, Interval]:
    """Return all measures, means over runs, with bootstrap intervals over photos."""
    found = {name: bootstrap(marks(runs, name)) for name in MEASURES[:3]}
    rng, count = np.random.default_rng(0), len(items.photos)
    means = [
        Outcome(o[0].gt_box, np.mean([each.first for each in o], axis=0), o[0].among_five, (0, 0))
        for o in zip(*runs, strict=True)
    ]
    drawn = [
        class_recall(
            items.photos, means, np.bincount(rng.integers(0, count, count), minlength=count)
        )
        for _ in range(samples)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    found["per class"] = Interval(class_recall(items.photos, means), float(low), float(high))
    return found


def write_page(study: Study) -> None:
    """Write the tables, the plot and the photos of what there is."""
    items, out = study.items["test"], study.told.out
    best = cache(lambda label: chosen_rate(study, label))
    by_label: dict[str, list[Answered]] = {}
    for one in study.every():
        if one.split == "test" and one.rate == (best(one.label) if one.label in TRAINED else 0):
            by_label.setdefault(one.label, []).append(one)
    labels = [label for label in (*ZERO_SHOT, *TRAINED) if label in by_label]
    runs = {label: [one.outcomes for one in by_label[label]] for label in labels}
    found = {label: measured(items, runs[label]) for label in labels}
    asked = [photo for photo in items.photos if len(photo.single)]
    chances = {
        "GT-Box": float(np.mean([1 / len(photo.regions) for photo in asked])),
        "acc1": 1 / len(items.categories),
        "acc5": 5 / len(items.categories),
        "per class": 1 / len(items.categories),
    }
    tables = [_scores(labels, by_label, found, chances), _differences(runs, labels)]
    about = _about(study)
    with atomic_write(out / "regions.md", force=True) as aside:
        aside.write_text("\n".join([about, *map(markdown, tables)]))
    panels = [
        Panel(name, [_hundredfold(found[label][name]) for label in labels], 100 * chances[name])
        for name in ("GT-Box", "acc1", "per class")
    ]
    places = [6 if label in ZERO_SHOT else 1 for label in labels]
    with atomic_write(out / "regions.png", force=True) as aside:
        aside.write_bytes(forest(labels, panels, places))
    _show(study)


def _about(study: Study) -> str:
    """Say what was asked about, and which rates validation photos chose."""
    lines = []
    for split, items in study.items.items():
        single = sum(len(photo.single) for photo in items.photos)
        lines.append(
            f"* {split}: {len(items.photos)} photos, {len(items)} boxes, {single} of a category "
            "that occurs once"
        )
    tried = {one.label for one in study.every() if one.split == "val"}
    rates = [f"{name} {chosen_rate(study, name):g}" for name in TRAINED if name in tried]
    lines.append(f"* learning rates chosen on validation photos: {', '.join(rates) or 'none yet'}")
    return "\n".join([*lines, f"* {study.told.steps} steps of {study.told.batch} regions", ""])


def _scores(
    labels: Sequence[str],
    by_label: dict[str, list[Answered]],
    found: dict[str, dict[str, Interval]],
    chances: dict[str, float],
) -> Table:
    rows = [Row("chance", [*(Entry(percent(chances[name])) for name in MEASURES), Entry("–")])]
    best = {name: max(found[label][name].value for label in labels) for name in MEASURES}
    for label in labels:
        entries = [
            Entry(percent(one.value), best=one.value == best[name], spread=percent(one.half))
            for name, one in found[label].items()
        ]
        own = [100 * marks([one.outcomes], "GT-Box").mean() for one in by_label[label]]
        seeds = f"{min(own):.1f} to {max(own):.1f}" if len(own) > 1 else "–"
        rows.append(Row(label, [*entries, Entry(seeds)]))
    columns = [*map(Column, MEASURES), Column("GT-Box, seeds")]
    caption = (
        'GT-Box: which of the photo\'s boxes is "a {category}", of categories that occur once. acc1, '
        "acc5: which of all categories is in the box; both are means over photos. Per class: acc1, "
        "mean over the categories that occur. ± is half of the bootstrap's 95 % interval over photos."
    )
    return Table("Regions of real photos", "%", columns, rows, caption)


def _differences(runs: dict[str, list[list[Outcome]]], labels: Sequence[str]) -> Table:
    rows = []
    for after, before in PAIRS:
        if after not in labels or before not in labels:
            continue
        entries = []
        for name in MEASURES[:3]:
            one = paired_bootstrap(marks(runs[after], name), marks(runs[before], name))
            entries += [
                Entry(f"{signed(100 * one.value)}", spread=percent(one.half)),
                Entry(p_text(one)),
            ]
        rows.append(Row(f"{after} − {before}", entries))
    columns = [Column(label) for name in MEASURES[:3] for label in (name, "p")]
    caption = "Points, on the same photos; p is the paired bootstrap's over photos."
    return Table("Differences", "paired difference", columns, rows, caption)


def _hundredfold(one: Interval) -> Interval:
    return Interval(100 * one.value, 100 * one.low, 100 * one.high)


def _show(study: Study, count: int = 9) -> None:
    """Draw test photos with one box each: the one that a trained model takes for a category.

    The last run of strict RCA, or the model as it is where there is none.
    """
    items = study.items["test"]
    asked = [photo for photo in items.photos if len(photo.single)][:count]
    fits = [one for one in study.every() if (one.label, one.split) == ("RCA, strict", "test")]
    if fits:
        model = region_encoder(study.model("RCA, strict", fits[-1].rate, fits[-1].seed))
    else:
        model = region_encoder(load_clip(study.told.model))
    sheet = Image.new("RGB", (3 * _TILE, 3 * (_TILE + _LINE)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, photo in enumerate(asked):
        own = int(photo.single[0])
        category = int(photo.categories[own])
        regions = [items.pool.regions[region] for region in photo.regions]
        text = items.pool.texts[items.texts[category]]
        scores = model.encode_regions(regions) @ model.encode_inferences([text])[0]
        chosen = int(scores.argmax())
        x, y = _TILE * (number % 3), (_TILE + _LINE) * (number // 3)
        image, boxes = regions[chosen].open()
        sheet.paste(marked(image, boxes, _TILE - 4), (x, y + _LINE))
        said = "right" if chosen == own else "wrong"
        draw.text((x + 4, y + 3), f"a {items.categories[category]}: {said}", "black", font(15))
    with atomic_write(study.told.out / "shown.png", force=True) as aside:
        sheet.save(aside, format="PNG")


if __name__ == "__main__":
    main()
