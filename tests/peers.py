"""A pytest plugin for runs beside open_clip: lets torchvision load that was built for another torch.

    make peers

PyPI's torchvision is built for torch with CUDA. Beside a torch without, its operators are not there, and
importing it fails where it describes two of them; nothing here calls them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch


def declare() -> torch.library.Library | None:
    """Declare the operators; return what keeps them, None where torchvision brings its own."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    extension = next(Path(spec.origin).parent.glob("_C*.so"), None)
    try:
        if extension is not None:
            torch.ops.load_library(str(extension))
            return None
    except OSError:
        pass
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


_KEPT = declare()  # torch.library forgets definitions when their owner goes away
