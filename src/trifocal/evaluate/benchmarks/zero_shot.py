"""Zero-shot classification: class names in prompts become a classifier.

CLIP (Radford et al., 2021, section 3.1.4): a class is the mean of the unit embeddings of its
prompts, made unit again; a picture belongs to the class with the highest cosine. All prompts of
all classes are encoded in one sorted batch. Names and templates come from the user, from
CLIP_benchmark's files, or from the folders' own names.
"""

from __future__ import annotations

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
from trifocal.data.classes import class_folders, pictures, prompts
from trifocal.data.copies import copies
from trifocal.data.reshaped import Stretched, WithoutBorder, reshapable
from trifocal.errors import UserError, nearest
from trifocal.evaluate.benchmarks.class_rows import (
    add_accuracies,
    add_average_precisions,
    add_roc_auc,
)
from trifocal.evaluate.benchmarks.fitted_names import (
    find_names,
    names_of_folders,
    names_of_numbers,
)
from trifocal.evaluate.benchmarks.named_sets import FAMILIES, NamedSet, find_set
from trifocal.evaluate.benchmarks.prompt_files import (
    DEFAULT_TEMPLATES,
    find_prompts,
    whose_prompts,
)
from trifocal.evaluate.labeled.objectnet import read_objectnet
from trifocal.evaluate.labeled.parquet import read_parquet
from trifocal.evaluate.labeled.pictures import Labeled
from trifocal.evaluate.labeled.shards import read_shards
from trifocal.features.embed import Picture, encode_images, encode_texts
from trifocal.features.identity import picture_name
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.benchmark import Missing, Sheet, digest_of, require
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.tally import MOST_LEFT_OUT, Tally


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
    labels: Sequence[int]  # N class indices; empty where a picture may have several
    classnames: Sequence[str]  # C names, as the prompts say them
    templates: Sequence[str]  # the prompts
    # What became of the pictures in the folders (see `Tally.facts`), and how many of them
    # "occur_again" under another name.
    account: Mapping[str, Any] | None = None
    # (N, C) bool, which classes each picture has, where it may have several.
    positives: Tensor | None = None
    named: NamedSet | None = (
        None  # whose metric and rules hold, where the set was asked for by name
    )
    whose: str = ""  # whose the prompts of a named set are
    part: str = "test"  # what the publisher calls these pictures

    def __len__(self) -> int:
        return len(self.images)


@dataclass
class ZeroShot:
    """The benchmark over pictures with classes: folders of them, `wds_*` shards, or parquet files.

    A data set that is asked for by name (`NAMED_SETS`) has its own metric and rules besides.

    Attributes:
        dataset: Its name, by default the root folder's; also the key in CLIP_benchmark's files.
        classnames: Names in the order of the class folders (sorted, 2 before 10), or a mapping from
            folder to name, or a file with either: text (a name a line, or "n01440764 tench"), or
            JSON (that, or CLIP_benchmark's mapping from data set to names). By default
            `classnames.txt` at the root or beside it, or else the names that the data have.
        templates: Prompts, or a file of them in the same forms; by default
            `zeroshot_classification_templates.txt`, or else "a photo of a {c}.". A model that was
            trained on classes keeps to its own prompt unless some are given here.
        family: Whose prompts and names to take, where files of both are there: "clip_benchmark" or
            "elevater" (its `prompts.py`).
        split: Part to test on; a folder of it is used if it exists.
        most_left_out: The largest share of the pictures that may be left out.
        batch_size: Pictures in one pass.
    """

    dataset: str = ""
    classnames: Sequence[str] | Mapping[str, str] | str | Path | None = None
    templates: Sequence[str] | str | Path | None = None
    family: str = ""
    split: str = "test"
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 128
    name = "zero_shot"
    source = (
        "any folder of class folders, or a data set of CLIP_benchmark (MIT): unpacked so, or the "
        "Hub's clip-benchmark/wds_*"
    )
    version = 1

    def __post_init__(self) -> None:
        if self.family and self.family not in FAMILIES:
            raise UserError(
                f"there are no prompts of {self.family!r}; family is one of {', '.join(FAMILIES)}."
                f"{nearest(self.family, FAMILIES)}"
            )

    @property
    def named(self) -> NamedSet | None:
        """The set whose name was asked for, if it has one."""
        return find_set(self.dataset) if self.dataset else None

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: the folder, or pictures in a class folder."""
        root = self._root(Path(root).expanduser())
        if self._published(root) is not None:
            return []
        folder = self._folder(root)
        classes = class_folders(folder)
        if len(classes) < 2:
            remedy = "put one folder per class there, with JPEG, PNG or WebP pictures in each"
            if self.named is not None:
                hub = f"clip-benchmark/wds_{self.named.name}"
                remedy += f", or CLIP_benchmark's shards (the Hub's {hub} or the like)"
            return [Missing(str(folder), remedy)]
        remedy = "put its pictures (JPEG, PNG or WebP) there, or remove the folder"
        return [Missing(str(path), remedy) for path in classes if not pictures(path)]

    def items(self, root: str | Path) -> ClassItems:
        """List pictures and classes.

        Raises:
            UserError: Files are missing, or names and folders do not fit together.
        """
        root = self._root(Path(root).expanduser())
        named = self.named
        dataset = named.name if named else self.dataset or root.resolve().name
        given = find_names(self.classnames, root, dataset, self.family)
        found = self._published(root)
        if found is None:
            require(self.check(root), self.name)
            found, folders, account = self._listed(root)
            names = names_of_folders(given, folders, root)
        else:
            account, names = None, names_of_numbers(given, found, root)
        prompts = find_prompts(self.templates, root, dataset, self.family)
        return ClassItems(
            dataset,
            found.images,
            found.labels,
            names,
            prompts.templates,
            account,
            found.positives,
            named,
            whose_prompts(prompts, named) if named else "",
            found.part,
        )

    def score(
        self, model: Encoder, items: ClassItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return `acc1`, `acc5` (from six classes on) and `mean_per_class_recall`.

        A named set of two classes that ELEVATER counts so has `roc_auc` besides. Pictures with
        several classes have `mean_average_precision` and `11_point_mAP` instead.
        """
        if self.templates is None:
            items = as_trained(model, items)
        most = self.most_left_out
        return score_classes(
            model, items, batch_size=self.batch_size, most_left_out=most, progress=progress
        )

    def _root(self, root: Path) -> Path:
        """Return the folder of a named set under a common root, whichever of its names it has."""
        names = () if self.named is None else (self.dataset, *self.named.names)
        return next((root / one for one in names if one and (root / one).is_dir()), root)

    def _published(self, root: Path) -> Labeled | None:
        """Return what is published in another form than class folders; None for these."""
        if self.named is not None and self.named.name == "objectnet":
            found = read_objectnet(root, self.split)
            if found is not None:
                return found
        classes = class_folders(self._folder(root))
        if len(classes) > 1 and any(map(pictures, classes)):
            return None
        return read_shards(root, self.split) or read_parquet(root, self.split)

    def _listed(self, root: Path) -> tuple[Labeled, list[str], dict[str, Any]]:
        """Return the pictures of class folders, the folders' names, and the account of them."""
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
        return Labeled(images, labels), [folder.name for folder in folders], account

    def _folder(self, root: Path) -> Path:
        inner = root / self.split
        if not inner.is_dir() and self.split not in ("", ZeroShot.split):
            raise UserError(
                f"{root} has no folder {self.split!r}, which split names; name one that is there, "
                "or leave split out."
            )
        return inner if self.split and inner.is_dir() else root


