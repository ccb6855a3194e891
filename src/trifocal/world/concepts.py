"""Text concepts of the world: phrases that say one or two things about a picture.

They are worded as captions are, so that the base checkpoint knows what it reads, and name nothing
that only tests show: no novel kind, no held-out pair of kind and color, no class of `few_shot`.
"""

from __future__ import annotations

from trifocal.world.vocabulary import (
    ALLOWED_COLORS,
    KINDS,
    MARKED_SIZES,
    MARKED_TEXTURES,
    SETTING_PHRASES,
    SPOT_PHRASES,
    article,
)

WORLD_CONCEPT_FAMILIES: dict[str, tuple[str, ...]] = {
    "kind": tuple(article(kind) for kind in KINDS),
    "color": tuple(f"{article(color)} {kind}" for kind in KINDS for color in ALLOWED_COLORS[kind]),
    "texture": tuple(f"{article(texture)} {kind}" for kind in KINDS for texture in MARKED_TEXTURES),
    "size": tuple(f"{article(size)} {kind}" for kind in KINDS for size in MARKED_SIZES),
    "spot": tuple(
        f"{article(kind)} {phrase}" for kind in KINDS for phrase in SPOT_PHRASES.values()
    ),
    "setting": tuple(phrase for phrases in SETTING_PHRASES.values() for phrase in phrases),
}

WORLD_CONCEPTS: tuple[str, ...] = tuple(
    phrase for phrases in WORLD_CONCEPT_FAMILIES.values() for phrase in phrases
)
