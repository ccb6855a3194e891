"""Search over one's own pictures: an index of embeddings, questions in words or pictures.

The public names are in `__init__.pyi`.
"""

from __future__ import annotations

import lazy_loader

from trifocal.called import let_be_called

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

let_be_called(__name__, "call")
