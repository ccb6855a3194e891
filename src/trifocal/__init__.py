"""trifocal: regions, concepts and composition for a pre-trained CLIP.

The public names are loaded when they are first used, so that importing the package is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trifocal.clip import Clip, ImageEmbedding, TextBatch, TextEmbedding, load_clip
    from trifocal.composition import FscClip, FscClipConfig
    from trifocal.composition.negatives import HardNegatives
    from trifocal.concepts import CCLI, discover_visual_concepts
    from trifocal.errors import UserError
    from trifocal.regions import Rca, RcaConfig, RegionEncoder, region_encoder
    from trifocal.tuning import interpolate, load_model

_HOME = {
    "CCLI": "trifocal.concepts",
    "Clip": "trifocal.clip",
    "FscClip": "trifocal.composition",
    "FscClipConfig": "trifocal.composition",
    "HardNegatives": "trifocal.composition.negatives",
    "ImageEmbedding": "trifocal.clip",
    "Rca": "trifocal.regions",
    "RcaConfig": "trifocal.regions",
    "RegionEncoder": "trifocal.regions",
    "TextBatch": "trifocal.clip",
    "TextEmbedding": "trifocal.clip",
    "UserError": "trifocal.errors",
    "discover_visual_concepts": "trifocal.concepts",
    "interpolate": "trifocal.tuning",
    "load_clip": "trifocal.clip",
    "load_model": "trifocal.tuning",
    "region_encoder": "trifocal.regions",
}

__all__ = [
    "CCLI",
    "Clip",
    "FscClip",
    "FscClipConfig",
    "HardNegatives",
    "ImageEmbedding",
    "Rca",
    "RcaConfig",
    "RegionEncoder",
    "TextBatch",
    "TextEmbedding",
    "UserError",
    "__version__",
    "discover_visual_concepts",
    "interpolate",
    "load_clip",
    "load_model",
    "region_encoder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trifocal' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
