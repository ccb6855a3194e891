"""What the options of `trifocal search query` are worth on real photos: --boxes, --local and --not.

    python benchmarks/search_quality.py --data ROOT --model MODEL [--only boxes local not]

ROOT holds `images/coco.json`, `photos/coco_mini/` and `photos/flickr8k/`. What is chosen is chosen on
one part (Flickr8k's dev photos; photos of COCO whose names `data.coco_files.split_of` does not put
into "test"), and told on the other.

--boxes: "a {category}" is asked of every photo that shows one of at least 1 % of it. Told are how often
the box's middle lies in an object of the category, and how much box and best object overlap; then how
well the categories' photos are ranked. --local: first captions of Flickr8k's photos, the 50 first hits of each
in a new order. --not: pairs of categories, or of words that two captions of a photo have; "a dog"
without "people".
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from photos_regions import merged
from search_cut import captions_of
from trifocal.data.coco_files import split_of
from trifocal.data.images import open_image
from trifocal.features.dense import patch_features
from trifocal.features.embed import encode_images, encode_texts
from trifocal.losses.alignment import local_alignment_scores
from trifocal.search.background import embed_background
from trifocal.search.boxes import best_window, windows
from trifocal.tuning import load_model

Frame = tuple[float, float, float, float]  # left, top, right and bottom as shares of a picture
Chooses = Callable[[Tensor], list[Frame]]  # boxes that count alike, of (rows, columns) scores

FIRST = 50  # hits that a second look reorders
LEAST_AREA = 0.01
WEIGHTS = (0.1, 0.25, 0.5, 1.0, 2.0)
WORDS = {
    "a dog": r"dogs?|pupp\w+",
    "people": "man|men|woman|women|people|person|boys?|girls?|child|children|kids?",
    "a man": "man|men",
    "a woman": "woman|women",
    "water": "water|ocean|sea|lake|river|pool",
    "snow": r"snow\w*",
    "grass": r"grass\w*|lawn",
    "a ball": "balls?|football|basketball|soccer",
    "a beach": "beach|sand",
    "a bicycle": "bikes?|bicycles?",
    "a street": "streets?|road|sidewalk",
    "a child": "child|children|kids?|boys?|girls?|toddler|baby",
    "a crowd": "crowd|group",
    "a tree": "trees?|forest|woods",
}


class Coco:
    """Photos with their objects, embedded once."""

    def __init__(self, root: Path, model) -> None:
        data = merged(root)
        names = {one["id"]: one["name"] for one in data["categories"]}
        self.files = [root / one["file_name"] for one in data["images"]]
        self.test = np.array([split_of(file.stem) == "test" for file in self.files])
        self.objects: list[dict[str, list[Frame]]] = [{} for _ in self.files]
        for one in data["annotations"]:
            if one.get("iscrowd"):
                continue
            photo = data["images"][one["image_id"]]
            x, y, w, h = one["bbox"]
            wide, high = photo["width"], photo["height"]
            frame = (x / wide, y / high, (x + w) / wide, (y + h) / high)
            self.objects[one["image_id"]].setdefault(names[one["category_id"]], []).append(frame)
        self.categories = sorted({name for objects in self.objects for name in objects})
        self.pooled = encode_images(model, self.files)
        texts = encode_texts(model, [f"a {name}" for name in self.categories])
        self.texts = dict(zip(self.categories, texts))

    def shows(self, part: np.ndarray) -> dict[str, np.ndarray]:
        """Return which photos of a part show a category, by category."""
        places = np.flatnonzero(part)
        return {
            name: np.array([name in self.objects[place] for place in places])
            for name in self.categories
        }


def area(frame: Frame) -> float:
    return max(0.0, frame[2] - frame[0]) * max(0.0, frame[3] - frame[1])


def overlap(one: Frame, other: Frame) -> float:
    """Return the intersection over the union."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / (area(one) + area(other) - shared)


def as_frame(place: np.ndarray, grid: Sequence[int]) -> Frame:
    top, left, bottom, right = (float(side) for side in place)
    return left / grid[1], top / grid[0], right / grid[1], bottom / grid[0]


def middle(side: float) -> Chooses:
    low, high = 0.5 - side / 2, 0.5 + side / 2
    return lambda fits: [(low, low, high, high)]


def anywhere(fits: Tensor) -> list[Frame]:
    places = windows((fits.shape[0], fits.shape[1]))
    drawn = np.random.default_rng(0).choice(len(places), 20)
    return [as_frame(places[place], fits.shape) for place in drawn]


