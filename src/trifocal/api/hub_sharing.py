"""`push` and `pull`: an adaptation, a classifier or a model, to the Hugging Face Hub and back.

Only safetensors, JSON and text go either way. Nothing is pushed that could show where or by whom a
thing was made beyond what the folder itself says; small pictures of a classifier's examples stay at
home unless they are asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trifocal.api.model_card import KINDS, kind_of, write_card
from trifocal.clip.hub import looks_like_id
from trifocal.errors import UserError
from trifocal.files import MARKER, atomic_folder

_PATTERNS = ("*.json", "*.safetensors", "merges.txt", "support/*.webp", "README.md")
_SUFFIXES = (".json", ".safetensors", ".txt")
_KIND = "download"


def push(
    folder: str | os.PathLike[str],
    repo: str,
    *,
    license: str,
    results: str | os.PathLike[str] | None = None,
    pictures: bool = False,
    private: bool = True,
    revision: str | None = None,
    api: Any = None,
) -> str:
    """Push a folder to the Hub with a card that says what it is; return its address.

    Args:
        folder: A run folder (its `model/` is pushed), an adaptation, a classifier of `trifocal
            classify fit`, a saved `HeadClassifier`, or a transformers folder.
        repo: `OWNER/NAME`; it is made where it is not there.
        license: By the Hub's names, such as "apache-2.0"; nobody can guess it.
        results: A results file of `trifocal eval` with rows of this model and of its base, for the
            card's table of what it gains and costs.
        pictures: Push a classifier's small example pictures, too.
        private: Make a new repository private.
        revision: A branch.
        api: A `huggingface_hub.HfApi`; by default one with the token of `hf auth login`.

    Raises:
        UserError: the folder holds nothing to push, or the Hub refuses.

    Example:
        >>> import trifocal
        >>> trifocal.push("runs/mine", "me/mine", license="mit")
        Traceback (most recent call last):
        ...
        trifocal.errors.UserError: runs/mine is no folder; give what was trained or fitted.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    from trifocal.evaluate.records import read_results

    _check_id(repo)
    given = Path(folder)
    if not given.is_dir():
        raise UserError(f"{given} is no folder; give what was trained or fitted.")
    inner = given / "model" if (given / "model").is_dir() and kind_of(given) is None else given
    if kind_of(inner) is None:
        raise UserError(
            f"{given} holds nothing to push: none of {', '.join(KINDS)} is there; give a finished "
            "run, an adaptation or a classifier."
        )
    rows = read_results(results) if results is not None else []
    card = write_card(inner, repo, license, run=given if given != inner else None, rows=rows)
    files = [
        file
        for file in sorted(inner.rglob("*"))
        if file.is_file()
        and not file.is_symlink()
        and (file.suffix in _SUFFIXES or (pictures and file.parent.name == "support"))
        and file.name != MARKER
    ]
    added = [CommitOperationAdd("README.md", card.encode())]
    added += [CommitOperationAdd(file.relative_to(inner).as_posix(), str(file)) for file in files]
    hub = HfApi(library_name="trifocal") if api is None else api
    with _told(repo):
        hub.create_repo(repo, private=private, exist_ok=True)
        done = hub.create_commit(
            repo, added, commit_message=f"A {kind_of(inner)} of trifocal", revision=revision
        )
    return str(getattr(done, "commit_url", None) or f"https://huggingface.co/{repo}")


def pull(
    repo: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    force: bool = False,
    api: Any = None,
) -> Path:
    """Fetch what `push` put on the Hub; return the folder it is in.

    Args:
        repo: `OWNER/NAME`.
        folder: Where to; None for the Hub's cache on this disk.
        revision: A branch, a tag or a commit.
        force: Replace what was pulled to `folder` before.
        api: See `push`.

    Returns:
        A folder for `trifocal.load`, `trifocal.classify` or `HeadClassifier.load`.

    Raises:
        UserError: there is no such repository, it holds something else, or the folder holds
            something.

    Example:
        >>> import trifocal
        >>> trifocal.pull("mine")
        Traceback (most recent call last):
        ...
        trifocal.errors.UserError: 'mine' is no name on the Hub; it looks like 'owner/name'.
    """
    from huggingface_hub import HfApi

    _check_id(repo)
    hub = HfApi(library_name="trifocal") if api is None else api
    with _told(repo):
        found = Path(hub.snapshot_download(repo, revision=revision, allow_patterns=list(_PATTERNS)))
    if kind_of(found) is None:
        raise UserError(f"{repo} holds nothing of trifocal's: none of {', '.join(KINDS)} is there.")
    if folder is None:
        return found
    with atomic_folder(folder, _KIND, force=force) as aside:
        for file in found.rglob("*"):
            if file.is_file():  # links of the cache lead to its blobs
                place = aside / file.relative_to(found)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
    return Path(folder)


def _check_id(repo: str) -> None:
    if not looks_like_id(repo) or "@" in repo:
        raise UserError(f"{repo!r} is no name on the Hub; it looks like 'owner/name'.")


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Say in one sentence what the Hub says in many classes of errors."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise UserError("the Hub does not know you; run `hf auth login` first.") from error
    except GatedRepoError as error:
        raise UserError(f"{repo} is gated; ask for access on its page.") from error
    except RevisionNotFoundError as error:
        raise UserError(f"{repo} has no such revision; look at its branches and tags.") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{repo} is not on the Hub, or not for you; check its name, or run `hf auth login`."
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"the Hub did not do it for {repo} ({reason}); try again later.") from error
