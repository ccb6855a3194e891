"""Composition on real photos: what each training buys, and what it costs, from a small real CLIP.

    OMP_NUM_THREADS=1 python benchmarks/photos_composition.py --data ROOT --out OUT \
        [--parts flickr8k-text ...] [--seeds 0 1 2] [--only METHOD ...] [--photos 0] \
        [--page docs/results-photos.md]

From `ROOT/photo_clip`, trained on captions of photos that no test asks about:

* `flickr8k`: Flickr8k's photos outside its dev and test lists;
* `coco`: the captioned photos of `images/coco` and `photos/coco_mini` that SugarCrepe has no row of.

Each method of a part is tried at three learning rates, all as long. Flickr8k's dev photos
choose: of the rates that lose at most a point of recall@1 the one that tells most captions from hard
negatives made of them by the rules. With that rate it is trained once for every seed, and the line
back to the base (WiSE-FT) is measured on SugarCrepe's rows whose photos are here, Flickr8k's 1,000
test photos, and the names of Caltech's and PACS's photos. The rows of the paper's ablation train at
the rate of the whole method.

Every training and measurement is kept in OUT and not made again: the command can be interrupted, and
several can share the work (`--only`; with no name behind it the page alone is written). The parts of
the page that are named are renewed, and what all parts say together.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from photos_composition_page import write_page
from photos_exam import Photos
from trifocal.clip import Clip, load_clip
from trifocal.evaluate.curve import CurvePoint, wise_ft_curve
from trifocal.evaluate.summary import summarize
from trifocal.files import atomic_write
from trifocal.metrics.result import Result
from trifocal.train.build import METHODS, run
from trifocal.train.recipe import load_recipe
from trifocal.tuning import interpolate, load_model

ALPHAS = (0.25, 0.5, 0.75, 1.0)
MAY_LOSE = 0.01  # of recall@1 on dev photos, when a rate is chosen
_OFF = {
    "global": ["--method.global_weight", "0"],
    "local": ["--method.local_weight", "0"],
    "focal": ["--method.gamma", "0"],
    "smoothing": ["--method.smoothing", "0"],
}


@dataclass(frozen=True)
class Trained:
    """A way to train: the recipe's words, and the rates that are tried.

    Attributes:
        words: Of the recipe.
        rates: For the text tower alone and for all weights.
        low_rank: For low-rank updates, which need larger ones to move at all.
        like: The method whose rate is taken over, instead of trying some.
    """

    words: Sequence[str]
    rates: Sequence[float] = (3e-5, 1e-4, 3e-4)
    low_rank: Sequence[float] = (1e-3, 3e-3, 1e-2)
    like: str | None = None


def _part(*terms: str) -> Trained:
    """Return FSC-CLIP with some of its four terms alone."""
    off = [word for term, words in _OFF.items() if term not in terms for word in words]
    return Trained(["--method", "fsc_clip", *off], like="FSC-CLIP")


MAIN = {
    "fine-tuning": Trained(["--method", "finetune"]),
    "NegCLIP": Trained(["--method", "negclip"]),
    "FSC-CLIP": Trained(["--method", "fsc_clip"]),
    "LABCLIP": Trained(
        ["--method", "labclip", "--optimizer.weight_decay", "0"], rates=(1e-4, 3e-4, 1e-3)
    ),
    "FSC-CLIP, distilled": Trained(["--method", "fsc_clip", "--method.distill.text", "1"]),
}
ABLATION = {
    "global": _part("global"),
    "local": _part("local"),
    "global + local": _part("global", "local"),
    "global + local + focal": _part("global", "local", "focal"),
    "global + local + smoothing": _part("global", "local", "smoothing"),
    "global + focal + smoothing": _part("global", "focal", "smoothing"),
    "local + focal + smoothing": _part("local", "focal", "smoothing"),
}
EVERY = {**MAIN, **ABLATION}


@dataclass(frozen=True)
class Part:
    """Captions to train on and a way to be tuned, with all that is tried there.

    Attributes:
        title: What the page calls it.
        captions: The list of `Photos.captions`.
        tuning: Which weights are trained.
        steps, batch: How long each training is, and how many photos there are in a step.
        methods: Those that are trained.
    """

    title: str
    captions: str
    tuning: str
    steps: int = 40
    batch: int = 32
    methods: Sequence[str] = ("fine-tuning", "NegCLIP", "FSC-CLIP")


PARTS = {
    "flickr8k-text": Part(
        "Tuned on Flickr8k, text tower alone", "train", "text", 80, 64, tuple(EVERY)
    ),
    "flickr8k-full": Part("Tuned on Flickr8k, all weights", "train", "full"),
    "flickr8k-lora": Part("Tuned on Flickr8k, low-rank updates", "train", "lora"),
    "coco-text": Part(
        "Tuned on few photos of COCO, text tower alone", "coco", "text", methods=tuple(EVERY)
    ),
}


def main() -> None:
    """Train and measure what is missing, then write the page's section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of images/ and photos/")
    parser.add_argument("--out", type=Path, required=True, help="folder of all that is kept")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", help="these methods alone, to share the work")
    parser.add_argument("--photos", type=int, default=0, help="of Flickr8k to train on, 0 for all")
    parser.add_argument("--page", type=Path, help="a Markdown file whose tables are renewed")
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    study = Study(told)
    for part in told.parts:
        for seed in told.seeds:
            for method in PARTS[part].methods:
                if told.only is None or method in told.only:
                    study.measure(part, method, seed)
    write_page(study, told.page)


