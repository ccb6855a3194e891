"""How many processes share the work, and which of them speaks for all."""

from __future__ import annotations

import torch.distributed as dist


def world_size() -> int:
    """Return the number of processes, 1 where no process group is initialized."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Return whether this is the process that writes for all."""
    return world_size() == 1 or dist.get_rank() == 0
