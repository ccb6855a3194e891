"""What a run was made with: versions and devices, and nothing that names a person or a machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import torch
from accelerate import Accelerator

from trifocal.version import __version__

_PACKAGES = ("torch", "transformers", "accelerate", "peft", "tokenizers", "numpy", "pillow")
_VARIABLES = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "WORLD_SIZE", "CUBLAS_WORKSPACE_CONFIG")


def describe(accelerator: Accelerator) -> dict[str, Any]:
    """Return versions, device, processes, and a short list of environment variables."""
    device = accelerator.device
    return {
        "trifocal": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cuda": torch.version.cuda,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "precision": accelerator.mixed_precision,
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
