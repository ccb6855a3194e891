"""The device a run is on, its precision, and its random draws."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import nn

from trifocal.errors import UserError

_STEP = 3  # tag of the network's own draws, beside those of trifocal.data.loader


def choose_precision(asked: str, device: torch.device) -> str:
    """Return "fp32", "bf16" or "fp16" for `asked` ("auto" looks at the device).

    A CPU computes bf16 far slower than fp32 unless it has special instructions, so "auto" never
    chooses it there; a GPU gets bf16 where its hardware has it, and fp16 with a scaler elsewhere.
    """
    if asked == "fp16" and device.type == "cpu":
        raise UserError("a CPU cannot train in fp16; set precision to auto.")
    if asked != "auto":
        return asked
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def make_accelerator(precision: str) -> Accelerator:
    """Return accelerate's handle on devices and processes.

    accelerate keeps one state a process; another precision than the last run's needs a new one.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true", "yes"):
        raise UserError("accelerate's FSDP cannot shard CLIP's logit scale; set sharding to full.")
    # Under torchrun accelerate sees the other processes on a CPU only if it is told of the CPU.
    asked = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    cpu = asked or not torch.accelerator.is_available()
    device = PartialState(cpu=cpu).device or torch.device("cpu")
    chosen = choose_precision(precision, device)
    mixed = "no" if chosen == "fp32" else chosen
    shared: dict[str, Any] = AcceleratorState._shared_state
    if shared and shared.get("_mixed_precision") != mixed:
        AcceleratorState._reset_state(reset_partial_state=False)
    return Accelerator(mixed_precision=mixed, cpu=cpu)


def seed_draws(seed: int, step: int, process: int) -> None:
    """Make all random draws of a step a function of (seed, step, process).

    Nothing else needs to be kept for a run to go on as if it had never been interrupted. Python's
    and NumPy's global generators are seeded too, for methods that use them.
    """
    state = np.random.SeedSequence((_STEP, seed, step, process)).generate_state(1, np.uint64)
    value = int(state[0])
    torch.manual_seed(value)
    random.seed(value)
    np.random.seed(value % 2**32)  # noqa: NPY002 - the global generator is the point


def compile_blocks(module: nn.Module) -> None:
    """Compile every block of every stack of layers, which costs less than the whole model."""
    for child in module.modules():
        if isinstance(child, nn.ModuleList):
            for block in child:
                block.compile()
