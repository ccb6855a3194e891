"""Concepts: which class, from a handful of photos, and because of which concepts?

CCLI and the few-shot field around it. The public names are in `__init__.pyi`, the heads and methods
by name in `registry.py`.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
