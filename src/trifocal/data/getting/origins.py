"""Where the data of each benchmark come from: files with checksums, the Hub, or by hand.

`catalog.json` holds the facts. Sizes and checksums of annotation files were taken from the published
files; where a checksum is not known, the length that the server states is all that is checked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from trifocal.errors import UserError, nearest

_ZERO_SHOT = "zero_shot:"
_WDS = "clip-benchmark/wds_"


@dataclass(frozen=True)
class RemoteFile:
    """A file behind an address.

    Attributes:
        name: Its path below the folder that it is put into.
        url: The address.
        size: Its bytes, where they are known.
        sha256: Its checksum, where it is known.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where one data set comes from.

    Attributes:
        name: What `trifocal data get` calls it.
        licence: Under which terms.
        files: What can be fetched from plain addresses.
        unpack: For archives, the folder in them that is kept.
        hub: The Hub's id, where the data are there; `kind` is that of its repository.
        gated: Whether terms must be accepted on the Hub first.
        by_hand: What cannot be fetched, and where it is, as the rest of a sentence.
        photos: Other data sets whose photos it needs.
        size: Bytes of what is fetched, roughly, where the files do not say.
    """

    name: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    unpack: str | None = None
    hub: str | None = None
    kind: str = "dataset"
    gated: bool = False
    by_hand: str = ""
    photos: tuple[str, ...] = ()
    size: int | None = None

    @property
    def bytes(self) -> int | None:
        """How much is fetched, where that is known."""
        known = [one.size for one in self.files if one.size is not None]
        return self.size or (sum(known) if known and len(known) == len(self.files) else None)

    def told(self) -> str:
        """Return in one sentence how the data are to be had."""
        size = f", {_amount(self.bytes)}" if self.bytes else ""
        ways = []
        if self.files or self.hub:
            where = f"the Hub's {self.hub}" if self.hub else _host(self.files[0].url)
            ways.append(f"trifocal data get {self.name} (from {where}{size})")
        if self.gated:
            ways.append(f"accept its terms at {self.page} and log in with `hf auth login` first")
        if self.by_hand:
            ways.append(self.by_hand)
        if self.photos:
            photos = ", ".join(f"trifocal data get {one}" for one in self.photos)
            ways.append(f"photos: {photos}")
        return "; ".join(ways)

    @property
    def page(self) -> str:
        """The Hub's page of the data."""
        return f"huggingface.co/{'datasets/' if self.kind == 'dataset' else ''}{self.hub}"


@cache
def origins() -> dict[str, Origin]:
    """Return the origins by name."""
    text = files("trifocal.data.getting").joinpath("catalog.json").read_text(encoding="utf-8")
    found = {}
    for name, facts in json.loads(text).items():
        base, remote = facts.pop("url", ""), facts.pop("files", {})
        each = tuple(RemoteFile(file, base + file, *known) for file, known in remote.items())
        photos = tuple(facts.pop("photos", ()))
        found[name] = Origin(name, files=each, photos=photos, **facts)
    return found


def find_origin(name: str) -> Origin:
    """Return where a data set comes from; "zero_shot:NAME" is any of the Hub's `wds_*`.

    Raises:
        UserError: nothing is known of it.
    """
    known = origins()
    if name in known:
        return known[name]
    if name.startswith(_ZERO_SHOT) and len(name) > len(_ZERO_SHOT):
        hub = _WDS + name.removeprefix(_ZERO_SHOT).removeprefix("wds_").replace("/", "-")
        return Origin(name, "the data set's own, on its page", hub=hub)
    raise UserError(
        f"nothing is known of where {name!r} is to be had.{nearest(name, known)} "
        f"There are: {', '.join(known)}, zero_shot:NAME."
    )


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _amount(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{max(1, size // 1000)} kB"
