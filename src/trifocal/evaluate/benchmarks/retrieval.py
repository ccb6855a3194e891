"""Image and text retrieval over pictures with captions: recall@k in both directions.

Karpathy & Fei-Fei (CVPR 2015) and CLIP (Radford et al., 2021): every caption looks for its picture
among all pictures, every picture for any of its captions among all captions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.data.captions import CaptionItem, missing_images, read_captions
from trifocal.data.copies import copies
from trifocal.errors import UserError
from trifocal.evaluate.names import RETRIEVAL
from trifocal.features.embed import Picture, encode_images, encode_texts, tokenize
from trifocal.features.identity import picture_name
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.benchmark import Missing, Sheet, digest_of, require
from trifocal.metrics.ranks import retrieval_ranks
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.tally import MOST_LEFT_OUT, Tally

RECALLS = (1, 5, 10)
# Names under which the field keeps its caption files, looked for in this order.
_CAPTION_FILES = (
    "dataset_coco.json",
    "dataset_flickr30k.json",
    "dataset_flickr8k.json",
    "coco_karpathy_test.json",
    "captions.jsonl",
    "captions.tsv",
    "captions.csv",
    "captions.json",
    "coco.json",
)


@dataclass(frozen=True)
class RetrievalItems:
    """Pictures, texts, and whose each text is."""

    dataset: str  # name under which results are filed
    images: Sequence[Picture] | Tensor  # N pictures or their paths
    texts: Sequence[str]  # M captions
    owner: Sequence[int]  # M indices into the pictures
    # What became of the entries of the caption file (see `Tally.facts`), and how many pictures
    # "occur_again" under another name.
    account: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.texts)


def grouped(
    found: Iterable[CaptionItem], dataset: str, captions_per_image: int | None = None
) -> RetrievalItems:
    """Return captions by picture: a table has a row for each of a picture's captions.

    Args:
        found: Pictures with one caption or several, a picture in one item or several.
        dataset: The name under which results are filed.
        captions_per_image: Use only the first so many captions of each picture.
    """
    by_file: dict[str, list[CaptionItem]] = {}
    for item in found:
        by_file.setdefault(os.path.realpath(item.image), []).append(item)
    texts, owner = list[str](), list[int]()
    for number, same in enumerate(by_file.values()):
        chosen = [text for item in same for text in item.captions][:captions_per_image]
        texts += chosen
        owner += [number] * len(chosen)
    return RetrievalItems(dataset, [same[0].image for same in by_file.values()], texts, owner)


def caption_file(root: str | Path, captions: str | Path | None = None) -> Path:
    """Return the caption file of a folder, there or not.

    Args:
        root: The folder, or the file itself.
        captions: The file, relative to the folder; by default the first of the usual names that is
            there.
    """
    root = Path(root).expanduser()
    if root.is_file():
        return root
    if captions is not None:
        return root / Path(captions).expanduser()
    there = (root / name for name in _CAPTION_FILES if (root / name).is_file())
    return next(there, root / "captions.jsonl (or dataset_coco.json, ...)")


def no_caption_file(path: Path) -> Missing:
    """Return the sentence of a caption file that is not there."""
    return Missing(
        str(path), "put a caption file there (JSON lines, CSV, TSV, Karpathy or COCO JSON)"
    )


def read_test(
    path: Path,
    images: str | Path | None,
    split: str | None,
    encoding: str | None,
    most_left_out: float,
) -> tuple[list[CaptionItem], dict[str, Any]]:
    """Return the captioned pictures of a file, or of its test part, and the account of the file.

    Args:
        path: The caption file.
        images, split, encoding, most_left_out: See `Retrieval`.
    """
    remedy = "mend them, or allow for more with the option most_left_out"
    tally = Tally(str(path), most_left_out, remedy)
    found = read_captions(
        path, images=images, split=split, usual_split="test", encoding=encoding, tally=tally
    )
    return found, tally.facts()


@dataclass
class Retrieval:
    """The benchmark over any caption file that `read_captions` knows."""

    dataset: str = ""  # name under which results are filed, by default the caption file's
    # The caption file, relative to the root; by default one of the usual names. The root may also
    # be the file itself.
    captions: str | Path | None = None
    # Folder of the pictures, by default where the caption file says.
    images: str | Path | None = None
    split: str | None = None  # part of a file that has parts; by default "test", if there is one
    captions_per_image: int | None = None  # use only the first so many captions of each picture
    encoding: str | None = None  # of the caption file; UTF-8 by default
    most_left_out: float = MOST_LEFT_OUT  # the largest share of its entries that may be left out
    batch_size: int = 128  # pictures in one pass
    name = "retrieval"
    source = "a table or JSON of captions; Karpathy's COCO and Flickr30k files are the usual ones"
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: the caption file, or pictures (one entry with their count)."""
        path = caption_file(root, self.captions)
        return self._missing(self._read(path)[0]) if path.exists() else [no_caption_file(path)]

    def items(self, root: str | Path) -> RetrievalItems:
        """Read the caption file.

        Raises:
            UserError: Files are missing or cannot be read.
        """
        path = caption_file(root, self.captions)
        if not path.exists():
            raise UserError(f"{self.name} cannot run; {no_caption_file(path)}")
        found, account = self._read(path)
        require(self._missing(found), self.name)
        items = grouped(found, self.dataset or path.stem, self.captions_per_image)
        files = [Path(str(one)) for one in items.images]
        again = sum(len(group) - 1 for group in copies(files, str(path)))
        if again:
            account["occur_again"] = again
        return replace(items, account=account)

    def score(
        self, model: Encoder, items: RetrievalItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return `image_retrieval_recall@k` and `text_retrieval_recall@k` for k = 1, 5, 10."""
        most = self.most_left_out
        return score_retrieval(
            model, items, batch_size=self.batch_size, most_left_out=most, progress=progress
        )

    @staticmethod
    def _missing(items: Sequence[CaptionItem]) -> list[Missing]:
        absent = missing_images(items)
        remedy = "put the pictures there, or say with `images` in which folder they are"
        return [Missing(absent[0], remedy, len(absent))] if absent else []

    def _read(self, path: Path) -> tuple[list[CaptionItem], dict[str, Any]]:
        """Return the captioned pictures of the split, and the account of the file."""
        return read_test(path, self.images, self.split, self.encoding, self.most_left_out)


def score_retrieval(
    model: Encoder,
    items: RetrievalItems,
    *,
    batch_size: int = 128,
    most_left_out: float = MOST_LEFT_OUT,
    progress: Progress | None = None,
) -> list[Result]:
    """Return the rows of one retrieval set (see `Retrieval.score`), of a Clip or a method.

    A picture that cannot be read is left out with its captions: they could not find it, and would
    be wrong candidates that no picture is the right one of.

    Raises:
        UserError: More than this share of the pictures cannot be read.
    """
    unreadable = Unreadable(items.dataset, most_left_out)
    sheet = Sheet(items.dataset, model_name(model), "", version=Retrieval.version)
    images = encode_images(
        model, items.images, batch_size=batch_size, progress=progress, unreadable=unreadable
    )
    good = unreadable.readable(items.images)
    number = good.cumsum(0) - 1  # of each picture among those that could be read
    kept = [(text, int(number[own])) for text, own in zip(items.texts, items.owner) if good[own]]
    protocol = retrieval_protocol(int(good.sum()), len(kept))
    again = (items.account or {}).get("occur_again", 0)
    if again:
        protocol += f"; {again} of the pictures are copies of others"
    names = [picture_name(one) for one, fine in zip(items.images, good.tolist()) if fine]
    sheet.asked = digest_of([names, *kept])
    captions = tokenize(model, [text for text, _ in kept])
    sheet.protocol = protocol + unreadable.note_of("with their captions") + captions.note
    sheet.account = unreadable.account(items.account)
    texts = encode_texts(model, captions, batch_size=2 * batch_size, progress=progress)
    add_recalls(sheet, images[good], texts, [own for _, own in kept])
    return sheet.done()


def retrieval_protocol(images: int, texts: int) -> str:
    """Return how retrieval is measured, in words."""
    return (
        f"{images} pictures, {texts} captions; any caption of the picture counts; "
        "ties as in random order"
    )


def add_recalls(sheet: Sheet, images: Tensor, texts: Tensor, owner: Sequence[int] | Tensor) -> None:
    """Append recall@1, 5 and 10 of both directions for (N, D) and (M, D) unit embeddings."""
    directions = retrieval_ranks(images, texts, owner)
    for way, ranks in zip(("image", "text"), directions, strict=True):
        for k in RECALLS:
            metric = f"{way}_retrieval_recall@{k}"
            recall, chance, marks = ranks.recall(k), ranks.chance(k), ranks.hits(k)
            sheet.add(RETRIEVAL, metric, recall, len(ranks), chance, ranks.ties(k), marks)