class Study:
    """What is trained and measured, and what of it is there.

    Attributes:
        main: The methods of the main tables.
        ablation: Those that are FSC-CLIP with some of its terms.
    """

    main, ablation, parts = tuple(MAIN), tuple(ABLATION), PARTS

    def __init__(self, told: argparse.Namespace) -> None:
        self.told, self.out = told, told.out
        self.photos = Photos(told.data, told.out, told.photos)
        self.clip = str(told.data / "photo_clip")

    @cached_property
    def base(self) -> Clip:
        """The model that everything starts from."""
        return load_clip(self.clip).eval()

    @cached_property
    def test(self):
        """The questions of the tables."""
        return self.photos.test()

    @cached_property
    def dev(self):
        """The questions that choose rates."""
        return self.photos.dev()

    def start(self, exam: str) -> CurvePoint:
        """Return the base's rows."""
        kept = self.out / "measured" / f"base-{exam}.json"
        if not kept.exists():
            _keep(kept, [CurvePoint(0.0, tuple(getattr(self, exam).ask(self.base)))])
        return _kept(kept)[0]

    def measure(self, part: str, method: str, seed: int) -> None:
        """Choose a method's rate, train it, and measure the line back to the base."""
        rate = self.rate(part, EVERY[method].like or method)
        kept = self.kept("test", part, method, rate, seed)
        if kept.exists():
            return
        start, tuned = self.start("test"), self.model(part, method, rate, seed)
        line = wise_ft_curve(
            lambda alpha: interpolate(self.base, tuned, alpha), self.test.ask, ALPHAS
        )
        _keep(kept, [start, *line])
        _say(f"{part}, {method}, rate {rate:g}, seed {seed}", line[-1])

    def rate(self, part: str, method: str) -> float:
        """Return the rate that dev photos choose; rates that were not tried are tried."""
        found = {}
        for rate in self._rates(part, method):
            kept = self.kept("dev", part, method, rate, 0)
            if not kept.exists():
                model = self.model(part, method, rate, 0)
                _keep(kept, [CurvePoint(1.0, tuple(self.dev.ask(model)))])
                _say(f"{part}, {method}, rate {rate:g}, dev", _kept(kept)[0])
            found[rate] = summarize(_kept(kept)[0].rows)
        least = summarize(self.start("dev").rows)["retrieval"] - MAY_LOSE
        good = [rate for rate, one in found.items() if one["retrieval"] >= least]
        if not good:
            return max(found, key=lambda rate: found[rate]["retrieval"])
        return max(good, key=lambda rate: found[rate]["composition"])

    def rated(self, part: str, method: str) -> bool:
        """Return whether all rates of a method were tried."""
        return all(
            self.kept("dev", part, method, rate, 0).exists() for rate in self._rates(part, method)
        )

    def tried(self, part: str) -> dict[tuple[str, float], dict[str, float]]:
        """Return what dev photos say of the methods and rates that were tried."""
        found = {}
        for method in MAIN:
            for rate in self._rates(part, method):
                kept = self.kept("dev", part, method, rate, 0)
                if kept.exists():
                    found[method, rate] = summarize(_kept(kept)[0].rows)
        return found

    def curve(self, part: str, method: str, seed: int) -> list[CurvePoint] | None:
        """Return what was measured of a training, if it was."""
        like = EVERY[method].like or method
        if not self.rated(part, like):
            return None
        kept = self.kept("test", part, method, self.rate(part, like), seed)
        return _kept(kept) if kept.exists() else None

    def model(self, part: str, method: str, rate: float, seed: int) -> Clip:
        """Return a trained model; its run goes on, or is opened, where there is one."""
        one, words = PARTS[part], list(EVERY[method].words)
        if method != "LABCLIP":  # it has one way to be tuned
            words += ["--method.tuning", one.tuning]
        if one.tuning == "text":
            words += ["--embeddings.cache", str(self.out / "store")]
            words += ["--embeddings.patches", "float16"]
        recipe = load_recipe(
            None,
            [
                *("--model.name", self.clip, *words, "--data.source", "captions"),
                *("--data.path", str(self.photos.captions(one.captions)), "--data.crop", "null"),
                *("--negatives.cache", str(self.out / "parses"), "--optimizer.lr", f"{rate}"),
                *("--schedule.steps", str(one.steps), "--schedule.warmup_steps", "6"),
                *("--batch_size", str(one.batch), "--clip_grad_norm", "1"),
                *("--precision", "fp32", "--workers", "0", "--checkpoint_every", "0"),
                *("--seed", str(seed), "--output", str(self.out / "runs")),
                *("--name", self._name(part, method, rate, seed)),
            ],
            METHODS,
        )
        run(recipe)
        return load_model(recipe.folder).eval()

    def kept(self, exam: str, part: str, method: str, rate: float, seed: int) -> Path:
        """Return the file of a measurement."""
        return self.out / "measured" / f"{self._name(part, method, rate, seed)}-{exam}.json"

    def _rates(self, part: str, method: str) -> Sequence[float]:
        return EVERY[method].low_rank if PARTS[part].tuning == "lora" else EVERY[method].rates

    def _name(self, part: str, method: str, rate: float, seed: int) -> str:
        short = method.replace(" + ", "+").replace(", ", "-")
        length = f"{PARTS[part].steps}x{PARTS[part].batch}"
        return f"{part}-{short}-{rate:g}-{length}-{seed}"


def _say(what: str, point: CurvePoint) -> None:
    found = summarize(point.rows)
    numbers = ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items())
    print(f"{what}: {numbers}", flush=True)


def _keep(file: Path, points: Sequence[CurvePoint]) -> None:
    """Write the points of a line, with what each question adds to a row."""
    told = [
        {"alpha": one.alpha, "rows": [{**row.as_dict(), "marks": _listed(row)} for row in one.rows]}
        for one in points
    ]
    file.parent.mkdir(exist_ok=True)
    with atomic_write(file) as aside:
        aside.write_text(json.dumps(told))


def _listed(row: Result) -> list[float] | None:
    return None if row.marks is None else row.marks.tolist()


def _kept(file: Path) -> list[CurvePoint]:
    """Read what `_keep` wrote."""
    return [
        CurvePoint(one["alpha"], tuple(_row(row) for row in one["rows"]))
        for one in json.loads(file.read_text())
    ]


def _row(told: dict[str, Any]) -> Result:
    names = {field.name for field in fields(Result)} - {"marks"}
    marks = None if told["marks"] is None else torch.tensor(told["marks"], dtype=torch.float64)
    return Result(**{name: told[name] for name in names if name in told}, marks=marks)


if __name__ == "__main__":
    main()
