"""Files of features that are used whole or not at all.

A safetensors file says in its metadata what it was made from, by a key, and has a sum over its
numbers, since a file may be of the right length and yet be damaged. It is written aside and moved
into its place; one that is damaged, holds something else, or numbers that are not finite, is removed
and made again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trifocal.files import atomic_write

logger = logging.getLogger(__name__)

DAMAGE = (SafetensorError, KeyError, ValueError, TypeError)  # what reading a bad file may raise

Get = Callable[[str], Tensor]  # returns a tensor of an open file by its name, mapped from the disk
Load = Callable[[Get], dict[str, Tensor] | None]


@dataclass
class KeptFiles:
    """Reads and writes files of features that were made from the same.

    Where nothing can be written, that costs the cache alone: a warning says so, once.

    Attributes:
        mark: Name of the key in the metadata.
        key: Hash of what the features are made from.
        what: What is embedded again where a file is damaged, for the warning.
        where: What cannot be kept where nothing can be written, for the warning.
        facts: What else the metadata say.
        shaped: Whether the sum covers the shape of the features, too.
    """

    mark: str
    key: str
    what: str
    where: str
    facts: Mapping[str, str] = field(default_factory=dict)
    shaped: bool = False
    _writable: bool = True

    def read(self, file: Path, load: Load) -> dict[str, Tensor] | None:
        """Return what `load` takes out of a file; None where it takes nothing or there is nothing.

        Args:
            file: The file.
            load: Returns the tensors that the sum is over, in its order, or nothing where they are
                not wanted; raises ValueError where they are not what the file should hold.
        """
        try:
            with safe_open(file, "pt") as opened:
                tensors = load(opened.get_tensor)
                facts = opened.metadata() or {}
            if not tensors:
                return None
            whole = facts.get(self.mark) == self.key and facts.get("sum") == self._sum(tensors)
            if whole and all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
                return tensors
        except FileNotFoundError:
            return None
        except OSError as error:  # no right to read it
            logger.warning("%s cannot be read (%s)", file, error)
            return None
        except DAMAGE:
            pass
        logger.warning("%s is damaged; %s are embedded again", file, self.what)
        with suppress(OSError):
            file.unlink()
        return None

    def write(self, file: Path, tensors: dict[str, Tensor]) -> bool:
        """Write a file; after a failure no other is tried. Returns whether it is there."""
        if self._writable:
            tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
            facts = {**self.facts, self.mark: self.key, "sum": self._sum(tensors)}
            try:
                with atomic_write(file) as aside:
                    save_file(tensors, aside, facts)
            except (OSError, SafetensorError) as error:
                self._writable = False
                logger.warning("%s cannot be kept (%s)", self.where, error)
        return self._writable

    def _sum(self, tensors: Mapping[str, Tensor]) -> str:
        digest = hashlib.sha256()
        if self.shaped:
            digest.update(repr(tuple(tensors["features"].shape)).encode())
        for tensor in tensors.values():
            digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()
