"""trifocal: regions, concepts and composition for a pre-trained CLIP.

The public names are in `__init__.pyi`. Each is loaded when it is first used, so that importing the
package is instant.
"""

from __future__ import annotations

import sys
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    found = _load(name)
    # A package that is called by its own name stands for that function (see `called.py`).
    package = sys.modules.get(f"{__name__}.{name}")
    if package is not None:
        globals()[name] = found = package
    return found
