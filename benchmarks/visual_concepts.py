"""Do visual concepts below the image tell classes apart better than text concepts do?

    python benchmarks/visual_concepts.py DATA --cache FOLDER [--draws 20]

DATA holds `photo_clip` and the photos of EuroSAT, PACS and Caltech below `images`. Everything is
embedded once and kept in FOLDER. Supports of 1, 2 and 4 photos a class are drawn at random, and all
other photos are asked. One head, the concept map, is given what each reading makes of a picture:

    whole       the picture, concepts found among whole pictures: the head as it is
    parts       the picture, weighed by what its views differ in (`concepts/parts.py`)
    crops       the mean of the picture and 14 crops; the crops as further views
    crops+parts both
    boxes       for each text concept the boxes of dense features that show it best
    retrieved   for each text concept the crops that show it best
    clusters    k-means of the support's crops (DCBM, ICML 2025)
    shared      those of the clusters in which two classes meet

The last four describe a picture by how much its boxes or crops are like each concept. Beside each
stand the same with text concepts in the place of visual ones (the nearest words of a cluster), and the
same pictures without concepts. Only what support pictures say of one another selects. Differences
are paired; their 95 % intervals count each photo and each draw once (Cameron, Gelbach and Miller,
Journal of Business and Economic Statistics 2011).
"""

from __future__ import annotations

import argparse
import logging
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import Clip, encode_texts, load_clip
from trifocal.clip.dense import dense_features
from trifocal.concepts import ConceptMap
from trifocal.concepts.support import unit
from trifocal.concepts.vocabulary import concept_text, load_vocabulary

TEMPLATES = ("a photo of a {}.", "a picture of a {}.", "an image of a {}.", "a {}.")
FOLDERS = {
    "EuroSAT": "eurosat/2750",
    "PACS": "pacs/PACS/*",
    "Caltech": "caltech101/101_ObjectCategories",
}
SHOTS = {"EuroSAT": (1, 2, 4), "PACS": (1, 2, 4), "Caltech": (1, 2)}  # three photos a class there
VIEWS = 6  # random views of a picture
GRID = 3  # boxes across a picture, and down
NEIGHBORS = 4  # regions that a text concept retrieves
SHARP = 5.0  # exponent of similarities
CLUSTERS = 128

Sources = dict[str, "Described"]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