def highest_mean(fits: Tensor) -> list[Frame]:
    """Return the window of the highest mean, which is a small one."""
    places = windows((fits.shape[0], fits.shape[1]))
    means = [fits[a:c, b:d].mean() for a, b, c, d in places]
    return [as_frame(places[int(torch.stack(means).argmax())], fits.shape)]


def stands_out(fits: Tensor) -> list[Frame]:
    """Return what the search returns."""
    return [as_frame(best_window(fits)[0], fits.shape)]


BOXES: dict[str, Chooses] = {
    "anywhere": anywhere,
    "the middle, 0.6 of the sides": middle(0.6),
    "the middle, 0.8 of the sides": middle(0.8),
    "the window of the highest mean": highest_mean,
    "what stands out (--boxes)": stands_out,
}


def measure_boxes(coco: Coco, model) -> None:
    mean = embed_background(model).mean
    pictures = [open_image(file) for file in coco.files]
    patches = patch_features(model, pictures)
    for test in (False, True):
        asked = [
            (place, name)
            for place in np.flatnonzero(coco.test == test)
            for name, frames in coco.objects[place].items()
            if max(map(area, frames)) >= LEAST_AREA
        ]
        print(f"\nboxes, {'told on' if test else 'chosen on'} {len(asked)} questions")
        print(f"{'box':<34} {'middle inside':>14} {'IoU':>6} {'IoU >= 0.5':>11}")
        for label, choose in BOXES.items():
            rows = []
            for place, name in asked:
                truth = coco.objects[place][name]
                for frame in choose(patches[place] @ (coco.texts[name] - mean)):
                    x, y = (frame[0] + frame[2]) / 2, (frame[1] + frame[3]) / 2
                    inside = any(a <= x <= c and b <= y <= d for a, b, c, d in truth)
                    best = max(overlap(frame, one) for one in truth)
                    rows.append((inside, best, best >= 0.5))
            share, iou, half = np.mean(rows, axis=0)
            print(f"{label:<34} {share:>14.1%} {iou:>6.3f} {half:>11.1%}")
        measure_ranks(coco, patches, mean, coco.test == test)


def measure_ranks(coco: Coco, patches: Tensor, mean: Tensor, part: np.ndarray) -> None:
    """Tell how well photos of a category are ranked: by the picture, by its window, by both."""
    rows = torch.from_numpy(np.flatnonzero(part))
    found: dict[str, list[float]] = {}
    for name, shows in coco.shows(part).items():
        if shows.sum() < 2:
            continue
        cosines = coco.pooled[rows] @ coco.texts[name]
        first = cosines.argsort(descending=True)[:FIRST]
        fits = patches[rows[first]] @ (coco.texts[name] - mean)
        window = torch.tensor([best_window(one)[1] for one in fits])
        ways = {"the picture": cosines[first], "the window": window}
        ways |= {f"picture + {w:g} window": cosines[first] + w * window for w in WEIGHTS}
        for label, scores in ways.items():
            hits = shows[first[scores.argsort(descending=True)].numpy()]
            precise = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            found.setdefault(label, []).append((precise * hits).sum() / min(shows.sum(), FIRST))
    count = len(found["the picture"])
    told = ", ".join(f"{label} {np.mean(values):.3f}" for label, values in found.items())
    print(f"ranks of {count} categories, mean average precision: {told}")


