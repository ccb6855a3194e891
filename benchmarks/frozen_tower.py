"""Training beside a frozen image tower: pictures embedded once, against encoding them in every step.

    python benchmarks/frozen_tower.py --data ROOT [--photos 1024] [--steps 12] [--batch 128]

Flickr8k's training photos (`ROOT/photos/flickr8k`), a centered crop, so that both runs show the
same pictures; the two are the same recipe but for its section `embeddings`.

* `photo_clip`: plain fine-tuning of the text tower of the CLIP in `ROOT/photo_clip`;
* `photo_clip, patches`: the same with FSC-CLIP's local term, whose patches are kept in float16;
* `ViT-B/32`: plain fine-tuning of the text tower of a CLIP of that shape, with random weights;
* `ViT-B/32, LABCLIP`: both towers frozen, a matrix behind the texts trained.

Each run is a process of its own. A speed is that of the second half of the steps, waiting for data
included. Filling the store, once for all runs, is timed apart. Memory is the highest resident set
of the main process, mapped rows included.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from trifocal.clip import Clip, build_clip, load_clip
from trifocal.clip.shape import SHAPES
from trifocal.data.captions import CaptionData
from trifocal.train import train
from trifocal.train.build import build_batching, build_method
from trifocal.train.embeddings import EmbeddingsRecipe
from trifocal.train.logs import read_lines
from trifocal.train.recipe import Recipe, ScheduleRecipe

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "photo_clip": ("photo_clip", {"name": "finetune", "tuning": "text"}),
    "photo_clip, patches": (
        "photo_clip",
        {"name": "fsc_clip", "tuning": "text", "negatives": ["swap"]},
    ),
    "ViT-B/32": ("ViT-B-32", {"name": "finetune", "tuning": "text"}),
    "ViT-B/32, LABCLIP": ("ViT-B-32", {"name": "labclip"}),
}


def write_table(root: Path, file: Path, photos: int) -> None:
    """Write the captions of the first training photos as a table."""
    flickr = root / "photos" / "flickr8k"
    chosen = set((flickr / "trainImages.txt").read_text().split()[:photos])
    with (flickr / "captions.txt").open(newline="") as source, file.open("w", newline="") as to:
        rows = csv.writer(to)
        rows.writerow(["image", "caption"])
        rows.writerows(row for row in csv.reader(source) if row[0] in chosen)


def load(root: Path, name: str) -> Clip:
    """Return the CLIP of a setting."""
    clip = load_clip(str(root / "photo_clip"))
    return clip if name == "photo_clip" else build_clip(SHAPES[name], clip.tokenizer, seed=0)


def run(
    root: Path, folder: Path, setting: str, name: str, kept: bool, steps: int, batch: int, to: Any
) -> None:
    """Train, in a process of its own; send samples per second, peak memory and the last loss."""
    model, method = SETTINGS[setting]
    recipe = Recipe(
        name=name,
        output=str(folder / "runs"),
        method=method,
        data=CaptionData(
            path=str(folder / "captions.csv"),
            images=str(root / "photos" / "flickr8k" / "images"),
            crop=None,
        ),
        schedule=ScheduleRecipe(warmup_steps=1, steps=steps),
        batch_size=batch,
        precision="fp32",
        workers=1,
        log_every=1,
        checkpoint_every=0,
        embeddings=EmbeddingsRecipe(cache=str(folder / "store"), patches="float16")
        if kept
        else None,
    )
    clip = load(root, model)
    one = build_method(recipe, clip)
    done = train(
        one, recipe.data.open(clip.image_size), build_batching(recipe, one), recipe, resume="never"
    )
    lines = [line for line in read_lines(done.folder / "metrics.jsonl") if line["event"] == "train"]
    late = [line["samples_per_second"] for line in lines[len(lines) // 2 :]]
    speed = len(late) / sum(1 / each for each in late)
    to.send((speed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, lines[-1]["loss"]))


def apart(*arguments: Any) -> tuple[float, float, float]:
    """Return what `run` sends."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=run, args=(*arguments, there))
    process.start()
    there.close()
    made = here.recv()
    process.join()
    return made


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT")
    parser.add_argument("--photos", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    given = parser.parse_args()
    print(
        "| setting | anew, samples/s | kept, samples/s | ratio | anew, MB | kept, MB | store, MB | "
        "filling, s (MB) | loss anew, kept |\n|---|---|---|---|---|---|---|---|---|"
    )
    for setting in given.settings:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_table(given.data, folder / "captions.csv", given.photos)
            common = (given.data, folder, setting)
            begun = time.perf_counter()
            _, filling, _ = apart(*common, "fill", True, 1, given.batch)
            seconds = time.perf_counter() - begun
            kept = apart(*common, "kept", True, given.steps, given.batch)
            anew = apart(*common, "anew", False, given.steps, given.batch)
            files = (folder / "store").rglob("*.safetensors")
            store = sum(file.stat().st_size for file in files) / 1e6
            print(
                f"| {setting} | {anew[0]:.1f} | {kept[0]:.1f} | {kept[0] / anew[0]:.1f} | "
                f"{anew[1]:.0f} | {kept[1]:.0f} | {store:.1f} | {seconds:.0f} ({filling:.0f}) | "
                f"{anew[2]:.5f}, {kept[2]:.5f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
