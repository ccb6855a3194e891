"""The photos that `photos_composition.py` trains on and asks about, and how it asks.

Nothing is copied: lists of captions name the photos where they are, and a folder of links joins two.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trifocal.clip import Clip
from trifocal.composition.benchmarks.sugarcrepe import SugarCrepe, add_rows
from trifocal.composition.negatives import HardNegatives
from trifocal.data.classes import prompts
from trifocal.evaluate.benchmarks.retrieval import Retrieval, RetrievalItems, add_recalls
from trifocal.evaluate.benchmarks.zero_shot import ClassItems, ZeroShot, add_accuracies
from trifocal.features.embed import encode_images, encode_texts
from trifocal.features.questions import Question
from trifocal.files import atomic_write
from trifocal.metrics.benchmark import Sheet
from trifocal.metrics.choice import pair_correct
from trifocal.metrics.result import Result

TEMPLATES = ("a photo of a {c}.", "a picture of a {c}.", "an image of a {c}.", "a {c}.")
_MADE = "made-up negatives"


@dataclass(frozen=True)
class Photos:
    """Where everything is: the data below `root`, what is made of them below `out`.

    Attributes:
        count: How many of Flickr8k's training photos are used, 0 for all.
    """

    root: Path
    out: Path
    count: int = 0

    def captions(self, part: str) -> Path:
        """Return the list of a part's photos: train, dev or test of Flickr8k, or coco."""
        few = part == "train" and self.count
        file = self.out / (f"{part}-{self.count}.json" if few else f"{part}.json")
        if not file.exists():
            rows = self._coco() if part == "coco" else self._flickr8k(part)
            if few:
                rows = rows[:: len(rows) // self.count][: self.count]  # spread over the whole
            with atomic_write(file) as aside:
                aside.write_text(json.dumps(rows))
        return file

    def _flickr8k(self, part: str) -> list[dict[str, Any]]:
        folder = self.root / "photos" / "flickr8k"
        lists = {one: set((folder / f"{one}Images.txt").read_text().split()) for one in _HELD_OUT}
        told: dict[str, list[str]] = {}
        with (folder / "captions.txt").open(newline="") as stream:
            for row in csv.DictReader(stream):
                told.setdefault(row["image"], []).append(row["caption"])
        # What no list holds out is trained on.
        chosen = lists[part] if part in lists else set(told).difference(*lists.values())
        return [
            {"image": str((folder / "images" / name).resolve()), "captions": texts}
            for name, texts in told.items()
            if name in chosen
        ]

    def _coco(self) -> list[dict[str, Any]]:
        """Return the captioned photos of COCO that SugarCrepe does not ask about."""
        mini, asked = self.root / "photos" / "coco_mini", self.asked
        told: dict[str, tuple[Path, list[str]]] = {}
        for part in ("train2017", "val2017"):
            read = json.loads((mini / "annotations" / f"captions_{part}.json").read_text())
            names = {image["id"]: image["file_name"] for image in read["images"]}
            for one in read["annotations"]:
                name = names[one["image_id"]]
                told.setdefault(name, (mini / part / name, []))[1].append(one["caption"])
        for image in json.loads((self.root / "images" / "coco.json").read_text())["images"]:
            name = image["file_name"]
            if image["captions"]:
                told.setdefault(name, (self.root / "images" / "coco" / name, image["captions"]))
        return [
            {"image": str(path.resolve()), "captions": texts}
            for name, (path, texts) in sorted(told.items())
            if name not in asked
        ]

    @cached_property
    def annotations(self) -> Path:
        """The folder of SugarCrepe's files."""
        with zipfile.ZipFile(self.root / "annotations.zip") as archive:
            for name in archive.namelist():
                if name.startswith("sugarcrepe/") and not (self.out / name).exists():
                    archive.extract(name, self.out)
        return self.out / "sugarcrepe"

    @property
    def asked(self) -> set[str]:
        """The names of all photos that SugarCrepe has rows of."""
        files = [json.loads(file.read_text()) for file in self.annotations.glob("*.json")]
        return {row["filename"] for rows in files for row in rows.values()}

    @cached_property
    def val2017(self) -> Path:
        """A folder of links to the photos of COCO that are here."""
        folder = self.out / "val2017"
        folder.mkdir(exist_ok=True)
        for place in (self.root / "images" / "coco", self.root / "photos/coco_mini/val2017"):
            for photo in place.iterdir():
                link = folder / photo.name
                if not link.exists():
                    link.symlink_to(photo.resolve())
        return folder

    def test(self) -> Exam:
        """Return the questions of the tables."""
        names = {"caltech101": "images/caltech101/101_ObjectCategories", "pacs photo": _PACS}
        classes = [
            ZeroShot(name, templates=TEMPLATES).items(self.root / place)
            for name, place in names.items()
        ]
        pairs = SugarCrepe(self.val2017, available_only=True).items(self.annotations).items
        return Exam("test", self._retrieval("test"), pairs, classes, self.out)

    def dev(self) -> Exam:
        """Return the questions that choose the settings; none of a test's photos is in them."""
        retrieval, rng = self._retrieval("dev", 2), np.random.default_rng(0)
        make = HardNegatives(store=self.out / "dev-parses.sqlite")
        pairs = list[Question]()
        seen = set[int]()
        for text, owner in zip(retrieval.texts, retrieval.owner, strict=True):
            if owner in seen:
                continue  # one caption a photo
            seen.add(owner)
            pairs += [
                Question(kind, (retrieval.images[owner],), (text, negative), f"{owner}")
                for kind, negative in make(text, rng).items()
                if negative is not None
            ]
        return Exam("dev", retrieval, pairs, [], self.out)

    def _retrieval(self, part: str, captions: int | None = None) -> RetrievalItems:
        asked = Retrieval(f"flickr8k {part}", captions_per_image=captions)
        return asked.items(self.captions(part))


_HELD_OUT = ("dev", "test")
_PACS = "images/pacs/PACS/photo"


@dataclass
class Exam:
    """All questions of one part; pictures are embedded once as long as the image tower stays."""

    part: str
    retrieval: RetrievalItems
    pairs: Sequence[Question]
    classes: Sequence[ClassItems]
    out: Path

    def ask(self, model: Clip) -> list[Result]:
        """Return the rows of a model."""
        photos = self._photos(model)
        texts = encode_texts(model, self._texts)
        sizes = [len(self.retrieval.texts), 2 * len(self.pairs)]
        sizes += [len(one.classnames) * len(TEMPLATES) for one in self.classes]
        captions, asked, *named = texts.split(sizes)
        paired, shown = photos["pairs"], Sheet(self.retrieval.dataset, model.name, "")
        add_recalls(shown, photos["retrieval"], captions, self.retrieval.owner)
        both = (asked.reshape(2, len(self.pairs), -1) * paired).sum(2)
        rows = [*shown.done(), *self._told_apart(model, both)]
        for items, prompted in zip(self.classes, named, strict=True):
            sheet = Sheet(items.dataset, model.name, "")
            means = prompted.reshape(len(items.classnames), len(TEMPLATES), -1).mean(1)
            logits = photos[items.dataset] @ torch.nn.functional.normalize(means, dim=1).T
            add_accuracies(sheet, logits, torch.tensor(list(items.labels)))
            rows += sheet.done()
        return [row for row in rows if row.metric in _KEPT]

    def _told_apart(self, model: Clip, both: Tensor) -> list[Result]:
        """Return the rows of pairs: SugarCrepe's, or of negatives that were made up."""
        kinds = [pair.part for pair in self.pairs]
        sheet = Sheet("sugarcrepe" if self.part == "test" else _MADE, model.name, "")
        if self.part == "test":
            add_rows(sheet, kinds, both[0], both[1])
            return sheet.done()
        right = pair_correct(both[0], both[1]).double()
        for kind in dict.fromkeys(kinds):
            own = right[torch.tensor([one == kind for one in kinds])]
            sheet.add(kind, "acc", float(own.mean()), len(own), 0.5)
        sheet.add("mean", "acc", float(right.mean()), len(right), 0.5, marks=right)
        return sheet.done()

    @cached_property
    def _texts(self):
        texts = [
            *self.retrieval.texts,
            *(pair.texts[side] for side in (0, 1) for pair in self.pairs),
        ]
        for items in self.classes:
            texts += [one for name in items.classnames for one in prompts(name, TEMPLATES)]
        return texts

    def _photos(self, model: Clip) -> dict[str, Tensor]:
        """Return the embeddings of all photos, from the disk where this tower has made them."""
        file = self.out / "embedded" / f"{self.part}-{model.image_fingerprint()[:16]}.safetensors"
        if not file.exists():
            groups = {
                "retrieval": self.retrieval.images,
                "pairs": [p.images[0] for p in self.pairs],
            }
            groups |= {items.dataset: items.images for items in self.classes}
            every = [image for images in groups.values() for image in images]
            made = encode_images(model, every).split([len(images) for images in groups.values()])
            file.parent.mkdir(exist_ok=True)
            with atomic_write(file) as aside:
                save_file(dict(zip(groups, map(Tensor.contiguous, made), strict=True)), aside)
        return load_file(file)


_KEPT = ("acc", "acc1", "text_retrieval_recall@1", "image_retrieval_recall@1")
