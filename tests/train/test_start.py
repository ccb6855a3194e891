"""The three ways to begin: with a CLIP, with an image tower, with nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModel

from trifocal.clip import ClipShape, load_clip
from trifocal.clip.own_clip import TextShape
from trifocal.data.captions import CaptionData
from trifocal.errors import UserError
from trifocal.train.build import METHODS, run
from trifocal.train.engine import Outcome
from trifocal.train.recipe import ModelRecipe, Recipe, load_recipe
from trifocal.train.start import build_model
from trifocal.world.source import WorldData

TOWER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1,
    "image_size": 32, "patch_size": 16,
}  # fmt: skip
TEXT = TextShape(width=32, layers=1, heads=1, context_length=16, vocab_size=530)


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tower")
    torch.manual_seed(0)
    CLIPVisionModel(CLIPVisionConfig(**TOWER)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve photos with two captions each, one of them broken."""
    folder, draws = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    rows = []
    for index in range(12):
        pixels = draws.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels // 2 + 10 * index).save(folder / f"{index}.png")
        texts = [f"photo number {index}", f"a picture called {index}"]
        rows.append({"filename": f"{index}.png", "sentences": [{"raw": text} for text in texts]})
    (folder / "5.png").write_bytes(b"broken")
    (folder / "captions.json").write_text(json.dumps({"images": rows}))
    return folder


def around(tower, photos, **model) -> Recipe:
    settings = {"vision": tower, "pixels": "openai", "text": TEXT, "vocabulary": "data", **model}
    data = CaptionData(path=str(photos / "captions.json"), crop=None, bad_image_share=0.5)
    return Recipe(name="own", model=ModelRecipe(**settings), data=data)


def test_a_clip_is_built_around_a_tower(tower, photos):
    clip = build_model(around(tower, photos))
    assert (clip.name, clip.embed_dim, clip.context_length) == ("own", 32, 16)
    assert 514 < clip.tokenizer.vocab_size <= 530
    theirs = CLIPVisionModel.from_pretrained(tower).state_dict()
    ours = clip.network.state_dict()
    for name, tensor in theirs.items():
        if not name.endswith("position_ids"):
            assert torch.equal(ours[f"vision_model.{name.removeprefix('vision_model.')}"], tensor)


def test_a_vocabulary_that_is_not_to_be_had(tower, photos, monkeypatch):
    for place in ("_installed", "_from_hub"):
        monkeypatch.setattr(f"trifocal.clip.vocabulary.{place}", lambda: None)
    with pytest.raises(UserError, match=r"Or set model\.vocabulary to the folder"):
        build_model(around(tower, photos, vocabulary="clip"))


def test_a_vocabulary_may_be_named(tower, photos, tmp_path):
    tokenizer = load_clip("builtin").tokenizer
    tokenizer.save(tmp_path)
    clip = build_model(around(tower, photos, vocabulary=str(tmp_path)))
    assert clip.tokenizer.encode("a red ball") == tokenizer.encode("a red ball")[:16]


def test_outputs_are_standardized_over_the_data(tower, photos):
    recipe = around(tower, photos, standardize=100)
    clip, again = build_model(recipe), build_model(recipe)
    assert clip.fingerprint() == again.fingerprint()
    pixels = [clip.preprocess(Image.open(photos / f"{i}.png")) for i in range(12) if i != 5]
    with torch.inference_mode():
        features = clip.image_features(torch.stack(pixels), projected=False)
    assert features.mean(0).abs().max() < 0.05  # the statistics are rounded
    assert (features.std(0) - 1).abs().max() < 0.1


def test_the_run_leaves_the_tower_and_saves_a_clip(tower, photos, tmp_path):
    words = [
        "--output", str(tmp_path), "--batch_size", "4", "--workers", "0", "--schedule.steps", "2",
        "--method", "finetune", "--method.tuning", "text", "--data.path", str(photos / "captions.json"),
        "--data.bad_image_share", "0.5", "--model.vision", tower, "--model.pixels", "openai",
        "--model.text", "{width: 32, layers: 1, heads: 1, context_length: 16}",
        "--model.vocabulary", "data", "--model.standardize", "8", "--data.source", "captions",
    ]  # fmt: skip
    recipe = load_recipe(None, words, METHODS)
    outcome = run(recipe)
    assert isinstance(outcome, Outcome)
    trained = load_clip(outcome.folder / "model").network.state_dict()
    begun = build_model(recipe).network.state_dict()
    for name, tensor in trained.items():
        kept = name.startswith("vis")
        assert torch.equal(tensor, begun[name]) == kept or "k_proj.bias" in name, name
    assert run(recipe).step == 2  # it is found finished, and the same base


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"vision": "x", "shape": ClipShape()}, "both vision and shape"),
        ({"vision": "x", "fresh_text": True}, "fresh_text"),
        ({"shape": ClipShape(), "fresh_text": True}, "fresh_text"),
        ({"standardize": 5}, r"model\.standardize"),
        ({"text": TEXT}, r"model\.text"),
        ({"vocabulary": "data"}, r"model\.vocabulary"),
        ({"vision": "x", "embed_dim": 0}, r"model\.embed_dim"),
    ],
)
def test_ways_that_contradict_are_refused(model, reason):
    with pytest.raises(UserError, match=reason):
        ModelRecipe(**model)


def test_a_model_from_nothing_learns_its_vocabulary():
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=1,
        text_width=32, text_layers=1, text_heads=1, embed_dim=16, vocab_size=520, context_length=16,
    )  # fmt: skip
    recipe = Recipe(name="new", model=ModelRecipe(shape=shape), data=WorldData(size=20))
    assert build_model(recipe).tokenizer.vocab_size <= 520
