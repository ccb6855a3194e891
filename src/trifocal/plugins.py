"""Methods, heads, benchmarks and parsers from outside the package, by their names.

Each kind has one `Registry`: a table of what is our own, to which `register` adds. A package that is
installed beside this one is heard of through its entry points in the group `trifocal.plugins`; each
names a module that registers on import, or a function without arguments that does. They are loaded
at the first question about a name, so that `import trifocal` and a page of help cost nothing.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Mapping
from threading import RLock
from typing import Any, Generic, TypeVar

from trifocal.errors import UserError

GROUP = "trifocal.plugins"
KINDS = ("method", "head", "benchmark", "parser")

Thing = TypeVar("Thing")

logger = logging.getLogger(__name__)

_own: dict[str, set[str]] = {kind: set() for kind in KINDS}
_added: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
_lock, _state = RLock(), {"loaded": False}


class Registry(Mapping[str, Thing], Generic[Thing]):
    """A table of names: our own, and those that were registered.

    Args:
        kind: One of `KINDS`.
        own: What comes with the package.
    """

    def __init__(self, kind: str, own: Mapping[str, Thing]) -> None:
        self.kind, self.own = kind, dict(own)
        for name in self.own.keys() & _added[kind].keys():
            logger.warning(
                "the %s %r that was registered is not used: %r is our own", kind, name, name
            )
        _own[kind] |= self.own.keys()

    def __getitem__(self, name: str) -> Thing:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self)})"

    def _all(self) -> Mapping[str, Thing]:
        load_plugins()
        return {**_added[self.kind], **self.own}


def register(kind: str, name: str, thing: Any) -> None:
    """Let a thing be found by its name; the same thing may be registered again.

    Args:
        kind: One of `KINDS`.
        name: What recipes and the command line call it.
        thing: What is to be found.

    Raises:
        UserError: the name is no plain word, or another thing has been registered by it.
    """
    if not name or set(name) & set(" ,:=/\\") or name != name.strip():
        raise UserError(
            f"{name!r} is no name for a {kind}; use one without spaces and the signs , : = / \\."
        )
    with _lock:
        if name in _own[kind]:
            raise UserError(f"{name!r} is a {kind} of trifocal's own; choose another name.")
        there = _added[kind].get(name, thing)
        if there is not thing and there != thing:
            raise UserError(f"there is a {kind} {name!r} already; choose another name.")
        _added[kind][name] = thing


def registered(kind: str) -> Mapping[str, Any]:
    """Return what was registered of a kind, with that of installed packages."""
    load_plugins()
    return dict(_added[kind])


def forget(kind: str, name: str) -> None:
    """Take back a registration; a name that is not there is none to take back."""
    _added[kind].pop(name, None)


def load_plugins() -> None:
    """Load the installed packages that add something, once; one that fails is told and left out."""
    with _lock:
        if _state["loaded"]:
            return
        _state["loaded"] = True  # a plugin may ask for a name while it is loaded
        for point in importlib.metadata.entry_points(group=GROUP):
            try:
                found: Any = point.load()
                if isinstance(found, Callable):
                    found()
            except Exception as error:  # whatever foreign code raises
                reason = " ".join(str(error).split()) or type(error).__name__
                logger.warning(
                    "the plugin %s (%s) was left out: %s", point.name, point.value, reason
                )
