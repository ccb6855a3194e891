"""The field's prompts and class names, and how prompts of a class become one text feature.

Templates of CoOp (Zhou et al., arXiv 2109.01134), Tip-Adapter (arXiv 2207.09519), TaskRes (arXiv
2211.10277) and CLIP-LoRA (arXiv 2405.18541). They agree on all data sets but ImageNet, apart from
CLIP-LoRA, which puts every data set into "a photo of a {}.".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.nn.functional import normalize

from trifocal.clip import encode
from trifocal.clip.encoder import Encoder
from trifocal.data.classes import prompts
from trifocal.errors import UserError, nearest

Protocol = Literal["tip", "coop", "taskres", "clip-lora"]
Order = Literal["tip", "taskres"]

PHOTO = ("a photo of a {}.",)
_SEVEN = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
# ImageNet and its variants, by protocol.
IMAGENET_TEMPLATES: dict[str, tuple[str, ...]] = {
    "tip": _SEVEN,
    "coop": PHOTO,
    "taskres": _SEVEN + PHOTO,
    "clip-lora": PHOTO,
}
IMAGENETS = ("imagenet", "imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")

# Data sets that do not say "a photo of a {}.".
TEMPLATES: dict[str, tuple[str, ...]] = {
    "oxford_pets": ("a photo of a {}, a type of pet.",),
    "oxford_flowers": ("a photo of a {}, a type of flower.",),
    "food101": ("a photo of {}, a type of food.",),
    "fgvc_aircraft": ("a photo of a {}, a type of aircraft.",),
    "dtd": ("{} texture.",),
    "eurosat": ("a centered satellite photo of {}.",),
    "ucf101": ("a photo of a person doing {}.",),
}

# Folders that the field calls by another name.
CLASSNAMES: dict[str, dict[str, str]] = {
    "caltech101": {
        "Faces": "face",
        "Leopards": "leopard",
        "Motorbikes": "motorbike",
        "airplanes": "airplane",
    },
    "eurosat": {
        "AnnualCrop": "Annual Crop Land",
        "Forest": "Forest",
        "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road",
        "Industrial": "Industrial Buildings",
        "Pasture": "Pasture Land",
        "PermanentCrop": "Permanent Crop Land",
        "Residential": "Residential Buildings",
        "River": "River",
        "SeaLake": "Sea or Lake",
    },
}


def templates(dataset: str, protocol: Protocol = "tip") -> tuple[str, ...]:
    """Return the prompts of a data set, with "{}" for the class name.

    An unknown data set gets "a photo of a {}.". Protocols "tip" (also APE, GDA, LP++), "coop" and
    "taskres" (also CLAP) differ on ImageNet and its variants only: 7, 1 and 8 templates.

    Raises:
        UserError: there is no such protocol.
    """
    if protocol not in IMAGENET_TEMPLATES:
        raise UserError(
            f"there is no prompt protocol {protocol!r}; choose one of "
            f"{', '.join(IMAGENET_TEMPLATES)}.{nearest(protocol, IMAGENET_TEMPLATES)}"
        )
    if dataset in IMAGENETS:
        return IMAGENET_TEMPLATES[protocol]
    return PHOTO if protocol == "clip-lora" else TEMPLATES.get(dataset, PHOTO)


def class_name(name: str, dataset: str = "") -> str:
    """Return a class name of a file or folder as the field's prompts say it."""
    return CLASSNAMES.get(dataset, {}).get(name, name).replace("_", " ")


def ensemble(embeddings: Tensor, order: Order = "tip") -> Tensor:
    """Return one text feature for each class.

    Args:
        embeddings: (..., t, d) text features of t prompts a class, not normalized.
        order: "tip" makes each prompt unit, takes the mean, and makes that unit (Tip-Adapter).
            "taskres" takes the mean as it is, so that long embeddings weigh more (TaskRes, CLAP).

    Returns:
        (..., d); unit for "tip". For "taskres" the mean as it is, which TaskRes adds its
        residual to; heads that want a direction normalize it themselves.
    """
    if order == "taskres":
        return embeddings.mean(-2)
    if order != "tip":
        raise UserError(f"there is no order {order!r} of normalization; choose tip or taskres.")
    return normalize(normalize(embeddings, dim=-1).mean(-2), dim=-1)


def class_text(
    model: Encoder,
    classnames: Sequence[str],
    templates: Sequence[str] = PHOTO,
    order: Order = "tip",
) -> Tensor:
    """Return (D, d) text features of classes, in the manner of `ensemble`.

    Raises:
        UserError: there is no class or no template, or a template has no place for the name.
    """
    if not classnames or not templates:
        raise UserError("class texts need at least one class name and one template.")
    texts = [text for name in classnames for text in prompts(name, templates)]
    features = encode.text_features(model, texts)
    return ensemble(features.reshape(len(classnames), len(templates), -1), order)
