"""Are reasons true, and do words look at what they name?

    python benchmarks/concept_reasons.py [DATA]

On the drawn world: how often concepts that a concept map names are true of the scene (three a picture at
most), with evidence learned from known pictures, with words alone, and without; for its default space
and for that of parts; accuracy against the number of named concepts; and what word maps are worth.

With a folder of real data (a CLIP `photo_clip`, COCO photos with boxes as `images/coco.json`, features
of CLIP ViT-B/32 in `features`, CoOp's split in `annotations.zip`): how often words that win over other words are true of photos.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from trifocal.apps.demo.concepts import worded
from trifocal.apps.demo.concepts_evidence import world_evidence
from trifocal.apps.demo.concepts_reasons import trust_in
from trifocal.apps.few_shot.sources import world_source
from trifocal.clip import load_clip
from trifocal.concepts.concept_map import ConceptMap
from trifocal.concepts.evidence import LEAST, Evidence
from trifocal.data.coco_files import read_coco
from trifocal.evaluate.benchmarks.word_maps import DENSE, WordMaps
from trifocal.features.embed import encode_images, encode_texts
from trifocal.metrics.intervals import paired_bootstrap
from trifocal.report.concept_trust import Trust, trust_tables
from trifocal.report.map_quality import world_map_quality
from trifocal.report.terminal import terminal_table

SHOTS, SEED, VIEWS = 16, 1, 10
SPLIT = "coop/split_zhou_Caltech101.json"
METRICS: tuple[tuple[Literal["concepts", "parts"], int], ...] = (("concepts", 0), ("parts", VIEWS))
LEASTS = (0.1, 0.2, LEAST, 0.5)  # probabilities from which on words are named


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    console = Console()
    for name, trust in on_the_world():
        console.print(f"\n[bold]{name}[/bold]")
        for table in trust_tables(trust):
            console.print(terminal_table(table))
        curves = trust.curves
        for what, values in (("with", curves.right_with), ("without", curves.right_without)):
            told = " ".join(f"{100 * one:.1f}" for one in values)
            console.print(f"accuracy {what} 0 to 8 named concepts: {told}")
    for name, one in world_map_quality(load_clip("builtin").eval()).items():
        console.print(
            f"maps of {name}: area {100 * one.auc.value:.1f} ({100 * one.auc.low:.1f} to "
            f"{100 * one.auc.high:.1f}), pointing {100 * one.pointing:.1f} (chance "
            f"{100 * one.chance:.1f}), {one.n} words"
        )
    for folder in sys.argv[1:]:
        for told in photo_maps(Path(folder)):
            console.print(told)
        for name, words, asked, truth in (coco(Path(folder)), caltech(Path(folder))):
            console.print(f"\n[bold]{name}[/bold]: {len(asked)} photos, {words} words")
            for least in LEASTS:
                named = asked >= least
                console.print(
                    f"  from {100 * least:.0f} % on: {100 * truth[named].float().mean():.1f} % true, "
                    f"{named.sum() / len(asked):.2f} a photo, "
                    f"{100 * named.any(1).float().mean():.0f} % of the photos have one"
                )


def on_the_world() -> Iterator[tuple[str, Trust]]:
    """Yield what names are worth on the drawn world, by how they are found."""
    base = load_clip("builtin").eval()
    with tempfile.TemporaryDirectory() as folder:
        cache, known = Path(folder) / "features", world_evidence(base)
        for metric, views in METRICS:
            drawn = world_source(base, cache, SHOTS, [], {"cache": cache, "views": views})
            task = worded(drawn, base)[0].task(SHOTS, SEED, "few")
            assert task.concept_text is not None
            head = ConceptMap(scale=task.scale, seed=SEED, metric=metric)
            head.fit(task.support, task.labels, task.class_text, task.concept_text, task.val)
            words = Evidence.from_words(task.concept_text, task.scale)
            for name, evidence in (("known pictures", known), ("words alone", words)):
                found = trust_in(head, evidence, drawn, base, task.tests["test"])
                yield f"metric={metric}, evidence from {name}", found


def photo_maps(data: Path) -> Iterator[str]:
    """Yield how maps of words find COCO's objects, and what dense maps are ahead, paired over photos."""
    clip, benchmark = load_clip(str(data / "photo_clip")).eval(), WordMaps(annotations="coco.json")
    rows = benchmark.score(clip, benchmark.items(data / "images"))
    dense = {row.metric: row for row in rows if row.task == DENSE}
    for row in rows:
        told = f"maps on photos, {row.task}, {row.metric}: {row.shown()}, {row.n} photos"
        if row.task != DENSE:
            ours, theirs = dense[row.metric].marks, row.marks
            assert ours is not None
            assert theirs is not None
            found = paired_bootstrap(ours.numpy(), theirs.numpy())
            low, value, high = (100 * one for one in (found.low, found.value, found.high))
            told += f"; dense ahead by {value:+.1f} ({low:+.1f} to {high:+.1f})"
        yield told


def coco(data: Path) -> tuple[str, int, Tensor, Tensor]:
    """Return probabilities of the 80 categories of COCO, and which objects photos show."""
    clip = load_clip(str(data / "photo_clip")).eval()
    read = read_coco(data / "images" / "coco.json", missing="skip")
    photos = [photo for photo in read.photos if photo.things]
    texts = encode_texts(clip, [f"a photo of a {name}" for name in read.categories])
    seen = encode_images(clip, [photo.path for photo in photos])
    truth = torch.tensor(
        [[any(t.category == c for t in p.things) for c in read.categories] for p in photos]
    )
    asked = Evidence.from_words(texts, clip.logit_scale.item())(seen)
    return f"COCO, {clip.name}", len(texts), asked, truth


def caltech(data: Path) -> tuple[str, int, Tensor, Tensor]:
    """Return probabilities of LVIS's names on Caltech-101's test photos of classes it names, too.

    A name counts as true only if it is the photo's class; others may be true as well.
    """
    features = load_file(data / "features" / "caltech101.safetensors")
    texts = load_file(data / "features" / "text.safetensors")["lvis"].float()
    names = [_bare(one) for one in json.loads((data / "features" / "lvis_names.json").read_text())]
    with zipfile.ZipFile(data / "annotations.zip") as published:
        split = json.loads(published.read(SPLIT))
    classes = {label: _bare(name) for _, label, name in split["train"]}
    labels = features["test_label"].tolist()
    kept = [row for row, label in enumerate(labels) if classes[label] in names]
    truth = torch.zeros(len(kept), len(names), dtype=torch.bool)
    for row, one in enumerate(kept):
        truth[row, names.index(classes[labels[one]])] = True
    asked = Evidence.from_words(texts, 100.0)(features["test"][kept].float())
    return "Caltech-101, ViT-B/32", len(names), asked, truth


def _bare(name: Any) -> str:
    told = name if isinstance(name, str) else name["name"]
    return told.lower().replace("_", " ").split("(")[0].strip()


if __name__ == "__main__":
    main()
