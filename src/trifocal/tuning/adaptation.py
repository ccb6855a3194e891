"""An adaptation on disk: only what was trained, and the name of what it belongs to.

A folder with `adapter.safetensors` (the trained tensors) and `adapter.json` (format version,
method, surgery, conventions, base name and fingerprint), and the pictures it was trained on. It is
refused on another base unless forced, since the same factors on other weights mean nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors.torch import save_file

from trifocal import config
from trifocal.clip import Clip, hub, load_clip
from trifocal.clip.checkpoint import hub_id, load_fetched
from trifocal.clip.names import OPEN_CLIP_PREFIX
from trifocal.clip.reading import weights_names
from trifocal.clip.trained_on import TrainedOn
from trifocal.clip.weights import as_floats, read_json, read_tensors
from trifocal.data.keys import check_facts
from trifocal.errors import UserError
from trifocal.files import atomic_folder

if TYPE_CHECKING:
    from trifocal.tuning.surgery import Surgery

FORMAT = 3
_FILES = ("adapter.json", "adapter.safetensors")
_FACTS = ("format", "method", "surgery", "conventions", "base")


def save_adaptation(
    folder: str | os.PathLike[str],
    clip: Clip,
    surgery: Surgery,
    *,
    method: str,
    base_name: str,
    base_fingerprint: str,
    force: bool = False,
) -> None:
    """Write the parameters of `clip` that require gradients, and what they belong to.

    Raises:
        UserError: the folder holds something, and that is no adaptation or `force` is not given.
    """
    tensors = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in clip.network.named_parameters()
        if parameter.requires_grad
    }
    facts = {
        "format": FORMAT,
        "method": method,
        "surgery": config.plain(surgery),
        "conventions": clip.conventions,
        "base": {"name": base_name, "sha256": base_fingerprint},
    }
    with atomic_folder(folder, "adaptation", force=force, older=_FILES) as aside:
        save_file(tensors, aside / "adapter.safetensors")
        (aside / "adapter.json").write_text(json.dumps(facts, indent=2) + "\n")
        clip.trained_on.write(aside)


def load_model(
    name: str | os.PathLike[str],
    *,
    base: Clip | str | None = None,
    force: bool = False,
    device: str = "cpu",
    **options: Any,
) -> Clip:
    """Load anything that holds a model, ready for inference.

    Args:
        name: A run folder, an adaptation (here, or on the Hub by its id), whatever
            `trifocal.clip.load_clip` takes, or a model of open_clip, such as
            `open_clip:RN50:openai`.
        base: The backbone for an adaptation, where the recorded name cannot be found.
        force: Accept a base whose weights differ from the recorded ones.
        device: Where to put it.
        options: Passed to `load_clip`.

    Returns:
        A `Clip`; low-rank updates are merged into its weights, adapters are part of its blocks. A
        model of open_clip embeds like one, but offers pooled features only, and refuses the rest.

    Raises:
        UserError: The folder holds no model, or the base is not the one it was trained on.

    Example:
        >>> import trifocal
        >>> trifocal.load_model("builtin").name
        'builtin'
    """
    if str(name).startswith(OPEN_CLIP_PREFIX):
        stated = [option for option, value in options.items() if value is not None]
        if stated:
            raise UserError(f"{name} comes with its own {stated[0]}; leave that out.")
        from trifocal.clip.open_clip_backbone import load_open_clip

        return cast(Clip, load_open_clip(str(name), device=device))
    repo = hub_id(str(name).strip())
    if repo is not None:
        fetched = hub.fetch(repo, _weights_names)
        if (fetched / _FILES[0]).is_file():
            return _load_adaptation(fetched, base, force, device, options, name=repo)
        _refuse_classifier(fetched, repo)
        return load_fetched(repo, fetched, device=device, **options)
    folder = Path(name)
    if (folder / "model").is_dir() and not (folder / "config.json").exists():
        folder = folder / "model"  # a run folder keeps its result there
    elif (folder / "checkpoints").is_dir():
        raise UserError(
            f"The run {folder} has not finished, so it holds no model/ yet; "
            "run the same `trifocal train` command again to resume it."
        )
    if not (folder / _FILES[0]).is_file():
        _refuse_classifier(folder, str(name))
        chosen = folder if folder.is_dir() else name
        return load_clip(str(chosen), device=device, **options)
    return _load_adaptation(folder, base, force, device, options, name=str(folder))


def _weights_names(folder: Path) -> tuple[str, ...]:
    """Return the names that the weights may have in a folder of the Hub; see `hub.fetch`."""
    return (_FILES[1],) if (folder / _FILES[0]).is_file() else weights_names(folder)


def _refuse_classifier(folder: Path, name: str) -> None:
    """Refuse what is fitted to features of a model, and no model itself."""
    if (folder / "head.json").is_file():
        raise UserError(
            f"{name} is a few-shot classifier, not a model; use it with trifocal.classify(PICTURES, "
            f"{name!r}) or `trifocal classify predict`."
        )


def _load_adaptation(
    folder: Path,
    base: Clip | str | None,
    force: bool,
    device: str,
    options: dict[str, Any],
    *,
    name: str,
) -> Clip:
    from trifocal.tuning.surgery import Surgery, merge, operate  # most models have none

    facts = read_json(folder / "adapter.json") or {}
    try:
        check_facts(facts, _FACTS, (2, FORMAT))
    except UserError as error:
        raise UserError(f"{folder / 'adapter.json'}: {error}") from None
    try:
        base_name, fingerprint = str(facts["base"]["name"]), facts["base"]["sha256"]
        surgery, conventions = config.build(Surgery, facts["surgery"]), dict(facts["conventions"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder / 'adapter.json'} is damaged ({error}); train the adaptation again."
        ) from None
    if facts["format"] == 2 and surgery.adapters is not None:
        surgery = replace(surgery, adapters=replace(surgery.adapters, msha_scale="own"))
    clip = base if isinstance(base, Clip) else _load_base(base or base_name, name, device, options)
    if clip.fingerprint() != fingerprint and not force:
        raise UserError(
            f"The adaptation {name} was trained on other weights than {clip.name!r} has "
            f"(its base was {base_name!r}); give that base, or force it."
        )
    operate(clip.network, surgery)
    tensors = read_tensors(folder / "adapter.safetensors")
    as_floats(tensors, str(folder / "adapter.safetensors"))
    trained = {n: p for n, p in clip.network.named_parameters() if p.requires_grad}
    if tensors.keys() != trained.keys():
        odd = sorted(tensors.keys() ^ trained.keys())[0]
        raise UserError(f"The adaptation {name} does not fit {clip.name!r}: {odd!r} differs.")
    for key, parameter in trained.items():
        if parameter.shape != tensors[key].shape:
            raise UserError(
                f"The adaptation {name} does not fit {clip.name!r}: {key!r} is of another "
                "shape; give the base it was trained on."
            )
        parameter.data.copy_(tensors[key])
    merge(clip.network, surgery)
    clip.network.requires_grad_(True)
    clip.conventions = conventions
    clip.trained_on |= TrainedOn.read(folder)
    clip.name = name
    return clip.eval()


def _load_base(base: str, name: str, device: str, options: dict[str, Any]) -> Clip:
    """Load what an adaptation belongs to."""
    try:
        return load_clip(base, device=device, **options)
    except UserError as error:
        reason = str(error).rstrip(".")
        raise UserError(
            f"the base of {name} cannot be had (say where it is as base): {reason}."
        ) from None