# --- photos -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Photos:
    """Photos of one data set as a frozen CLIP sees them; unit features."""

    labels: Tensor  # (n,)
    text: Tensor  # (D, d) class texts
    whole: Tensor  # (n, d)
    views: Tensor  # (n, VIEWS, d) random crops
    crops: Tensor  # (n, 14, d) crops in fixed places
    boxes: Tensor  # (n, GRID * GRID, d) means of dense features

    @property
    def classes(self) -> int:
        return len(self.text)

    def draw(self, shots: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the rows of a support and all others."""
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(seed))
        rows = [order[self.labels[order] == label][:shots] for label in range(self.classes)]
        support = torch.cat(rows)
        asked = torch.ones(len(self.labels), dtype=torch.bool)
        asked[support] = False
        return support, asked.nonzero().flatten()


def read(name: str, root: Path, cache: Path, clip: Clip) -> Photos:
    """Return a data set's photos, embedded once."""
    folders = sorted(root.glob(f"images/{FOLDERS[name]}/*"))
    names = sorted({folder.name for folder in folders})
    files = [(file, names.index(f.name)) for f in folders for file in sorted(f.iterdir())]
    words = [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", n).replace("_", " ").lower() for n in names]
    prompts = [template.format(word) for word in words for template in TEMPLATES]
    text = unit(encode_texts(clip, prompts).unflatten(0, (-1, len(TEMPLATES))).mean(1))
    kept = cache / f"{name}.safetensors"
    if not kept.exists():
        rows = [embedded(file, number, clip) for number, (file, _) in enumerate(files)]
        save_file({key: torch.stack([row[key] for row in rows]) for key in rows[0]}, kept)
    found = {key: unit(value) for key, value in load_file(kept).items()}
    return Photos(torch.tensor([label for _, label in files]), text, **found)


@torch.no_grad()
def embedded(file: Path, number: int, clip: Clip) -> dict[str, Tensor]:
    """Return the features of one photo and of what is below it."""
    with Image.open(file) as opened:
        photo = opened.convert("RGB")
    draw = np.random.default_rng(number)
    whole, size = clip.preprocess(photo), clip.image_size

    def cut(box: Box) -> Image.Image:
        return photo.resize(size, Image.Resampling.BICUBIC, box=box)

    crops = [clip.preprocess(cut(box)) for box in places(*photo.size)]
    views = []
    for _ in range(VIEWS):
        view = cut(random_box(*photo.size, draw))
        mirrored = draw.random() < 0.5
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else view
        views.append(clip.preprocess(view))
    features = clip.image_features(torch.stack([whole, *crops, *views]))
    patches = dense_features(clip, whole[None]).permute(0, 3, 1, 2)
    boxes = F.adaptive_avg_pool2d(patches, GRID)[0].flatten(1).T
    inside = features[1 : 1 + len(crops)]
    parts = {"whole": features[0], "crops": inside, "views": features[-VIEWS:], "boxes": boxes}
    return {key: value.contiguous().clone() for key, value in parts.items()}


def places(width: int, height: int) -> Iterator[Box]:
    """Yield the boxes of the crops: corners at 0.7 of the short side, 3 x 3 at 0.5, the middle."""
    short = min(width, height)
    for scale, steps in ((0.7, (0, 1)), (0.5, (0, 0.5, 1)), (0.7, (0.5,))):
        side = scale * short
        for down in steps:
            for right in steps:
                x, y = (width - side) * right, (height - side) * down
                yield (x, y, x + side, y + side)


def random_box(width: int, height: int, draw: np.random.Generator) -> Box:
    """Return a box of half of the picture at least."""
    area = draw.uniform(0.5, 1)
    ratio = math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
    across = min(width, round(math.sqrt(width * height * area * ratio)))
    down = min(height, round(math.sqrt(width * height * area / ratio)))
    x, y = int(draw.integers(0, width - across + 1)), int(draw.integers(0, height - down + 1))
    return (x, y, x + across, y + down)


# --- readings -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Described:
    """What a head is fitted to and asked about: (N, V, k) of the support and (n, k) of the rest."""

    support: Tensor
    asked: Tensor
    head: ConceptMap = field(default_factory=lambda: ConceptMap(visual="raw"))
    in_joint_space: bool = False  # whether class texts can stand beside


def whole(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    """Return the picture, and its random views."""
    return _linear(photos.views[support], photos.whole[asked])


def parts(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    return {
        "visual": Described(
            photos.views[support], photos.whole[asked], ConceptMap(metric="parts"), True
        )
    }


def crops(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    return _linear(*_cropped(photos, support, asked))


def crops_and_parts(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    return {
        "visual": Described(*_cropped(photos, support, asked), ConceptMap(metric="parts"), True)
    }


def boxes(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    return _retrieved(photos.boxes, photos, support, asked, words)


def retrieved(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    return _retrieved(photos.crops, photos, support, asked, words)


def clusters(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    return _clustered(photos, support, asked, words, fewest=1)


def shared(photos: Photos, support: Tensor, asked: Tensor, words: Tensor) -> Sources:
    return _clustered(photos, support, asked, words, fewest=2)


READINGS: dict[str, Callable[[Photos, Tensor, Tensor, Tensor], Sources]] = {
    "whole": whole,
    "parts": parts,
    "crops": crops,
    "crops+parts": crops_and_parts,
    "boxes": boxes,
    "retrieved": retrieved,
    "clusters": clusters,
    "shared": shared,
}
# Whose text concepts, and whose pictures without concepts, a reading has in common with another.
COMMON = {
    ("parts", "text"): "whole",
    ("parts", "none"): "whole",
    ("crops+parts", "text"): "crops",
    ("crops+parts", "none"): "crops",
    ("clusters", "none"): "retrieved",
    ("shared", "none"): "retrieved",
}


def _cropped(photos: Photos, support: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    every = torch.cat([photos.whole[:, None], photos.crops], 1)
    return torch.cat([every, photos.views], 1)[support], every[asked].mean(1)


def _linear(views: Tensor, pictures: Tensor) -> Sources:
    """Return the three sources for readings that stay in the joint space."""
    kinds = {"visual": ConceptMap(), "text": ConceptMap(visual="text")}
    heads = {**kinds, "none": ConceptMap(visual="raw")}
    return {source: Described(views, pictures, one, True) for source, one in heads.items()}


def _retrieved(
    regions: Tensor, photos: Photos, support: Tensor, asked: Tensor, words: Tensor
) -> Sources:
    """Return several regions for each text concept that stands out in some, and these concepts."""
    centered, bank = _centered(regions, support)
    scores = words @ bank.T
    scores = scores - scores.mean(0)
    best = scores.topk(NEIGHBORS, dim=1)
    standing = (best.values.mean(1) / scores.std(1)).topk(min(256, len(words))).indices
    visual = bank[best.indices[standing].flatten().unique()]
    return _described(centered, photos, support, asked, visual, words[standing])


def _clustered(
    photos: Photos, support: Tensor, asked: Tensor, words: Tensor, fewest: int
) -> Sources:
    """Return clusters of crops in which so many classes meet at least, and their nearest words."""
    centered, bank = _centered(photos.crops, support)
    count = min(CLUSTERS, len(bank) // 3)
    means, member = kmeans2(bank.numpy(), count, minit="++", seed=0)  # pyright: ignore[reportCallIssue]
    labels = photos.labels[support].repeat_interleave(photos.crops.shape[1])
    held = torch.zeros(count, photos.classes)
    held[torch.from_numpy(member).long(), labels] = 1
    visual = unit(torch.from_numpy(means).float())
    kept = held.sum(1) >= fewest
    visual = visual[kept] if int(kept.sum()) > 1 else visual  # classes may meet nowhere
    scores = words @ visual.T
    nearest = (scores - scores.mean(1, keepdim=True)).argmax(0)
    found = _described(centered, photos, support, asked, visual, words[nearest])
    return {source: found[source] for source in ("visual", "text")}


def _centered(regions: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n, R, d) regions about the support's mean, and the (N R, d) of the support."""
    centered = unit(regions - regions[support].flatten(0, 1).mean(0))
    return centered, centered[support].flatten(0, 1)


def _described(
    regions: Tensor, photos: Photos, support: Tensor, asked: Tensor, visual: Tensor, text: Tensor
) -> Sources:
    labels = photos.labels[support]
    plain = torch.cat([photos.whole[:, None], regions], 1).mean(1)
    return {
        "visual": _scored(regions @ visual.T, support, asked, labels),
        "text": _scored(regions @ text.T, support, asked, labels),
        "none": _points(plain, support, asked),
    }


def _scored(cosines: Tensor, support: Tensor, asked: Tensor, labels: Tensor) -> Described:
    """Return pictures by their (n, R, K) regions' cosines with concepts, pooled over regions.

    How they are pooled is what classifies support pictures best by the means of the others.
    """
    sharp = (SHARP * (cosines - 1)).exp()
    ways = [
        _points(each, support, asked) for each in (sharp.mean(1), sharp.amax(1), cosines.amax(1))
    ]
    return max(ways, key=lambda way: _left_out(way.support[:, 0], labels))


def _left_out(points: Tensor, labels: Tensor) -> int:
    """Return how many pictures (N, k) are nearest to the mean of the others of their class."""
    member = F.one_hot(labels).float()
    sums, counts = member.T @ points, member.sum(0)
    own = (sums[labels] - points) / (counts[labels] - 1).clamp_min(1)[:, None]
    scores = points @ unit(sums).T
    scores[torch.arange(len(labels)), labels] = (points * unit(own)).sum(1)
    return int((scores.argmax(1) == labels).sum())


def _points(scores: Tensor, support: Tensor, asked: Tensor) -> Described:
    """Return (n, K) descriptions as unit rows about the support's mean, in its N dimensions.

    One dimension more holds the length of what lies outside: all cosines are as they were.
    """
    rows = unit(scores - scores[support].mean(0))
    basis = torch.linalg.qr(rows[support].T)[0]
    inside = rows @ basis
    outside = (1 - inside.pow(2).sum(1, keepdim=True)).clamp_min(0).sqrt()
    outside[support] = 0
    points = torch.cat([inside, outside], 1)
    return Described(points[support][:, None], points[asked])


# --- judging ------------------------------------------------------------------------------


@dataclass
class Hits:
    """Which photos one way got right in each draw; rows are (right, photo, draw)."""

    rows: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def add(self, right: Tensor, photos: Tensor, draw: int) -> None:
        self.rows.append((right.float(), photos, torch.full_like(photos, draw)))

    @property
    def right(self) -> Tensor:
        return torch.cat([right for right, _, _ in self.rows])

    @property
    def accuracy(self) -> float:
        return 100 * float(self.right.mean())


def difference(ours: Hits, theirs: Hits) -> tuple[float, float]:
    """Return the mean difference in points, and half of its 95 % interval.

    Its variance is clustered two ways, by photo and by draw.
    """
    gap = 100 * (ours.right - theirs.right).numpy()
    photo, draw = (torch.cat([row[part] for row in ours.rows]).numpy() for part in (1, 2))
    left = gap - gap.mean()

    def variance(groups: np.ndarray) -> float:
        return float((np.bincount(groups, weights=left) ** 2).sum()) / len(gap) ** 2

    ways = variance(photo), variance(draw)
    both = sum(ways) - float((left**2).sum()) / len(gap) ** 2
    return float(gap.mean()), 1.96 * math.sqrt(max(both, *ways))


def judge(
    photos: Photos, words: Tensor, shots: int, draws: range, scale: float, readings: list[str]
) -> dict[tuple[str, str, bool], Hits]:
    """Return the hits by reading, source, and whether class texts were given."""
    found: dict[tuple[str, str, bool], Hits] = {}
    centered = unit(words - words.mean(0))
    for draw in draws:
        support, asked = photos.draw(shots, draw)
        labels, truth = photos.labels[support], photos.labels[asked]
        for reading in readings:
            made_of = READINGS[reading](photos, support, asked, centered)
            for source, made in made_of.items():
                concepts = words if made.in_joint_space else made.support.flatten(0, 1)
                head = made.head.set_params(scale=scale)
                for text in (None, photos.text) if made.in_joint_space else (None,):
                    head.fit(made.support, labels, text, concepts)
                    hits = found.setdefault((reading, source, text is not None), Hits())
                    hits.add(head.predict(made.asked) == truth, asked, draw)
    return found


def show(found: dict[str, dict[tuple[str, str, bool], Hits]], texts: bool) -> None:
    """Print accuracies by column, and what visual concepts are above others by data set."""
    readings = [r for r in READINGS if any((r, "visual", texts) in cell for cell in found.values())]
    table = Table("reading", "concepts", *found, title=f"class texts: {'yes' if texts else 'no'}")
    for reading in readings:
        for source in ("visual", "text", "none"):
            if (reading, source) not in COMMON:
                key = (reading, source, texts)
                table.add_row(reading, source, *(f"{c[key].accuracy:.1f}" for c in found.values()))
    Console(width=140).print(table)
    names = list(dict.fromkeys(column.split()[0] for column in found))
    against = ("its text", "its none", "whole visual", "whole text", "whole none")
    table = Table("reading", "visual less", *names)
    for reading in readings:
        for other in against:
            where, _, source = other.rpartition(" ")
            whose = reading if where == "its" else where
            key = (COMMON.get((whose, source), whose), source, texts)
            if any(key not in cell for cell in found.values()):
                continue
            cells = []
            for name in names:
                ours, theirs = Hits(), Hits()
                for column, cell in found.items():
                    if column.split()[0] == name:
                        ours.rows += cell[reading, "visual", texts].rows
                        theirs.rows += cell[key].rows
                cells.append("{:+.1f} ± {:.1f}".format(*difference(ours, theirs)))
            table.add_row(reading, other, *cells)
    Console(width=140).print(table)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--cache", type=Path, help="folder that embeddings are kept in")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--first", type=int, default=100, help="seed of the first draw")
    parser.add_argument("--sets", default=",".join(FOLDERS))
    parser.add_argument("--readings", default=",".join(READINGS))
    arguments = parser.parse_args()
    if arguments.data is None or arguments.cache is None:
        print("skipped: it needs a folder with photo_clip and photos, and --cache")
        return
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)  # small matrices
    arguments.cache.mkdir(parents=True, exist_ok=True)
    clip = load_clip(str(arguments.data / "photo_clip")).eval()
    words, scale = concept_text(clip, load_vocabulary()), float(clip.logit_scale.detach())
    draws = range(arguments.first, arguments.first + arguments.draws)
    readings = arguments.readings.split(",")
    found = {}
    for name in arguments.sets.split(","):
        photos = read(name, arguments.data, arguments.cache, clip)
        for shots in SHOTS[name]:
            print(f"{name}, {shots} shots", flush=True)
            found[f"{name} {shots}"] = judge(photos, words, shots, draws, scale, readings)
    for texts in (False, True):
        show(found, texts)


if __name__ == "__main__":
    main()
