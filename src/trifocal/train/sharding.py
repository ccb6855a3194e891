"""Parameters, gradients and optimizer state spread over processes, for models too large for one.

FSDP in torch's second form (`fully_shard`): every block of every stack of layers is a unit that is
gathered when it is needed, the rest is one more. accelerate's own FSDP plugin cannot be used: it
refuses CLIP's 0-dim logit scale, which here stays whole on every process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard


class Sharding:
    """A method whose parameters are spread over all processes.

    Args:
        method: The method, on its device; its parameters become shards, so an optimizer has to
            be made after this.
        device: Where it is.
    """

    def __init__(self, method: nn.Module, device: torch.device) -> None:
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        whole = {parameter for parameter in method.parameters() if parameter.ndim == 0}
        for stack in list(method.modules()):
            if isinstance(stack, nn.ModuleList):
                for block in stack:
                    fully_shard(block, mesh=mesh)
        fully_shard(method, mesh=mesh, ignored_params=whole)
        self.method = method
        self.whole = [parameter for parameter in whole if parameter.requires_grad]

    def average(self) -> None:
        """Average the gradients that FSDP leaves alone over all processes."""
        for parameter in self.whole:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= dist.get_world_size()

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Keep gradients to this process for the block."""
        self._root.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self._root.set_requires_gradient_sync(True)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Have all parameters whole on every process for the block, which may not change them."""
        units = [module for module in self.method.modules() if isinstance(module, FSDPModule)]
        for unit in units:
            unit.unshard()
        try:
            yield
        finally:
            for unit in units:
                unit.reshard()

    @property
    def _root(self) -> FSDPModule:
        assert isinstance(self.method, FSDPModule)
        return self.method
