"""trifocal: regions, concepts and composition for a pre-trained CLIP.

The public names are in `__init__.pyi`. Each is loaded when it is first used, so that importing the
package is instant.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
