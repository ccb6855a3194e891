"""WebDataset shards as a map-style source.

A shard is a tar file in which consecutive members of one stem make a sample: `0001.jpg`,
`0001.txt`, `0001.json`. Each tar is indexed once (where members lie) and its index kept, so any
sample can be read directly: shuffling, data order and resuming are exact, as for files on a disk.
Nothing is ever extracted or unpickled: members outside the list of known kinds are passed over,
and bytes are read at their place in the tar. The webdataset library is not needed.
"""

from __future__ import annotations

import glob
import hashlib
import io
import itertools
import json
import os
import re
import tarfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trifocal.data.captions import CaptionItem
from trifocal.data.classes import natural
from trifocal.data.file_part import FilePart
from trifocal.data.images import EXTENSIONS, MAX_BYTES, NOT_READ, BadImage, open_image
from trifocal.data.picture_keys import drafted_part, picture_key
from trifocal.data.samples import Sample
from trifocal.data.section import CaptionedSection, drafted
from trifocal.errors import UserError
from trifocal.files import atomic_folder, atomic_write, check_folder
from trifocal.tally import Tally

if TYPE_CHECKING:
    from PIL import Image

    from trifocal.clip.embeddings import ImageEmbedding

IMAGES = tuple(sorted(kind[1:] for kind in EXTENSIONS))
_TEXTS = ("txt", "json")
_CAPTION_KEYS = ("captions", "caption", "text", "TEXT", "title")
_MAX_TEXT = 1 << 20
_INDEX_VERSION = 2
_ROW = [str, str, int, int, int, int, bool]  # types of what the index says of a sample
_OPEN_FILES = 64
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand(pattern: str) -> list[str]:
    """Return the paths that a pattern names: `{0000..0099}`, `{a,b}`, `*` and `::` are known.

    Raises:
        UserError: it is an address, or nothing is there.
    """
    found: list[str] = []
    for part in pattern.split("::"):
        if re.match(r"(pipe:|[a-z0-9+]+://)", part):
            raise UserError(f"shards must be local files, not {part!r}; download them first.")
        for path in _braces(part):
            path = os.path.expanduser(path)
            matches = sorted(glob.glob(path), key=natural) if glob.has_magic(path) else [path]
            found += [match for match in matches if os.path.isfile(match)]
            if not matches or not os.path.isfile(matches[0]):
                raise UserError(f"there is no shard {path}; check data.path.")
    return found


def _braces(pattern: str) -> list[str]:
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    span = _RANGE.fullmatch(match[1])
    if span:
        first, last = int(span[1]), int(span[2])
        choices = [str(n).zfill(len(span[1])) for n in range(first, last + 1)]
    else:
        choices = match[1].split(",")
    head, tail = pattern[: match.start()], pattern[match.end() :]
    return [head + choice + rest for choice in choices for rest in _braces(tail)]


Left = dict[str, list[str]]  # names of samples that are left out, by reason
Members = dict[str, dict[str, list[tarfile.TarInfo]]]  # by key and kind


def index_tar(path: str) -> tuple[list[list[Any]], Left]:
    """Return `[key, image name, image offset, image size, text offset, text size, is JSON]` of
    every sample in a tar, in order; and what is left out.

    Raises:
        UserError: the file is damaged, compressed, or not a tar.
    """
    samples: Members = {}
    dotted: Members = {}
    size = os.path.getsize(path)
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isreg() or member.sparse is not None:
                    continue
                key, kind, of_dotted = _key_and_kind(member.name)
                if kind is None:
                    continue
                if member.offset_data + member.size > size:
                    raise tarfile.ReadError("unexpected end of data")
                among = dotted if of_dotted else samples
                among.setdefault(key, {}).setdefault(kind, []).append(member)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a complete plain tar ({error}); fetch it anew.") from None
    rows, left = list[list[Any]](), Left()
    for key, members in {**samples, **_alone(dotted, samples)}.items():
        fault = _fault(members)
        if fault:
            left.setdefault(fault, []).append(key)
        else:
            rows.append(_index_row(key, members))
    return rows, left