@torch.no_grad()
def measure_local(root: Path, model, most: int) -> None:
    scale = model.logit_scale.item()
    for part in ("dev", "test"):
        files, _ = captions_of(root / "photos" / "flickr8k", part)
        first: dict[str, str] = {}
        for name, caption in captions_by_photo(root, files):
            first.setdefault(name, caption)
        step = max(1, len(files) // most)
        asked = range(0, step * most, step)
        pooled, patches = embedded(model, files)
        cosines = encode_texts(model, [first[files[place].name] for place in asked]) @ pooled.T
        ranks: dict[str, list[int]] = {}
        for row, place in zip(cosines, asked):
            best = row.topk(FIRST)
            said = model.encode_text(model.tokenize([first[files[place].name]]), tokens=True)
            tokens = said.tokens.expand(FIRST, -1, -1)
            mask = said.mask.expand(FIRST, -1)
            seen = patches[best.indices].float()
            local = (
                local_alignment_scores(seen, tokens, mask, scale, length_normalized=True) / scale
            )
            ways = {"cosine": best.values, "local": local}
            ways |= {f"cosine + {w:g} local": best.values + w * local for w in WEIGHTS}
            for label, scores in ways.items():
                order = best.indices[scores.argsort(descending=True)].tolist()
                ranks.setdefault(label, []).append(order.index(place) if place in order else FIRST)
        print(f"\nlocal, Flickr8k {part}, {len(asked)} captions among {len(files)} photos")
        for label, found in ranks.items():
            r1, r5 = (np.mean(np.array(found) < k) for k in (1, 5))
            print(f"{label:<20} R@1 {r1:.1%}  R@5 {r5:.1%}")


def embedded(model, files: Sequence[Path]) -> tuple[Tensor, Tensor]:
    """Return (N, D) vectors and (N, P, D) float16 patches as `--local` reads them."""
    pooled, patches = [], []
    for start in range(0, len(files), 50):
        pixels = [model.preprocess(open_image(file)) for file in files[start : start + 50]]
        made = model.encode_image(torch.stack(pixels), patches=True)
        pooled.append(made.pooled)
        patches.append(made.patches.half())
    return torch.cat(pooled), torch.cat(patches)


def captions_by_photo(root: Path, files: Sequence[Path]) -> list[tuple[str, str]]:
    """Return the names and captions of photos, in the file's order."""
    names = {file.name for file in files}
    lines = (root / "photos" / "flickr8k" / "captions.txt").read_text().splitlines()[1:]
    pairs = [(line.partition(",")[0], line.partition(",")[2].strip(' "')) for line in lines]
    return [(name, caption) for name, caption in pairs if name in names]


def measure_not(root: Path, model, coco: Coco) -> None:
    mean = embed_background(model).mean
    texts = dict(zip(WORDS, encode_texts(model, list(WORDS))))
    for part in ("dev", "test"):
        files, _ = captions_of(root / "photos" / "flickr8k", part)
        said: dict[str, list[str]] = {file.name: [] for file in files}
        for name, caption in captions_by_photo(root, files):
            said[name].append(caption.lower())
        has = {
            text: np.array([_times(words, said[file.name]) >= 2 for file in files])
            for text, words in WORDS.items()
        }
        tell_not(f"Flickr8k {part}", encode_images(model, files), texts, has, mean)
    for test in (False, True):
        part = coco.test == test
        label = f"COCO, {'test' if test else 'other'} photos"
        tell_not(label, coco.pooled[torch.from_numpy(part)], coco.texts, coco.shows(part), mean)


def _times(words: str, captions: Sequence[str]) -> int:
    return sum(bool(re.search(rf"\b({words})\b", caption)) for caption in captions)


def tell_not(label: str, photos: Tensor, texts: dict, has: dict, mean: Tensor) -> None:
    found: dict[float, list[tuple[float, ...]]] = {}
    for wanted in has:
        for unwanted in has:
            both, alone = has[wanted] & has[unwanted], has[wanted] & ~has[unwanted]
            if wanted == unwanted or min(both.sum(), alone.sum()) < 5:
                continue
            above = (photos @ (texts[unwanted] - mean)).clamp_min(0)
            for weight in (0.0, 0.5, 1.0, 2.0):
                scores = photos @ texts[wanted] - weight * above
                order = scores.argsort(descending=True).numpy()
                ten, many = order[:10], order[: has[wanted].sum()]
                found.setdefault(weight, []).append(
                    (
                        has[unwanted][ten].mean(),
                        has[wanted][ten].mean(),
                        alone[ten].mean(),
                        alone[many].sum() / alone.sum(),
                    )
                )
    print(f"\nnot, {label}, {len(found[0.0])} pairs; of the first ten")
    for weight, rows in found.items():
        unwanted, wanted, right, recall = np.mean(rows, axis=0)
        print(
            f"x {weight:<4g} unwanted {unwanted:.1%}  wanted {wanted:.1%}  wanted alone {right:.1%}"
            f"  recall of wanted alone {recall:.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--only", nargs="*", default=["boxes", "local", "not"])
    parser.add_argument("--captions", type=int, default=250, help="that --local is asked with")
    options = parser.parse_args()
    if not options.data:
        print("give --data and --model; see the top of this file")
        return
    model = load_model(options.model).eval()
    if "local" in options.only:
        measure_local(options.data, model, options.captions)
    if {"boxes", "not"} & {*options.only}:
        coco = Coco(options.data, model)
        if "boxes" in options.only:
            measure_boxes(coco, model)
        if "not" in options.only:
            measure_not(options.data, model, coco)


if __name__ == "__main__":
    main()
