"""Where WordNet's files are, and how to get them.

They are looked for in `$TRIFOCAL_WORDNET`, in NLTK's data folders, and where Debian's package
`wordnet-base` puts them. `trifocal data get wordnet` fetches them with NLTK's own downloader.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from trifocal.errors import UserError, install

SYSTEM_FOLDERS = ("/usr/share/wordnet", "/usr/local/share/wordnet", "/usr/local/WordNet-3.0/dict")
REMEDY = (
    f"{install('text')}, then `trifocal data get wordnet` (or Debian's package "
    "wordnet-base, or TRIFOCAL_WORDNET set to the folder with its data.* and index.* files)"
)
_FILES = ("noun", "verb", "adj", "adv")


def _complete(folder: Path) -> bool:
    return all((folder / f"{kind}.{pos}").is_file() for kind in ("data", "index") for pos in _FILES)


@cache
def find_wordnet() -> Any | None:
    """Where WordNet's files are: a `Path`, a path pointer of NLTK, or None.

    Raises:
        UserError: `TRIFOCAL_WORDNET` is set to a folder without them.
    """
    if importlib.util.find_spec("nltk") is None:
        return None
    named = os.environ.get("TRIFOCAL_WORDNET")
    if named:
        if not _complete(Path(named)):
            raise UserError(
                f"TRIFOCAL_WORDNET is set to {named!r}, but there are no WordNet files data.noun, "
                "index.noun, ... in it; set it to the folder that holds them, or unset it."
            )
        return Path(named).resolve()
    import nltk.data

    for resource in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            return nltk.data.find(resource)
        except (LookupError, OSError, zipfile.BadZipFile):
            continue
    return next((Path(name) for name in SYSTEM_FOLDERS if _complete(Path(name))), None)


def why_missing(kinds: tuple[str, ...]) -> str:
    """One sentence for the user who has no WordNet, and wants negatives of these kinds."""
    others = [kind for kind in kinds if kind != "replace"]
    state = (
        f"state the kinds without it, `negatives: [{', '.join(others)}]` in a recipe, "
        f"`--kinds {','.join(others)}` for `data prepare negatives`"
        if others
        else "leave that kind out"
    )
    return f"hard negatives of the kind 'replace' need WordNet: {REMEDY}; or {state}."


def get_wordnet() -> tuple[str, bool]:
    """Find WordNet, or fetch it into NLTK's folder of data.

    Returns:
        Where it is, and whether it has been fetched just now.

    Raises:
        UserError: NLTK is missing, or WordNet cannot be fetched.
    """
    found = find_wordnet()
    if found is not None:
        return str(found), False
    if importlib.util.find_spec("nltk") is None:
        raise UserError(
            f"WordNet is read by NLTK, which is missing; install it with {install('text')}."
        )
    from nltk.downloader import Downloader

    loader = Downloader()
    folder = loader.default_download_dir()
    reason = io.StringIO()
    try:
        with contextlib.redirect_stdout(reason):
            loader.download(
                "wordnet", folder, quiet=True, raise_on_error=True, print_error_to=reason
            )
    except (OSError, ValueError) as error:
        raise UserError(
            f"WordNet could not be fetched into {folder} ({error}); without a network take Debian's "
            "package wordnet-base, or set TRIFOCAL_WORDNET to the folder with its data.* and "
            "index.* files."
        ) from None
    find_wordnet.cache_clear()
    found = find_wordnet()
    if found is None:
        raise UserError(
            f"NLTK has fetched WordNet into {folder}, but does not look there; set NLTK_DATA to it."
        )
    return str(found), True