def _key_and_kind(name: str) -> tuple[str, str | None, bool]:
    """Split a member's name as WebDataset does: the stem ends at the first dot of the file name.

    Where no known kind follows, it ends at the last one; the third value says so.
    """
    folder, _, file = name.rpartition("/")
    for of_dotted, (stem, _, extension) in enumerate((file.partition("."), file.rpartition("."))):
        extension = extension.lower()
        kind = "image" if extension in IMAGES else extension if extension in _TEXTS else None
        kind = "not read" if f".{extension}" in NOT_READ else kind
        if kind is not None or not stem:
            key = f"{folder}/{stem}" if folder else stem
            return key, kind if stem and stem[0] != "." else None, bool(of_dotted)
    return name, None, True


def _alone(dotted: Members, samples: Members) -> Members:
    """Return the members of "photo.v2.jpg" and the like that are samples of their own.

    "photo.mask.png" beside "photo.jpg" is one more member of "photo".
    """

    def owner(key: str) -> str:
        folder, slash, stem = key.rpartition("/")
        return folder + slash + stem.partition(".")[0]

    return {
        key: members
        for key, members in dotted.items()
        if owner(key) not in samples or ("image" in members and {*_TEXTS} & {*members})
    }


def _fault(members: dict[str, list[tarfile.TarInfo]]) -> str:
    """Return why the members of one name are no sample, "" if they are."""
    images, texts = (
        members.get("image", []),
        [one for kind in _TEXTS for one in members.get(kind, [])],
    )
    if not images:
        kind = "with a picture of a kind that is not read" if "not read" in members else ""
        return kind or "without a picture"
    if not texts:
        return "without a text"
    if len(images) > 1:
        return "with several pictures of one name"
    if any(len(members.get(kind, [])) > 1 for kind in _TEXTS):
        return "with several texts of one name"
    text = (members.get("txt") or members["json"])[0]
    if images[0].size > MAX_BYTES or text.size > _MAX_TEXT:
        return "with too large a file"
    return ""


def _index_row(key: str, members: dict[str, list[tarfile.TarInfo]]) -> list[Any]:
    # A list of captions can only stand in the JSON; img2dataset writes the same text into both.
    (image,), text = members["image"], (members.get("txt") or members["json"])[0]
    is_json = "txt" not in members
    name = image.name.rpartition("/")[2]
    return [key, name, image.offset_data, image.size, text.offset_data, text.size, is_json]


