"""What the field calls its checkpoints, and where the Hub keeps them.

Names follow open_clip: an architecture (`ViT-B-32`) and a tag (`openai`). The activation of each
published pair is written down here, because mixing it up changes scores without any error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trifocal.clip.shape import SHAPES, Activation
from trifocal.errors import UserError, nearest

OPEN_CLIP_PREFIX = "open_clip:"  # before the name of any model of open_clip
_INCEPTION = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Published:
    """One published checkpoint.

    Attributes:
        repo: its Hub id.
        activation: what it was trained with.
        mean, std: its preprocessing where it is not OpenAI's.
    """

    repo: str
    activation: Activation = "gelu"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


PUBLISHED: dict[tuple[str, str], Published] = {
    ("ViT-B-32", "openai"): Published("openai/clip-vit-base-patch32", "quick_gelu"),
    ("ViT-B-16", "openai"): Published("openai/clip-vit-base-patch16", "quick_gelu"),
    ("ViT-L-14", "openai"): Published("openai/clip-vit-large-patch14", "quick_gelu"),
    ("ViT-L-14-336", "openai"): Published("openai/clip-vit-large-patch14-336", "quick_gelu"),
    ("ViT-B-32", "laion400m_e31"): Published(
        "timm/vit_base_patch32_clip_224.laion400m_e31", "quick_gelu"
    ),
    ("ViT-B-32", "laion400m_e32"): Published(
        "timm/vit_base_patch32_clip_224.laion400m_e32", "quick_gelu"
    ),
    ("ViT-B-16", "laion400m_e32"): Published("timm/vit_base_patch16_clip_224.laion400m_e32"),
    ("ViT-L-14", "laion400m_e32"): Published("timm/vit_large_patch14_clip_224.laion400m_e32"),
    ("ViT-B-32", "laion2b_e16"): Published("timm/vit_base_patch32_clip_224.laion2b_e16"),
    ("ViT-B-32", "laion2b_s34b_b79k"): Published("laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    ("ViT-B-16", "laion2b_s34b_b88k"): Published("laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
    ("ViT-L-14", "laion2b_s32b_b82k"): Published(
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", mean=_INCEPTION, std=_INCEPTION
    ),
    ("ViT-B-32", "datacomp_xl_s13b_b90k"): Published("laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"),
    ("ViT-B-16", "datacomp_xl_s13b_b90k"): Published("laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K"),
    ("ViT-L-14", "datacomp_xl_s13b_b90k"): Published("laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K"),
}

_ACTIVATIONS: dict[str, Activation] = {
    "quickgelu": "quick_gelu",
    "quick_gelu": "quick_gelu",
    "gelu": "gelu",
}
_ARCHITECTURE = re.compile(r"(ViT-[A-Za-z]+)[-/](\d+)(?:-336|@336px)?(?:-(quickgelu|gelu))?")


@dataclass(frozen=True)
class Architecture:
    """An architecture's name taken apart: `ViT-B/32-quickgelu` is ("ViT-B-32", "quick_gelu").

    `activation` is None where the name does not say.
    """

    name: str
    activation: Activation | None


def parse_activation(word: str) -> Activation:
    """Return transformers' word for an activation."""
    if word not in _ACTIVATIONS:
        raise UserError(f"activation is {word!r}; use 'quickgelu' or 'gelu'.")
    return _ACTIVATIONS[word]


def parse_architecture(text: str) -> Architecture | None:
    """Take `ViT-B-32`, `ViT-B/32`, `ViT-L/14@336px`, `ViT-B-32-quickgelu` apart; else None."""
    match = _ARCHITECTURE.fullmatch(text)
    if match is None:
        return None
    large = "336" in text.removeprefix(match[1])
    name = f"{match[1]}-{match[2]}" + ("-336" if large else "")
    return Architecture(name, _ACTIVATIONS[match[3]] if match[3] else None)


def split_pair(text: str) -> tuple[Architecture, str] | None:
    """Take `ARCHITECTURE:TAG-OR-PATH` apart; None where it is something else."""
    left, colon, right = text.partition(":")
    architecture = parse_architecture(left) if colon and right else None
    return None if architecture is None else (architecture, right)


def canonical_name(text: str) -> str:
    """Return the name under which results are filed: `ViT-B/32:openai` is `ViT-B-32:openai`.

    The activation suffix is dropped where the weights are published ones, because it is theirs.
    """
    text = text.strip().removeprefix("hf-hub:").removeprefix("local-dir:")
    pair = split_pair(text)
    if pair is None:
        alone = parse_architecture(text)
        return text if alone is None or text in ("", alone.name) else _with_suffix(alone)
    architecture, tag = pair
    published = (architecture.name, tag) in PUBLISHED
    left = architecture.name if published else _with_suffix(architecture)
    return f"{left}:{tag}"


def find_published(architecture: Architecture, tag: str) -> Published:
    """Return the published checkpoint of a pair.

    Raises:
        UserError: there is none, or the name states an activation that is not the checkpoint's.
    """
    key = (architecture.name, tag)
    if key not in PUBLISHED:
        tags = [known for name, known in PUBLISHED if name == architecture.name]
        if not tags:
            raise UserError(
                f"no published weights of {architecture.name!r} are known; known architectures "
                f"are {', '.join(SHAPES)}, and any Hub id or file can be named instead."
            )
        raise UserError(
            f"{tag!r} is neither a file nor known weights of {architecture.name}; known are "
            f"{', '.join(tags)}.{nearest(tag, tags)}"
        )
    found = PUBLISHED[key]
    if architecture.activation not in (None, found.activation):
        raise UserError(
            f"{architecture.name}:{tag} was trained with {found.activation}, not "
            f"{architecture.activation}; leave the suffix out."
        )
    return found


def _with_suffix(architecture: Architecture) -> str:
    suffix = {None: "", "quick_gelu": "-quickgelu", "gelu": "-gelu"}[architecture.activation]
    return architecture.name + suffix
