"""open_clip's models as backbones: against open_clip where it can be imported, and on a stand-in."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from trifocal.clip import encode_images, encode_texts, image_features, load_clip, text_features
from trifocal.clip.open_clip_backbone import OpenClipBackbone, load_open_clip
from trifocal.errors import UserError
from trifocal.features.pictures import image_features as stored_features
from trifocal.tuning import TunedClip, load_model

TEXTS = ["a red cat", "two dogs run over a wooden bridge", "a"]


def photos(count: int = 3) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (30 + 9 * i, 50, 3)).astype(np.uint8))
        for i in range(count)
    ]


class Model(nn.Module):
    """What open_clip's models have in common; its text tower reads the padding."""

    def __init__(self, size: Any = 16, **preprocess: Any) -> None:
        super().__init__()
        self.visual = nn.Conv2d(3, 5, 4)
        config = {"size": size, "mean": (0.5,) * 3, "std": (0.5,) * 3, **preprocess}
        object.__setattr__(self.visual, "preprocess_cfg", config)
        self.text = nn.Embedding(200, 5)
        self.logit_scale = nn.Parameter(torch.tensor([3.0]))

    def encode_image(self, pixels: Tensor, normalize: bool = True) -> Tensor:
        features = self.visual(pixels).mean((2, 3))
        return F.normalize(features, dim=-1) if normalize else features

    def encode_text(self, ids: Tensor, normalize: bool = True) -> Tensor:
        features = self.text(ids).mean(1)
        return F.normalize(features, dim=-1) if normalize else features


def tokenizer(texts: Sequence[str]) -> Tensor:
    assert not isinstance(texts, str)
    return torch.tensor([[*text.encode()[:40], *[0] * (40 - len(text))] for text in texts])


@pytest.fixture
def backbone() -> OpenClipBackbone:
    torch.manual_seed(0)
    return OpenClipBackbone(Model(), tokenizer, "open_clip:toy:one")


class Telling:
    """A tokenizer that can be asked for the ids of a text, uncut, without start and end."""

    def __call__(self, texts: Sequence[str]) -> Tensor:
        return tokenizer(texts)

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


def test_texts_that_are_cut_are_known_where_the_tokenizer_tells(backbone: OpenClipBackbone) -> None:
    texts = ["a" * 38, "a" * 39]
    cut = OpenClipBackbone(backbone.model, Telling(), "toy").tokenize(texts).cut
    assert cut is not None
    assert cut.tolist() == [False, True]
    assert backbone.tokenize(texts).cut is None


# The contract of an encoder


def test_embeddings(backbone: OpenClipBackbone) -> None:
    images = [backbone.preprocess(photo) for photo in photos()]
    raw = image_features(backbone, photos(), batch_size=2)
    model: Any = backbone.model
    theirs = model.encode_image(torch.stack(images).float() / 127.5 - 1, normalize=False)
    assert torch.allclose(raw, theirs, atol=1e-6)
    assert torch.allclose(encode_images(backbone, photos()), F.normalize(theirs, dim=-1), atol=1e-6)
    texts = model.encode_text(tokenizer(TEXTS), normalize=False)
    assert torch.allclose(text_features(backbone, TEXTS, batch_size=2), texts, atol=1e-6)
    unit = encode_texts(backbone, TEXTS, batch_size=1)  # alone, and yet not trimmed
    assert torch.allclose(unit, F.normalize(texts, dim=-1), atol=1e-6)


def test_what_it_tells(backbone: OpenClipBackbone) -> None:
    assert (backbone.embed_dim, backbone.image_size) == (5, (16, 16))
    assert float(backbone.logit_scale.detach()) == pytest.approx(20.0855, abs=1e-3)
    assert backbone.logit_scale.shape == ()
    assert not backbone.training
    before = backbone.fingerprint()
    assert OpenClipBackbone(backbone.model, tokenizer, "other name").fingerprint() == before
    with torch.no_grad():
        backbone.model.text.weight[0, 0] += 1  # type: ignore[operator, index]
    assert backbone.fingerprint() != before


def test_the_feature_store_takes_it(backbone: OpenClipBackbone, tmp_path: Path) -> None:
    photos(1)[0].save(tmp_path / "a.png")
    found = stored_features(backbone, [tmp_path / "a.png"], cache=tmp_path / "c", views=2)
    assert found.features.shape == (1, 2, 5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.encode_image(torch.zeros(1, 3, 16, 16), patches=True),
        lambda model: model.encode_text(TEXTS, tokens=True),
        lambda model: model.image_features(torch.zeros(1, 3, 16, 16), projected=False),
        lambda model: image_features(model, photos(), projected=False),
        lambda model: model.save_pretrained("nowhere"),
        lambda model: model.patch_grid,
        lambda model: TunedClip(model),
    ],
)
def test_what_needs_more_is_refused(backbone: OpenClipBackbone, ask: Any) -> None:
    with pytest.raises(UserError, match="toy:one offers pooled features only"):
        ask(backbone)


