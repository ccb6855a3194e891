"""A pytest plugin for runs beside open_clip: lets torchvision load that was built for another torch.

    pip install --no-deps --target build/peers open_clip_torch torchvision timm ftfy wcwidth
    PYTHONPATH=build/peers python -m pytest -p tests.peers -m peers

PyPI's torchvision is built for torch with CUDA. Beside a torch without, its operators are not there, and
importing it fails where it describes two of them; nothing here calls them. `make peers` does both lines.
"""

from __future__ import annotations

import importlib.util

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def declare() -> torch.library.Library | None:
    """Declare the operators; return what keeps them, None where torchvision brings its own."""
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in _SCHEMAS.items():
            library.define(name + schema)
        return library
    return None


_KEPT = declare()