def _cached_index(path: str) -> tuple[list[list[Any]], Left]:
    """Return a tar's index and what it leaves out, from beside it or from the cache; make and keep it if need be."""
    status = os.stat(path)
    stamp = [_INDEX_VERSION, status.st_size, status.st_mtime_ns]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trifocal" / "shards"
    digest = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:24]
    places = [Path(path + ".index.json"), cache / f"{digest}.json"]
    for place in places:
        try:
            content = json.loads(place.read_text(encoding="utf-8"))
            if content["stamp"] == stamp and _is_index(content, status.st_size):
                return content["samples"], content["left"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    samples, left = index_tar(path)
    content = {"stamp": stamp, "samples": samples, "left": left}
    for place in places:
        try:
            with atomic_write(place) as aside:
                aside.write_text(json.dumps(content), "utf-8")
            break
        except OSError:
            continue  # beside the tar it may be read-only; without any cache it still works
    return samples, left


def _is_index(content: dict[str, Any], size: int) -> bool:
    """Return whether a kept index has what `index_tar` finds in a tar of so many bytes."""
    left = content["left"]
    return (
        isinstance(content["samples"], list)
        and all(map(partial(_is_row, size=size), content["samples"]))
        and isinstance(left, dict)
        and all(isinstance(names, list) for names in left.values())
    )


def _is_row(row: Any, size: int) -> bool:
    if not isinstance(row, list) or [*map(type, row)] != _ROW:
        return False
    _, _, image, image_size, text, text_size, _ = row
    most = min(image_size, text_size, size - image - image_size, size - text - text_size)
    return min(image, text, most) >= 0


class ShardDataset:
    """The samples of some shards, any of which can be read at any time.

    Args:
        pattern: Paths of tar files (see `expand`).
        caption_key: The key of the caption in a JSON member, where it cannot be guessed.
        folder: Take captions from here instead: the first line of `<stem>.txt`. (FSC-CLIP's CC3M
            captions were made later and published beside the shards in this form.)
        captions: With several captions in a JSON member, draw one each time or keep the first.
        draft: Let JPEGs be decoded at a reduced scale that still covers this many pixels.
        tally: Becomes the account of what was read, used and left out; by default one is kept that
            allows for 1 % left out.

    Raises:
        UserError: there are no such files, or one is damaged or has no samples, or too much of
            them cannot be used.
    """

    def __init__(
        self,
        pattern: str,
        *,
        caption_key: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        captions: Literal["random", "first"] = "random",
        draft: int | None = None,
        tally: Tally | None = None,
    ) -> None:
        tally = tally or Tally(pattern)
        self.paths = expand(pattern)
        self.caption_keys = (caption_key,) if caption_key else _CAPTION_KEYS
        self.captions, self.draft = captions, draft
        self.folder = os.path.expanduser(folder) if folder is not None else None
        self._files: OrderedDict[int, int] = OrderedDict()
        keys: list[str] = []
        places: list[tuple[int, ...]] = []
        for number, path in enumerate(self.paths):
            rows, left = _cached_index(path)
            if not rows:
                raise UserError(
                    f"{path} has no sample of an image ({', '.join(IMAGES)}) and a text (txt or "
                    "json) of the same stem; check that it is a WebDataset shard."
                )
            tally.use(len(rows))
            for reason, names in left.items():
                for name in names:
                    tally.leave_out(reason, f"{os.path.basename(path)}/{name}")
            for key, _, *place in rows:
                keys.append(key)
                places.append((number, *map(int, place)))
        tally.close()
        self._keys = np.array(keys)
        self._places = np.array(places, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._places)

    def id(self, index: int) -> str:
        """Return the name of a sample: shard and stem."""
        shard = int(self._places[index, 0])
        return f"{os.path.basename(self.paths[shard])}/{self._keys[index]}"

    def sample(
        self, index: int, rng: np.random.Generator, image: ImageEmbedding | None = None
    ) -> Sample:
        """Read sample `index`, or its caption alone where `image` stands for its picture.

        Raises:
            BadImage: its picture or its caption cannot be used.
        """
        chosen = self.caption(index, rng)
        return Sample(self.id(index), self.picture(index) if image is None else image, chosen)

    def picture(self, index: int) -> Image.Image:
        """Open the picture of sample `index`.

        Raises:
            BadImage: it cannot be used.
        """
        name = self.id(index)
        shard, offset, size, *_ = map(int, self._places[index])
        content = self._read(shard, offset, size, name)
        return open_image(content, name=name, draft=self.draft)

    def picture_key(self, index: int) -> bytes:
        """Return what the picture of sample `index` is known by on disk."""
        shard, offset, size, *_ = map(int, self._places[index])
        place = f"{offset} {size} {drafted_part(self.draft)}"
        return picture_key(Path(self.paths[shard]), place)

    def file_part(self, index: int) -> FilePart:
        """Return where the picture of sample `index` lies."""
        shard, offset, size, *_ = map(int, self._places[index])
        return FilePart(self.paths[shard], offset, size)

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """Return the caption that `sample` would draw, without decoding the picture."""
        captions = self._texts(index)
        return captions[int(rng.integers(len(captions))) if self.captions == "random" else 0]

    def _texts(self, index: int) -> list[str]:
        """Return all captions of a sample, none of them empty."""
        shard, _, _, offset, size, is_json = map(int, self._places[index])
        name = self.id(index)
        try:
            if self.folder is not None:
                file = os.path.join(self.folder, f"{self._keys[index]}.txt")
                text: Any = Path(file).read_text(encoding="utf-8-sig").partition("\n")[0]
            else:
                text = self._read(shard, offset, size, name).decode("utf-8-sig")
            if is_json and self.folder is None:
                record = json.loads(text)
                text = next((record[key] for key in self.caption_keys if record.get(key)), "")
        except (OSError, ValueError, AttributeError, RecursionError):
            raise BadImage(name, "its caption cannot be read") from None
        texts = [text] if isinstance(text, str) else text if isinstance(text, list) else []
        texts = [" ".join(item.split()) for item in texts if isinstance(item, str)]
        texts = [item for item in texts if item]
        if not texts:
            raise BadImage(name, "no caption")
        return texts

    def _read(self, shard: int, offset: int, size: int, name: str) -> bytes:
        """Read bytes at a place; safe in processes that share the file."""
        descriptor = self._files.pop(shard, None)
        try:
            if descriptor is None:
                descriptor = os.open(self.paths[shard], os.O_RDONLY)
            content = os.pread(descriptor, size, offset)
        except OSError as error:
            raise BadImage(name, error.strerror or "cannot be read") from None
        self._files[shard] = descriptor  # the latest used stands last
        if len(self._files) > _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        if len(content) < size:
            raise BadImage(name, "the shard is cut short")
        return content

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict()}

    def __del__(self) -> None:
        for descriptor in getattr(self, "_files", {}).values():
            os.close(descriptor)


