"""Names of the field: one canonical spelling, no wrong activation."""

from __future__ import annotations

import pytest

from trifocal.clip import SHAPES, canonical_name
from trifocal.clip.names import (
    PUBLISHED,
    Architecture,
    find_published,
    parse_activation,
    parse_architecture,
    split_pair,
)
from trifocal.errors import UserError


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ViT-B-32:openai", "ViT-B-32:openai"),
        ("ViT-B/32:openai", "ViT-B-32:openai"),
        ("ViT-B-32-quickgelu:openai", "ViT-B-32:openai"),
        ("ViT-L/14@336px:openai", "ViT-L-14-336:openai"),
        ("ViT-L-14-336:openai", "ViT-L-14-336:openai"),
        ("ViT-B/32-quickgelu:runs/a.pt", "ViT-B-32-quickgelu:runs/a.pt"),
        ("ViT-B/16", "ViT-B-16"),
        ("hf-hub:laion/CLIP-x", "laion/CLIP-x"),
        ("local-dir:runs/a", "runs/a"),
        ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
        ("builtin", "builtin"),
        (" runs/a ", "runs/a"),
    ],
)
def test_canonical_name(text: str, canonical: str) -> None:
    assert canonical_name(text) == canonical
    assert canonical_name(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ViT-B-32", Architecture("ViT-B-32", None)),
        ("ViT-B/32-quickgelu", Architecture("ViT-B-32", "quick_gelu")),
        ("ViT-L-14-336-gelu", Architecture("ViT-L-14-336", "gelu")),
        ("ViT-H-14", Architecture("ViT-H-14", None)),
        ("ViT-bigG-14", Architecture("ViT-bigG-14", None)),
        ("RN50", None),
        ("runs/ViT-B-32", None),
        ("", None),
    ],
)
def test_parse_architecture(text: str, expected: Architecture | None) -> None:
    assert parse_architecture(text) == expected


def test_split_pair() -> None:
    assert split_pair("ViT-B-32:a:b") == (Architecture("ViT-B-32", None), "a:b")
    for text in ("ViT-B-32", "ViT-B-32:", "C:/models/a.pt", "openai/clip"):
        assert split_pair(text) is None


def test_every_published_pair_is_well_formed() -> None:
    for (name, tag), published in PUBLISHED.items():
        assert name in SHAPES
        assert published.repo.count("/") == 1
        assert find_published(Architecture(name, None), tag) is published
        # OpenAI trained with QuickGELU; open_clip with GELU, but for its first B/32 models.
        early = (name, tag[:10]) == ("ViT-B-32", "laion400m_")
        assert published.activation == ("quick_gelu" if tag == "openai" or early else "gelu")


def test_a_contradicting_activation_is_refused() -> None:
    with pytest.raises(UserError, match="trained with gelu, not quick_gelu"):
        find_published(Architecture("ViT-B-32", "quick_gelu"), "laion2b_s34b_b79k")
    with pytest.raises(UserError, match="trained with quick_gelu, not gelu"):
        find_published(Architecture("ViT-B-32", "gelu"), "openai")


def test_unknown_tags_and_architectures() -> None:
    with pytest.raises(UserError, match="Did you mean 'openai'"):
        find_published(Architecture("ViT-B-32", None), "opnai")
    with pytest.raises(UserError, match="known architectures"):
        find_published(Architecture("ViT-S-8", None), "openai")


def test_parse_activation() -> None:
    assert parse_activation("quickgelu") == parse_activation("quick_gelu") == "quick_gelu"
    assert parse_activation("gelu") == "gelu"
    with pytest.raises(UserError, match="'relu'"):
        parse_activation("relu")
