"""Composition: do the words stand in the right relation? FSC-CLIP and its baselines.

The public names are in `__init__.pyi`, the methods and benchmarks by name in `registry.py`.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
