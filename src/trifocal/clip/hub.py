"""Fetch a checkpoint's files from the Hugging Face Hub, or from its cache on this disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from trifocal.clip.trained_on import FILE as TRAINED_ON
from trifocal.clip.weights import INDEX, shards
from trifocal.errors import UserError

_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_SMALL_FILES = ["*.json", "merges.txt", "*.txt.gz", TRAINED_ON]


def looks_like_id(text: str) -> bool:
    """Whether `text` could be `ORGANIZATION/NAME` or `ORGANIZATION/NAME@REVISION`."""
    return _ID.fullmatch(text) is not None and not text.startswith(".")


def fetch(repo: str, weights_names: Callable[[Path], tuple[str, ...]]) -> Path:
    """Return the folder of a Hub model with its small files and one weights file.

    Args:
        repo: `ORGANIZATION/NAME`, with `@REVISION` to pin a commit.
        weights_names: says, from the small files, which names the weights may have, the
            preferred one first; the first that exists is fetched.

    Raises:
        UserError: the model cannot be had; the sentence says why.
    """
    with _told(repo):
        name, _, revision = _checked(repo).partition("@")
        folder = Path(
            snapshot_download(name, revision=revision or None, allow_patterns=_SMALL_FILES)
        )
        names = weights_names(folder)
        single = [file for file in names if not file.endswith(INDEX)]
        cached = any((folder / file).is_file() for file in single)
        for file in () if cached else names:
            index = file.endswith(INDEX)
            if index and not (folder / file).is_file():
                continue
            try:
                for part in shards(folder / file) if index else (file,):
                    hf_hub_download(name, part, revision=folder.name)  # the same commit
                break
            except EntryNotFoundError:  # also: offline, and not in the cache
                continue
    return folder


def folder_of(name: str | os.PathLike[str], files: tuple[str, ...]) -> Path:
    """Return a folder on this disk: one that is here, or some files of a Hub id.

    Args:
        name: A folder, or `ORGANIZATION/NAME`, with `@REVISION` to pin a commit. What is neither
            is returned as it is, for the caller to refuse.
        files: Patterns of the files that are wanted.

    Raises:
        UserError: it is not here, and cannot be had from the Hub.
    """
    path, text = Path(name), str(name)
    if path.exists() or not looks_like_id(text):
        return path
    with _told(text):
        repo, _, revision = text.partition("@")
        return Path(snapshot_download(repo, revision=revision or None, allow_patterns=[*files]))


def _checked(repo: str) -> str:
    if not looks_like_id(repo):
        raise UserError(
            f"{repo!r} is not a Hub id; it should look like 'openai/clip-vit-base-patch32'."
        )
    return repo


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Say in one sentence what the Hub says in many classes of errors."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # offline, proxy, gated, misspelled: each has its own class
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise UserError(
            f"there is no file or folder {repo!r} here, and it could not be had from the Hub "
            f"({reason}); check the name and the connection, or give a local path."
        ) from error