def test_other_sizes(backbone: OpenClipBackbone) -> None:
    with pytest.raises(ValueError, match="must be"):
        backbone.encode_image(torch.zeros(1, 3, 16, 32))


def test_preprocessing() -> None:
    wide = Model((16, 32), resize_mode="squash", interpolation="bilinear")
    made = OpenClipBackbone(wide, tokenizer, "toy").preprocess
    assert (made.size, made.resize, made.interpolation) == ((16, 32), "squash", "bilinear")
    with pytest.raises(UserError, match="in the manner 'longest'"):
        OpenClipBackbone(Model(resize_mode="longest"), tokenizer, "toy")


# Loading by name


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def create(name: str, pretrained: str | None = None, device: str = "cpu") -> Model:
        asked.append((name, pretrained))
        if pretrained == "gone":
            raise RuntimeError("no network\nat all")
        return Model().to(device)

    stand_in = SimpleNamespace(
        create_model=create,
        get_tokenizer=lambda name: tokenizer,
        list_models=lambda: ["RN50", "ViT-B-32"],
        list_pretrained_tags_by_model=lambda name: ["openai", "laion2b-x", "gone"],
    )
    monkeypatch.setitem(sys.modules, "open_clip", stand_in)
    return asked


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("open_clip:RN50:openai", ("RN50", "openai")),
        ("open_clip:ViT-B/32:laion2b_x", ("ViT-B-32", "laion2b_x")),
        ("open_clip:hf-hub:org/name", ("hf-hub:org/name", None)),
    ],
)
def test_names(package: list[tuple[Any, ...]], name: str, asked: tuple[Any, ...]) -> None:
    model = load_model(name)
    assert isinstance(model, OpenClipBackbone)
    assert model.name == name
    assert package == [asked]


def test_a_file_of_weights(package: list[tuple[Any, ...]], tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"")
    load_open_clip(f"open_clip:RN50:{tmp_path / 'a.pt'}")
    assert package == [("RN50", str(tmp_path / "a.pt"))]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("open_clip:RN51:openai", "no architecture 'RN51'. Did you mean 'RN50'"),
        ("open_clip:RN50", "say which weights of RN50, as in 'open_clip:RN50:openai'"),
        ("open_clip:RN50:other", "there is no file 'other'"),
        ("open_clip:RN50:gone", r"cannot load 'open_clip:RN50:gone' \(no network\)"),
    ],
)
def test_bad_names(package: list[tuple[Any, ...]], name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_model(name)


def test_where_towers_are_needed(package: list[tuple[Any, ...]]) -> None:
    with pytest.raises(UserError, match="would offer pooled features only"):
        load_clip("open_clip:RN50:openai")
    with pytest.raises(UserError, match="comes with its own tokenizer"):
        load_model("open_clip:RN50:openai", tokenizer="a.json")
    assert not package


def test_without_open_clip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UserError, match=r"pip install 'trifocal\[open-clip\]'"):
        load_model("open_clip:RN50:openai")
    monkeypatch.delitem(sys.modules, "open_clip")
    (tmp_path / "open_clip.py").write_text("raise RuntimeError('torchvision::nms is not there')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"cannot be imported \(torchvision::nms is not there\)"):
        load_model("open_clip:RN50:openai")


# Against open_clip


TOWERS = {
    "resnet": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "both-ways": {
        "embed_dim": 16,
        "custom_text": True,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
        "text_cfg": {
            "context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
            "no_causal_mask": True, "pool_type": "last",
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", TOWERS)
def test_embeddings_equal_open_clip(open_clip: ModuleType, tmp_path: Path, kind: str) -> None:
    name = f"trifocal-{kind}"
    (tmp_path / f"{name}.json").write_text(json.dumps(TOWERS[kind]))
    open_clip.add_model_config(tmp_path / f"{name}.json")
    torch.manual_seed(0)
    weights = tmp_path / "weights.pt"
    torch.save(open_clip.create_model(name).state_dict(), weights)
    theirs, _, transform = open_clip.create_model_and_transforms(name, pretrained=str(weights))
    ours = load_model(f"open_clip:{name}:{weights}")
    with torch.no_grad():
        pixels = torch.stack([transform(photo) for photo in photos()])
        images = theirs.eval().encode_image(pixels, normalize=True)
        texts = theirs.encode_text(open_clip.get_tokenizer(name)(TEXTS), normalize=True)
    assert (encode_images(ours, photos()) - images).abs().max() <= 1e-5
    assert (encode_texts(ours, TEXTS, batch_size=1) - texts).abs().max() <= 1e-5
    assert ours.embed_dim == 16
    assert torch.allclose(ours.logit_scale, theirs.logit_scale.exp())


@pytest.mark.slow
def test_rn50(open_clip: ModuleType) -> None:
    model = open_clip.create_model("RN50")
    ours = OpenClipBackbone(model, open_clip.get_tokenizer("RN50"), "open_clip:RN50:random")
    assert encode_images(ours, photos(2)).shape == (2, 1024)
    assert encode_texts(ours, TEXTS).shape == (3, 1024)
    assert (ours.embed_dim, ours.image_size) == (1024, (224, 224))
