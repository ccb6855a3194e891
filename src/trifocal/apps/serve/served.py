"""What is served: a model, its explanations and examples, an index, and the classifiers of visitors."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from trifocal.apps.classify.classifier import Classifier
from trifocal.apps.serve.limits import Limits, Refused
from trifocal.clip import Clip
from trifocal.data.images import BadImage, open_image
from trifocal.data.picture_lists import list_pictures
from trifocal.errors import UserError
from trifocal.regions.bank import Bank, load_bank
from trifocal.regions.encoder import EmbedsRegions, region_encoder
from trifocal.search.background import CUT
from trifocal.search.building import index_pictures
from trifocal.search.index import PictureIndex, open_index
from trifocal.world import MEANINGS, captions, draw, inference_wordings, make_scene
from trifocal.world.scene import generator

_SCENES, _SIDE = 24, 320  # example pictures that are drawn, and their side in pixels
_MOST_EXAMPLES = 48


@dataclass(frozen=True)
class Example:
    """A picture to try things with.

    Attributes:
        picture: RGB.
        name: What it is called.
        captions: What is true of it, if that is known.
    """

    picture: Image.Image
    name: str
    captions: tuple[str, ...] = ()


@dataclass
class Served:
    """All that requests are answered from.

    Attributes:
        clip: The model.
        regions: The same, as it is shown regions.
        bank: Explanations, where a request brings none.
        examples: Pictures to choose from.
        index: What is searched.
        classifiers: Those that visitors fitted, by their secret names.
        folder: Where all that visitors send is kept until the end.
        cut: Deviations below which a search has found nothing.
    """

    clip: Clip
    regions: EmbedsRegions
    bank: Bank
    examples: Sequence[Example]
    index: PictureIndex
    classifiers: Classifiers
    folder: Path
    cut: float = CUT

    @property
    def pictures(self) -> list[Image.Image]:
        """The example pictures."""
        return [example.picture for example in self.examples]

    def close(self) -> None:
        """Remove what visitors sent."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Classifiers:
    """The latest classifiers, each with its folder."""

    most: int
    _kept: OrderedDict[str, tuple[Classifier, Path]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, classifier: Classifier, folder: Path) -> str:
        """Keep a classifier; return the name that asks for it."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[name] = (classifier, folder)
            gone = [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self.most)]
        for _, place in gone:
            shutil.rmtree(place, ignore_errors=True)
        return name

    def get(self, name: object) -> Classifier:
        """Return a classifier.

        Raises:
            Refused: there is none of that name, or none any more.
        """
        with self._lock:
            if not isinstance(name, str) or name not in self._kept:
                raise Refused(
                    404, "there is no such classifier (any more); send its class folders first."
                )
            self._kept.move_to_end(name)
            return self._kept[name][0]


def serve_model(
    clip: Clip,
    limits: Limits,
    *,
    index: str | None = None,
    bank: str | None = None,
    examples: str | None = None,
    cut: float = CUT,
) -> Served:
    """Return all that requests are answered from.

    Args:
        clip: The model.
        limits: Of requests.
        index: Of the same model; by default one is made of the examples.
        bank: A file of explanations; by default those of the drawn world.
        examples: Pictures; by default drawn scenes.
        cut: See `search.query.search`.

    Raises:
        UserError: the index is another model's, or a file is missing.
    """
    folder = Path(tempfile.mkdtemp(prefix="trifocal-serve-"))
    try:
        shown = _listed(examples) if examples else drawn()
        regions = region_encoder(clip)
        return Served(
            clip,
            regions,
            load_bank(bank, regions) if bank else bank_of(inferences(), regions),
            shown,
            open_index(index, clip) if index else _indexed(clip, shown, folder),
            Classifiers(limits.classifiers),
            folder,
            cut,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def drawn() -> list[Example]:
    """Return scenes of the built-in world, with captions."""
    made = []
    for number in range(_SCENES):
        scene = make_scene(0, number, "test")
        said = tuple(captions(scene, generator(0, "test", number, 7), 2))
        made.append(Example(draw(scene, _SIDE), f"drawn scene {number + 1}", said))
    return made


def inferences() -> list[str]:
    """Return what may follow from a drawn scene, in one wording each."""
    return [inference_wordings(*meaning)[0] for meaning in MEANINGS]


def bank_of(texts: Sequence[str], regions: EmbedsRegions) -> Bank:
    """Return explanations that are in no file."""
    texts = list(dict.fromkeys(texts))
    return Bank(texts, regions.encode_inferences(texts))


def _listed(source: str) -> list[Example]:
    made = []
    for one in list_pictures([source])[:_MOST_EXAMPLES]:
        try:
            picture = open_image(one.content(), name=one.name)
        except BadImage:
            continue
        picture.thumbnail((1024, 1024))
        made.append(Example(picture, Path(one.name).name))
    if not made:
        raise UserError(f"none of the examples in {source} can be read; give other pictures.")
    return made


def _indexed(clip: Clip, examples: Sequence[Example], folder: Path) -> PictureIndex:
    """Return an index of the examples."""
    photos = folder / "examples"
    photos.mkdir()
    for number, example in enumerate(examples):
        example.picture.save(photos / f"{number + 1:03d}.png")
    index_pictures(clip, [photos], folder / "index")
    return open_index(folder / "index", clip)
