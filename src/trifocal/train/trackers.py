"""Where the numbers of a run are drawn as curves while it goes on: TensorBoard, Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from trifocal.errors import UserError, install

Tracker = Literal["tensorboard", "wandb"]


class Curves(Protocol):
    """Takes numbers by name and step."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Draw a point on each named curve."""
        ...

    def close(self) -> None:
        """Write what is left to write."""
        ...


class TensorBoard:
    """Event files in the run folder's `tensorboard/`.

    Args:
        folder: The run folder.
        start: Steps that were made before; points behind them are hidden.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        purge = start + 1 if start else None
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Draw a point on each named curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files; what could not be written is no reason to fail."""
        with suppress(OSError):
            self._writer.close()


class WeightsAndBiases:
    """A run of the project "trifocal", which goes on where this one does.

    Where it is sent, and whether at all, is said by wandb's own variables (`WANDB_PROJECT`,
    `WANDB_MODE=offline`).

    Args:
        folder: The run folder.
        settings: What the run was told, for its page.

    Raises:
        UserError: wandb is not installed.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError(
                f"trackers names wandb, which is missing; install it with {install('wandb')}."
            ) from None
        name = folder.name
        self._run = wandb.init(
            project="trifocal", name=name, id=name, resume="allow", dir=str(folder),
            config=dict(settings),
        )  # fmt: skip

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Draw a point on each named curve."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


def open_trackers(
    names: Sequence[Tracker], folder: Path, start: int, settings: Mapping[str, Any]
) -> list[Curves]:
    """Open the trackers that a recipe names.

    Args:
        names: Of them.
        folder: The run folder.
        start: Steps that were made before.
        settings: What the run was told.

    Raises:
        UserError: one of them is not installed.
    """
    makers = {
        "tensorboard": lambda: TensorBoard(folder, start),
        "wandb": lambda: WeightsAndBiases(folder, settings),
    }
    return [makers[name]() for name in names]
