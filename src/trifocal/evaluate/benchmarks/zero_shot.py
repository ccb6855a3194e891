"""Zero-shot classification: class names in prompts become a classifier.

CLIP (Radford et al., 2021, section 3.1.4): a class is the mean of the unit embeddings of its
prompts, made unit again; a picture belongs to the class with the highest cosine. All prompts of
all classes are encoded in one sorted batch. Names and templates come from the user, from
CLIP_benchmark's files, or from the folders' own names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trifocal.clip.encoder import Encoder
from trifocal.concepts.class_tuned import trained_template
from trifocal.concepts.datasets.dataset import ImageClasses
from trifocal.concepts.datasets.split_files import check_names
from trifocal.data.classes import (
    class_folders,
    named_wnids,
    pictures,
    prompts,
    readable,
    say_pairs,
    warn_of_wnids,
)
from trifocal.data.copies import copies
from trifocal.data.tables import not_text
from trifocal.errors import UserError, nearest
from trifocal.evaluate.names import ZERO_SHOT
from trifocal.features.embed import Picture, encode_images, encode_texts
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.accuracy import accuracy, correct_at, mean_per_class_recall, ties_at
from trifocal.metrics.benchmark import Missing, Sheet, require
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.tally import MOST_LEFT_OUT, Tally

DEFAULT_TEMPLATES = ("a photo of a {c}.",)
CLASSNAMES_FILE = "classnames.txt"
TEMPLATES_FILE = "zeroshot_classification_templates.txt"
_IMAGENET = 1000  # classes


def zero_shot_classifier(
    model: Encoder,
    classnames: Sequence[str],
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    *,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """Return (C, D) float32 unit vectors, one for each of C names.

    Templates have a place for the name; the embeddings of a class's prompts are averaged. A pass
    holds `batch_size` prompts at most.
    """
    texts = [prompts(name, templates) for name in classnames]
    return prompt_classifier(model, texts, batch_size=batch_size, progress=progress)


def prompt_classifier(
    model: Encoder,
    texts: Sequence[Sequence[str]],
    *,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """Return (C, D) float32 unit vectors of C classes with the same number of prompts each."""
    if not texts or not texts[0]:
        raise UserError("a zero-shot classifier needs at least one class name and one template")
    flat = [text for group in texts for text in group]
    embedded = encode_texts(model, flat, batch_size=batch_size, progress=progress)
    means = embedded.reshape(len(texts), len(texts[0]), -1).mean(dim=1)
    return normalize(means, dim=1)


@dataclass(frozen=True)
class ClassItems:
    """Pictures with classes."""

    dataset: str  # name under which results are filed
    images: Sequence[Picture] | Tensor  # N pictures or their paths
    labels: Sequence[int]  # N class indices
    classnames: Sequence[str]  # C names, as the prompts say them
    templates: Sequence[str]  # the prompts
    # What became of the pictures in the folders (see `Tally.facts`), and how many of them
    # "occur_again" under another name.
    account: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class ZeroShot:
    """The benchmark over a folder of class folders.

    Attributes:
        dataset: Its name, by default the root folder's; also the key in CLIP_benchmark's files.
        classnames: Names in the order of the class folders (sorted, 2 before 10), or a mapping from
            folder to name, or a file with either: text (a name a line, or "n01440764 tench"), or
            JSON (that, or CLIP_benchmark's mapping from data set to names). By default
            `classnames.txt` at the root or beside it, or else the folders' names.
        templates: Prompts, or a file of them in the same forms; by default
            `zeroshot_classification_templates.txt`, or else "a photo of a {c}.". A model that was
            trained on classes keeps to its own prompt unless some are given here.
        split: Subfolder that holds the class folders, used if it exists.
        most_left_out: The largest share of the pictures that may be left out.
        batch_size: Pictures in one pass.
    """

    dataset: str = ""
    classnames: Sequence[str] | Mapping[str, str] | str | Path | None = None
    templates: Sequence[str] | str | Path | None = None
    split: str = "test"
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 128
    name = "zero_shot"
    source = "any folder of class folders, or a data set of CLIP_benchmark (MIT) unpacked so"
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: the folder, or pictures in a class folder."""
        folder = self._folder(Path(root).expanduser())
        classes = class_folders(folder)
        if len(classes) < 2:
            remedy = "put one folder per class there, with JPEG, PNG or WebP pictures in each"
            return [Missing(str(folder), remedy)]
        remedy = "put its pictures (JPEG, PNG or WebP) there, or remove the folder"
        return [Missing(str(path), remedy) for path in classes if not pictures(path)]

    def items(self, root: str | Path) -> ClassItems:
        """List pictures and classes.

        Raises:
            UserError: Files are missing, or names and folders do not fit together.
        """
        require(self.check(root), self.name)
        root = Path(root).expanduser()
        remedy = "convert or remove them, or allow for more with the option most_left_out"
        tally = Tally(str(self._folder(root)), self.most_left_out, remedy)
        folders = class_folders(self._folder(root), tally)
        images, labels = list[Path](), list[int]()
        for label, folder in enumerate(folders):
            found = pictures(folder, tally)
            tally.use(len(found))
            images += found
            labels += [label] * len(found)
        tally.close()
        account = tally.facts()
        again = sum(len(group) - 1 for group in copies(images, str(root)))
        if again:
            account["occur_again"] = again
        dataset = self.dataset or root.resolve().name
        names = self._names(root, dataset, [folder.name for folder in folders])
        templates = self._templates(root, dataset)
        return ClassItems(dataset, images, labels, names, templates, account)

    def score(
        self, model: Encoder, items: ClassItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return `acc1`, `acc5` (from six classes on) and `mean_per_class_recall`."""
        if self.templates is None:
            items = as_trained(model, items)
        most = self.most_left_out
        return score_classes(
            model, items, batch_size=self.batch_size, most_left_out=most, progress=progress
        )

    def _folder(self, root: Path) -> Path:
        inner = root / self.split
        if not inner.is_dir() and self.split not in ("", ZeroShot.split):
            raise UserError(
                f"{root} has no folder {self.split!r}, which split names; name one that is there, "
                "or leave split out."
            )
        return inner if self.split and inner.is_dir() else root

    def _names(self, root: Path, dataset: str, folders: list[str]) -> list[str]:
        """Return the classes' names.

        Raises:
            UserError: They do not fit the folders, or two classes have the same.
        """
        given = self.classnames
        if given is None:
            given = _beside(root, CLASSNAMES_FILE)
        if given is None:
            names = [readable(name) for name in folders]
            warn_of_wnids(names, str(root))
            check_names(names, folders)
            return names
        source = f"{given}: " if isinstance(given, str | Path) else ""
        listed = _load(Path(given), dataset) if isinstance(given, str | Path) else given
        listed = listed if isinstance(listed, Mapping) else named_wnids(listed) or listed
        if isinstance(listed, Mapping):
            absent = [folder for folder in folders if folder not in listed]
            if absent:
                hint = nearest(absent[0], listed)
                raise UserError(f"{source}no class name for the folder {absent[0]!r}.{hint}")
            names = [listed[folder] for folder in folders]
        elif len(listed) != len(folders):
            raise UserError(
                f"{source}{len(listed)} class names for {len(folders)} class folders; give one "
                "name per folder in sorted order, or a mapping from folder to name"
            )
        else:
            names = list(listed)
            say_pairs(folders, names, str(given) if source else "classnames")
        if len(folders) < _IMAGENET:  # in the field's list for ImageNet, two names occur twice
            check_names(names, folders)
        return names

    def _templates(self, root: Path, dataset: str) -> list[str]:
        given = self.templates
        if given is None:
            given = _beside(root, TEMPLATES_FILE)
        if given is None:
            return list(DEFAULT_TEMPLATES)
        return list(_load(Path(given), dataset) if isinstance(given, str | Path) else given)


def as_trained(model: Encoder, items: ClassItems) -> ClassItems:
    """Return the items with the prompt that a model's classes were trained with, if they were."""
    template = trained_template(model)
    return items if template is None else replace(items, templates=[template])


def items_to_test(dataset: ImageClasses) -> ClassItems:
    """Return the test pictures of a data set, with its own names and prompts.

    Raises:
        UserError: it has none.
    """
    if not dataset.test:
        raise UserError(f"{dataset.name} has no test pictures; put a folder test/ beside train/.")
    labels = [one.label for one in dataset.test]
    files = dataset.files(dataset.test)
    return ClassItems(dataset.name, files, labels, dataset.classnames, dataset.templates)


def score_classes(
    model: Encoder,
    items: ClassItems,
    *,
    batch_size: int = 128,
    most_left_out: float = MOST_LEFT_OUT,
    progress: Progress | None = None,
) -> list[Result]:
    """Return the rows of one classification set (see `ZeroShot.score`), of a Clip or a method.

    Pictures that cannot be read are left out, counted and said.

    Raises:
        UserError: More than this share of the pictures cannot be read.
    """
    classes, count = len(items.classnames), len(items.templates)
    protocol = f"{classes} classes, {count} prompt{'s' * (count != 1)} each, mean of prompts"
    again = (items.account or {}).get("occur_again", 0)
    if again:
        protocol += f"; {again} of the pictures are copies of others"
    sheet = Sheet(items.dataset, model_name(model), protocol, version=ZeroShot.version)
    classifier = zero_shot_classifier(
        model, items.classnames, items.templates, batch_size=2 * batch_size, progress=progress
    )
    unreadable = Unreadable(items.dataset, most_left_out)
    images = encode_images(
        model, items.images, batch_size=batch_size, progress=progress, unreadable=unreadable
    )
    good = unreadable.readable(items.images)
    sheet.protocol += unreadable.note_of()
    sheet.account = unreadable.account(items.account)
    add_accuracies(sheet, images[good] @ classifier.T, torch.tensor(list(items.labels))[good])
    return sheet.done()


def add_accuracies(sheet: Sheet, logits: Tensor, labels: Tensor) -> None:
    """Append the field's three rows of (N, C) logits and (N,) labels."""
    n, classes = logits.shape
    ties, marks = ties_at(logits, labels), correct_at(logits, labels)
    sheet.add(ZERO_SHOT, "acc1", accuracy(logits, labels), n, 1 / classes, ties, marks)
    if classes > 5:
        at_5 = ties_at(logits, labels, 5)
        sheet.add(ZERO_SHOT, "acc5", accuracy(logits, labels, 5), n, 5 / classes, at_5)
    recall = mean_per_class_recall(logits, labels)
    sheet.add(ZERO_SHOT, "mean_per_class_recall", recall, n, 1 / classes, ties)


def _beside(root: Path, name: str) -> Path | None:
    """Return a file at the root or in the folder above it, if there is one."""
    found = [folder / name for folder in (root, root.resolve().parent) if (folder / name).is_file()]
    return found[0] if found else None


def _load(path: Path, dataset: str) -> list[str] | dict[str, str]:
    """Read names or templates: a text file, a JSON list or mapping, or CLIP_benchmark's JSON."""
    path = path.expanduser()
    if not path.is_file():
        raise UserError(f"{path} not found; it should hold class names or templates")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise not_text(path) from None
    if path.suffix.lower() != ".json":
        return [line.strip() for line in text.splitlines() if line.strip()]
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error})") from error
    if isinstance(content, dict) and any(isinstance(value, list) for value in content.values()):
        if dataset not in content:
            raise UserError(
                f"{path} has no data set {dataset!r}.{nearest(dataset, content)} "
                "Name one of its data sets."
            )
        content = content[dataset]
    strings = content.values() if isinstance(content, dict) else content
    if not isinstance(content, dict | list) or not all(isinstance(x, str) for x in strings):
        raise UserError(f"{path} must hold a list of texts, or one for each data set")
    return content
