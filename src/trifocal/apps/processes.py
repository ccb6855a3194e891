"""A command in several processes (torchrun, accelerate launch): who one is, and on which device."""

from __future__ import annotations

import os


def process_count() -> int:
    """Return how many processes the command was started in; asks of the environment alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join_processes(device: str) -> str:
    """Join the other processes, if there are any; return the device of this one.

    Args:
        device: As `pick_device` returns it; of several GPUs each process takes its own.
    """
    if process_count() < 2:
        return device
    from accelerate.state import PartialState

    state = PartialState(cpu=device == "cpu")
    return str(state.device)


def first_of_all() -> bool:
    """Return whether this process speaks for all; asks of the environment alone."""
    return os.environ.get("RANK", "0") == "0"
