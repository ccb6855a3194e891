"""A data set by its name, into a folder of its own."""

from __future__ import annotations

from pathlib import Path

from trifocal.data.getting.fetch import fetch
from trifocal.data.getting.origins import Origin
from trifocal.data.getting.unpack import KIND, unpack
from trifocal.errors import UserError
from trifocal.files import check_folder, is_marked, mark_folder
from trifocal.progress import Progress, Quiet

_MOST = 64 << 30  # bytes of a file, or of what an archive becomes, where no size is known


def folder_of(origin: Origin, root: Path) -> Path:
    """Return where a data set is put: `root/sugarcrepe`, `root/zero_shot/eurosat`."""
    return root.joinpath(*origin.name.split(":"))


def get_data(
    origin: Origin,
    root: Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Fetch what can be fetched of a data set; return what was done, as a sentence.

    What is there already is checked and not fetched again; what was cut is gone on with.

    Args:
        origin: Where it comes from.
        root: Folder of all data.
        revision: Of a data set on the Hub: a commit, tag or branch; the newest commit by default.
        endpoint: Another address of the Hub.
        progress: Told of each byte of plain files.

    Raises:
        UserError: nothing of it can be fetched, or not now; the sentence says why.
    """
    if not origin.files and origin.hub is None:
        raise UserError(f"{origin.name} cannot be fetched: {origin.told()}.")
    if revision is not None and origin.hub is None:
        raise UserError(f"{origin.name} is not on the Hub, so it has no revisions; leave it out.")
    folder, progress = folder_of(origin, root), progress or Quiet()
    if origin.hub is not None:
        commit = _snapshot(origin, folder, revision, endpoint)
        return f"{folder}: {origin.hub} at {commit}"
    if origin.unpack is not None:
        return _archive(origin, root, progress)
    most = 2 * origin.size if origin.size else _MOST
    new = [fetch(one, folder / one.name, most=most, progress=progress) for one in origin.files]
    return f"{folder}: {sum(new)} files fetched, {len(new) - sum(new)} were there"


def _archive(origin: Origin, root: Path, progress: Progress) -> str:
    """Fetch archives of photos and unpack them into a folder that several data sets share."""
    assert origin.unpack is not None
    target = root / origin.unpack
    if is_marked(target, KIND):
        return f"{target} is there already"
    check_folder(target, KIND)
    (source,) = origin.files
    place = root / source.name
    fetched = fetch(
        source, place, most=2 * origin.size if origin.size else _MOST, progress=progress
    )
    count = unpack(place, target, most=_MOST, inside=origin.unpack)
    if fetched:
        place.unlink()
    return f"{target}: {count} files"


def _snapshot(origin: Origin, folder: Path, revision: str | None, endpoint: str | None) -> str:
    """Fetch a repository of the Hub at a commit; return the commit.

    Raises:
        UserError: it is gated, gone or out of reach; or another work is in the folder.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    assert origin.hub is not None
    if not is_marked(folder, KIND):
        check_folder(folder, KIND)
    try:
        info = HfApi(endpoint=endpoint).repo_info(
            origin.hub, repo_type=origin.kind, revision=revision
        )
        commit = str(info.sha)
        mark_folder(folder, KIND)
        snapshot_download(
            origin.hub,
            repo_type=origin.kind,
            revision=commit,
            local_dir=folder,
            endpoint=endpoint,
        )
    except GatedRepoError:
        raise UserError(
            f"{origin.hub} is gated: accept its terms at {origin.page}, log in with "
            "`hf auth login`, and try again."
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"the Hub has no {origin.hub}, or shows it only to those who are logged in; look at "
            f"{origin.page}."
        ) from None
    except Exception as error:  # offline, proxy, a wrong revision: each has its own class
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise UserError(
            f"{origin.hub} could not be had from the Hub ({reason}); check the connection and try "
            "again, what has come is kept."
        ) from error
    return commit