def as_trained(model: Encoder, items: ClassItems) -> ClassItems:
    """Return the items with the prompt that a model's classes were trained with, if they were."""
    template = trained_template(model)
    if template is None:
        return items
    return replace(items, templates=[template], whose="the prompt of its training")


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
    protocol += _note(items)
    again = (items.account or {}).get("occur_again", 0)
    if again:
        protocol += f"; {again} of the pictures are copies of others"
    sheet = Sheet(items.dataset, model_name(model), protocol, version=ZeroShot.version)
    classifier = zero_shot_classifier(
        model, items.classnames, items.templates, batch_size=2 * batch_size, progress=progress
    )
    unreadable = Unreadable(items.dataset, most_left_out)
    shown = as_ruled(model, items)
    images = encode_images(
        model, shown, batch_size=batch_size, progress=progress, unreadable=unreadable
    )
    good = unreadable.readable(shown)
    sheet.protocol += unreadable.note_of()
    sheet.account = unreadable.account(items.account)
    sheet.asked = _asked(items, good.tolist())
    logits = images[good] @ classifier.T
    if items.positives is not None:
        add_average_precisions(sheet, logits, items.positives[good])
        return sheet.done()
    labels = torch.tensor(list(items.labels))[good]
    add_accuracies(sheet, logits, labels)
    if items.named is not None and items.named.metric == "roc_auc" and classes == 2:
        add_roc_auc(sheet, logits, labels)
    return sheet.done()


def _asked(items: ClassItems, good: Sequence[bool]) -> str:
    """Return a digest of classes, pictures and labels.

    Not of the prompts: they are how a model is asked, and a method may have its own.
    """
    every: Sequence[object] = items.labels
    if items.positives is not None:
        every = [one.nonzero().flatten().tolist() for one in items.positives]
    pictures = [picture_name(one) for one in items.images]  # a row of a tensor has no name
    kept = [(name, one) for name, one, fine in zip(pictures, every, good, strict=True) if fine]
    return digest_of([items.classnames, *kept])


def as_ruled(model: Encoder, items: ClassItems) -> Sequence[Picture] | Tensor:
    """Return the pictures as the rules of a named set have them shown."""
    named = items.named
    if named is None or not (named.border or named.whole):
        return items.images
    found = [reshapable(one) for one in items.images]
    if named.border:
        return [WithoutBorder.around(one, named.border) for one in found]
    return [Stretched.to(one, model.image_size) for one in found]


def _note(items: ClassItems) -> str:
    """Return what the protocol of a named set says besides, and of another part than usual."""
    words = [f"part {items.part}"] if items.part != ZeroShot.split else []
    named = items.named
    if named is not None:
        words.append(items.whose)
        if len(items.classnames) != named.classes:
            words.append(f"the published set has {named.classes} classes")
        if named.border:
            words.append(f"pictures without a border of {named.border} pixels")
        if named.whole:
            words.append("whole pictures, stretched")
    return "".join(f"; {one}" for one in words)
