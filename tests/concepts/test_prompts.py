"""Templates and class names of the field, and the two orders of averaging prompts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from trifocal.clip import encode
from trifocal.concepts.datasets.coop import DATASETS
from trifocal.concepts.prompts import (
    IMAGENET_TEMPLATES,
    IMAGENETS,
    PHOTO,
    class_name,
    class_text,
    ensemble,
    templates,
)
from trifocal.errors import UserError

TWO_PROMPTS = torch.tensor([[3, 4, 0], [0, 0, 2]], dtype=torch.float64)


def test_each_prompt_made_unit_first() -> None:
    expected = torch.tensor([0.424264069, 0.565685425, 0.707106781], dtype=torch.float64)
    torch.testing.assert_close(ensemble(TWO_PROMPTS), expected, atol=1e-9, rtol=0)


def test_mean_of_prompts_as_they_are() -> None:
    mean = ensemble(TWO_PROMPTS, "taskres")
    assert mean.tolist() == [1.5, 2.0, 1.0]
    expected = torch.tensor([0.557086015, 0.742781353, 0.371390676], dtype=torch.float64)
    torch.testing.assert_close(normalize(mean, dim=0), expected, atol=1e-9, rtol=0)


def test_views_of_a_picture_are_averaged_as_they_are() -> None:
    views = torch.tensor([[2.0, 0, 0], [0, 1, 0]], dtype=torch.float64)
    expected = torch.tensor([0.894427191, 0.447213595, 0], dtype=torch.float64)
    got = normalize(ensemble(views, "taskres"), dim=0)
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 100))
def test_classes_do_not_mix(classes: int, count: int, seed: int) -> None:
    raw = torch.randn(classes, count, 8, generator=torch.Generator().manual_seed(seed))
    for order in ("tip", "taskres"):
        together = ensemble(raw, order)
        assert together.shape == (classes, 8)
        for row, one in zip(together, raw, strict=True):
            torch.testing.assert_close(row, ensemble(one, order))
    torch.testing.assert_close(ensemble(raw).norm(dim=-1), torch.ones(classes))
    if count == 1:  # with one prompt the orders differ in length only
        torch.testing.assert_close(normalize(ensemble(raw, "taskres"), dim=-1), ensemble(raw))


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(UserError, match="no order 'clap'"):
        ensemble(TWO_PROMPTS, "clap")  # type: ignore[arg-type]


def test_imagenet_has_as_many_templates_as_the_protocol_says() -> None:
    for name in IMAGENETS:
        assert len(templates(name)) == 7
        assert templates(name, "coop") == ("a photo of a {}.",)
        assert templates(name, "taskres") == templates(name) + PHOTO
    assert templates("imagenet")[0] == "itap of a {}."


def test_other_data_sets_have_one_template() -> None:
    for name in (*DATASETS, "pacs"):
        if name != "imagenet":
            assert len({templates(name, one) for one in ("tip", "coop", "taskres")}) == 1
            assert len(templates(name)) == 1
        assert templates(name, "clip-lora") == PHOTO
    assert templates("dtd") == ("{} texture.",)
    assert templates("food101") == ("a photo of {}, a type of food.",)
    assert templates("caltech101") == templates("my folder") == PHOTO
    for texts in (*map(templates, DATASETS), *IMAGENET_TEMPLATES.values()):
        assert all(text.count("{}") == 1 for text in texts)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(UserError, match=r"no prompt protocol 'copp'.*Did you mean 'coop'"):
        templates("imagenet", "copp")  # type: ignore[arg-type]


def test_class_names_are_said_as_the_field_says_them() -> None:
    assert class_name("AnnualCrop", "eurosat") == "Annual Crop Land"
    assert class_name("SeaLake", "eurosat") == "Sea or Lake"
    assert class_name("Annual Crop Land", "eurosat") == "Annual Crop Land"
    assert class_name("Faces", "caltech101") == "face"
    assert class_name("Apply_Eye_Makeup", "ucf101") == "Apply Eye Makeup"


def test_class_texts_are_ensembles_of_a_models_features(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def features(model: object, texts: list[str]) -> torch.Tensor:
        asked.extend(texts)
        return torch.tensor([[len(text), text.count("cat"), 1.0] for text in texts])

    monkeypatch.setattr(encode, "text_features", features)
    two = ["a {}.", "the {}"]
    got = class_text(None, ["cat", "emu bird"], two)
    assert asked == ["a cat.", "the cat", "a emu bird.", "the emu bird"]
    raw = features(None, asked[:4]).reshape(2, 2, 3)
    torch.testing.assert_close(got, ensemble(raw))
    torch.testing.assert_close(class_text(None, ["cat", "emu bird"], two, "taskres"), raw.mean(1))


def test_class_texts_need_names_and_templates() -> None:
    with pytest.raises(UserError, match="at least one class name"):
        class_text(None, [], PHOTO)
    with pytest.raises(UserError, match="one template"):
        class_text(None, ["cat"], ())
    with pytest.raises(UserError, match="'a photo' has no place"):
        class_text(None, ["cat"], ["a photo"])
