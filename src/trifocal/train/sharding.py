"""Parameters, gradients and optimizer state spread over processes, for models too large for one.

FSDP in torch's second form (`fully_shard`): every block of every stack of layers is a unit that is
gathered when it is needed, the rest is one more. accelerate's own FSDP plugin cannot be used: it
refuses CLIP's 0-dim logit scale, which here stays whole on every process.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from trifocal.clip import Clip
from trifocal.train.checkpoints import whole


class Sharding:
    """A method whose parameters are spread over all processes.

    Args:
        method: The method, on its device; its parameters become shards, so an optimizer has to
            be made after this.
        device: Where it is.
    """

    def __init__(self, method: nn.Module, device: torch.device) -> None:
        self._copy = copy.deepcopy(method).cpu()
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        scalars = {parameter for parameter in method.parameters() if parameter.ndim == 0}
        for stack in list(method.modules()):
            if isinstance(stack, nn.ModuleList):
                for block in stack:
                    fully_shard(block, mesh=mesh)
            elif isinstance(stack, Clip):
                stack.text_in_one_pass = True
        fully_shard(method, mesh=mesh, ignored_params=scalars)
        self.method = method
        self.scalars = [parameter for parameter in scalars if parameter.requires_grad]

    def average(self) -> None:
        """Average the gradients that FSDP leaves alone over all processes."""
        for parameter in self.scalars:
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

    def assemble(self) -> nn.Module:
        """Return an ordinary copy of the method with the weights of now; all processes call it."""
        trained = dict(self.method.named_parameters())
        with torch.no_grad():
            for name, parameter in self._copy.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(whole(trained[name]))
            for kept, buffer in zip(self._copy.buffers(), self.method.buffers()):
                kept.copy_(buffer)
        return self._copy.eval()

    @property
    def _root(self) -> FSDPModule:
        assert isinstance(self.method, FSDPModule)
        return self.method
