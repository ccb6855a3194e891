"""Checkpoints of a run: `checkpoints/step-<n>/`, wholly there or not there at all.

A checkpoint holds what is trained (`model.safetensors`), the optimizer's state
(`optimizer.safetensors`), and the rest in `trainer.json`. It is written aside and renamed; older
ones go only after that. Data order and random draws are functions of the seed and the step, so no
state of random generators needs to be kept.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from trifocal.errors import UserError
from trifocal.files import atomic_folder

FORMAT = 1
_NAME = re.compile(r"step-(\d+)")


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the CPU; one that is sharded over processes is gathered by all of them."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu().contiguous()


def trained_state(method: nn.Module) -> dict[str, torch.Tensor]:
    """Return what training changes: trainable parameters, and buffers that are kept."""
    names = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    kept = method.state_dict()
    buffers = {name for name, _ in method.named_buffers() if name in kept}
    return {name: whole(kept[name]) for name in kept if name in names or name in buffers}


def frozen_digest(method: nn.Module) -> str:
    """Return a SHA-256 over the frozen parameters, which a checkpoint leaves out; "" if none."""
    digest, found = hashlib.sha256(), False
    for name, parameter in method.named_parameters():
        if not parameter.requires_grad:
            found = True
            digest.update(name.encode())
            flat = whole(parameter).reshape(-1).view(torch.uint8)  # bytes, whatever the type
            digest.update(flat.numpy().tobytes())
    return digest.hexdigest() if found else ""


def optimizer_state(method: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimizer's tensors, named `<entry>:<parameter>`."""
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    return {
        f"{entry}:{names[id(parameter)]}": whole(torch.as_tensor(value))
        for parameter, entries in optimizer.state.items()
        for entry, value in entries.items()
    }


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, run: str | os.PathLike[str]) -> None:
        self.folder = Path(run) / "checkpoints"

    def steps(self) -> list[int]:
        """Return the steps of all complete checkpoints, in order."""
        if not self.folder.is_dir():
            return []
        matches = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted(int(m[1]) for m, path in matches if m and (path / "trainer.json").is_file())

    def path(self, step: int) -> Path:
        """Return where the checkpoint of `step` stands."""
        return self.folder / f"step-{step:08d}"

    def read(self, step: int) -> dict[str, Any]:
        """Return the `trainer.json` of a checkpoint."""
        try:
            content = json.loads((self.path(step) / "trainer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read {self.path(step)} ({error}); delete it.") from None
        if not isinstance(content, dict):
            raise UserError(f"{self.path(step)} is damaged (trainer.json is no table); delete it.")
        if content.get("format") != FORMAT:
            raise UserError(
                f"{self.path(step)} has format {content.get('format')!r}, but this version reads "
                f"{FORMAT}; start a new run with another name."
            )
        return content

    def save(
        self,
        step: int,
        model: dict[str, torch.Tensor],
        optimizer: dict[str, torch.Tensor],
        trainer: dict[str, Any],
    ) -> Path:
        """Write the checkpoint of `step`.

        Raises:
            UserError: the disk is full or the folder cannot be written; nothing old is lost.
        """
        target = self.path(step)
        text = json.dumps({"format": FORMAT, "step": step, **trainer}, indent=1)
        try:
            with atomic_folder(target) as aside:
                save_file(model, aside / "model.safetensors", metadata={"format": "pt"})
                save_file(optimizer, aside / "optimizer.safetensors", metadata={"format": "pt"})
                (aside / "trainer.json").write_text(text + "\n", encoding="utf-8")
        except (OSError, SafetensorError) as error:
            raise UserError(self._failure(step, error)) from error
        return target

    def _failure(self, step: int, error: Exception) -> str:
        number = getattr(error, "errno", None)
        full = number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        reason = "the disk is full" if full else str(error)
        kept = self.steps()
        intact = f"that of step {kept[-1]} is intact" if kept else "there is none yet"
        remedy = "free some space" if full else "put that right"
        return (
            f"cannot save the checkpoint of step {step} under {self.folder}: {reason}; {intact}, "
            f"so {remedy} and run the same command again."
        )

    def prune(self, keep: int, best: int | None = None) -> None:
        """Remove all but the last `keep` checkpoints, the best one, and remains of killed runs."""
        for step in self.steps()[:-keep]:
            if step != best:
                # Renamed first: a kill while files go must not leave half a checkpoint behind.
                gone = self.folder / f".old.step-{step:08d}"
                os.replace(self.path(step), gone)
                shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what runs that were killed in the middle of writing have left behind."""
        for path in self.folder.glob(".*"):
            if path.name.startswith((".old.", ".step-")):
                shutil.rmtree(path, ignore_errors=True)

    def load(
        self, step: int, method: nn.Module, optimizer: torch.optim.Optimizer | None = None
    ) -> None:
        """Put a checkpoint's tensors into a method and, if given, its optimizer.

        Raises:
            UserError: the files are damaged, or belong to another method or model.
        """
        folder = self.path(step)
        try:
            _load_model(method, load_file(folder / "model.safetensors"), folder)
            if optimizer is not None:
                _load_optimizer(method, optimizer, load_file(folder / "optimizer.safetensors"))
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder} is damaged ({error}); delete it to go on without.") from None


def _load_model(method: nn.Module, saved: dict[str, torch.Tensor], folder: Path) -> None:
    wanted = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    current = method.state_dict()
    strange = sorted((wanted - saved.keys()) | (saved.keys() - current.keys()))
    strange += [n for n in saved if n in current and saved[n].shape != current[n].shape]
    if strange:
        raise UserError(
            f"{folder} does not fit this model ({strange[0]} and {len(strange) - 1} more differ); "
            "use the recipe that the run was started with."
        )
    with torch.no_grad():
        for name, tensor in saved.items():
            current[name].copy_(_like(tensor, current[name]))


def _load_optimizer(
    method: nn.Module, optimizer: torch.optim.Optimizer, saved: dict[str, torch.Tensor]
) -> None:
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    entries: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in saved.items():
        entry, _, name = key.partition(":")
        entries.setdefault(name, {})[entry] = tensor
    state = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, parameter in enumerate(parameters):
        made = entries.get(names[id(parameter)])
        if made:
            state[index] = {
                entry: _like(tensor, parameter) if tensor.ndim else tensor
                for entry, tensor in made.items()
            }
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _like(tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Shard a whole tensor as `target` is sharded, if it is."""
    if isinstance(target, DTensor):
        mesh, placements = target.device_mesh, target.placements
        return distribute_tensor(tensor.to(mesh.device_type), mesh, placements)
    return tensor