@dataclass(frozen=True, kw_only=True)
class ShardData(CaptionedSection):
    """WebDataset shards, as a recipe's data.

    Attributes:
        path: A pattern of tar files, such as `data/{0000..0099}.tar`.
        texts: A folder of `<stem>.txt` to take captions from instead.
        caption_column: The key of the caption in a JSON member, where it cannot be guessed.
        captions: With several captions an image, draw one anew each epoch or keep the first.
        draft: See `CaptionData`.
    """

    source: Literal["shards"] = "shards"
    path: str
    texts: str | None = None
    caption_column: str | None = None
    captions: Literal["random", "first"] = "random"
    draft: bool = False

    def open(self, image_size: tuple[int, int]) -> ShardDataset:
        """Index the shards."""
        return ShardDataset(
            self.path,
            caption_key=self.caption_column,
            folder=self.texts,
            captions=self.captions,
            draft=drafted(self.draft, image_size),
            tally=self.tally(self.path),
        )


_KIND, _INDICES = "set of shards", ("*.tar.index.json",)  # readers keep these beside the tars


def check_shards(folder: str | os.PathLike[str], *, force: bool = False) -> None:
    """Refuse a folder that `write_shards` would refuse; see there."""
    check_folder(folder, _KIND, force=force, later=_INDICES)


def write_shards(
    items: Iterable[CaptionItem],
    folder: str | os.PathLike[str],
    *,
    per_shard: int = 10_000,
    force: bool = False,
) -> list[Path]:
    """Write captioned photos as WebDataset shards `00000.tar`, ...; picture bytes stay as they are.

    Args:
        items: What `read_captions` gives.
        folder: Where the shards go; it must not exist yet, or be empty.
        per_shard: Samples in a shard.
        force: Replace shards that this function wrote there.

    Returns:
        The paths of the shards.

    Raises:
        UserError: a picture cannot be read or is not JPEG, PNG or WebP, or the folder holds
            something.
    """
    target = Path(folder)
    rest: Iterator[CaptionItem] = iter(items)
    names = []
    with atomic_folder(target, _KIND, force=force, later=_INDICES) as aside:
        for number in itertools.count():
            part = list(itertools.islice(rest, per_shard))
            if not part:
                break
            names.append(f"{number:05d}.tar")
            with tarfile.open(aside / names[-1], "w", format=tarfile.PAX_FORMAT) as tar:
                for row, item in enumerate(part):
                    _write_sample(tar, f"{number:05d}{row:06d}", item)
    return [target / name for name in names]


def _write_sample(tar: tarfile.TarFile, key: str, item: CaptionItem) -> None:
    extension = Path(item.image).suffix.lower().lstrip(".")
    if extension not in IMAGES:
        raise UserError(f"{item.image} is not a JPEG, PNG or WebP file; convert it first.")
    try:
        picture = Path(item.image).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {item.image} ({error.strerror}); check its path.") from None
    record = json.dumps({"id": item.id, "captions": list(item.captions)}, ensure_ascii=False)
    for kind, content in (
        (extension, picture),
        ("json", record.encode("utf-8", "backslashreplace")),
    ):
        member = tarfile.TarInfo(f"{key}.{kind}")  # owner and time stay at zero: same in, same out
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
