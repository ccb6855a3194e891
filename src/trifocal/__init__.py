"""trifocal: regions, concepts and composition for a pre-trained CLIP."""

from __future__ import annotations

__version__ = "0.1.0"
