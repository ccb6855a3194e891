"""What is exported gives the same numbers where it is used, without this package there."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import trifocal
from trifocal.api import onnx_files
from trifocal.api.exporting import FORMATS, check_export, export
from trifocal.cli import main
from trifocal.clip import Clip, load_clip
from trifocal.composition import FscClip, FscClipConfig
from trifocal.concepts.head_files import load_head
from trifocal.concepts.head_registry import HEADS
from trifocal.errors import UserError
from trifocal.regions import Rca, RcaConfig
from trifocal.tuning import load_model

TEXTS = ["a red ball to the left of a blue box", "a dog"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, shade in (("dark", 40), ("light", 200)):
        for number in range(4):
            path = folder / name / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            pixels = rng.normal(shade, 20, (60, 50, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(path)
    return folder


def run_onnx(path: Path, **inputs: Any) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(value) for name, value in inputs.items()})


@pytest.mark.parametrize("out", ["folder", "file.pt", "file.safetensors"])
def test_open_clip_is_loaded_back(tiny_clip: Clip, tmp_path: Path, out: str) -> None:
    found = trifocal.load(export(tiny_clip, tmp_path / out, "open_clip"))
    assert torch.equal(found.encode_texts(TEXTS), trifocal.load(tiny_clip).encode_texts(TEXTS))


def test_open_clip_embeds_the_same(open_clip: ModuleType, tiny_clip: Clip, tmp_path: Path) -> None:
    place = f"local-dir:{export(tiny_clip, tmp_path / 'mine', 'open_clip')}"
    theirs, _, prepared = open_clip.create_model_and_transforms(place)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 40, 3), np.uint8))
    with torch.no_grad():
        texts = theirs.eval().encode_text(open_clip.get_tokenizer(place)(TEXTS), normalize=True)
        image = theirs.encode_image(prepared(picture)[None], normalize=True)[0]
    ours = trifocal.load(tiny_clip)
    np.testing.assert_allclose(texts, ours.encode_texts(TEXTS), atol=1e-5)
    np.testing.assert_allclose(image, ours.encode_image(picture), atol=1e-5)


def test_sentence_transformers_embeds_texts_and_pictures(tiny_clip: Clip, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    export(tiny_clip, tmp_path / "mine", "sentence-transformers")
    theirs = SentenceTransformer(str(tmp_path / "mine"), device="cpu")
    ours = trifocal.load(tiny_clip)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 40, 3), np.uint8))
    np.testing.assert_allclose(theirs.encode(TEXTS), ours.encode_texts(TEXTS), atol=1e-5)
    # With torchvision there, transformers resizes with it, and rounds otherwise.
    close = 1e-3 if importlib.util.find_spec("torchvision") else 1e-5
    np.testing.assert_allclose(theirs.encode([picture]), ours.encode_images([picture]), atol=close)


@pytest.mark.slow  # torch.export and two graphs
def test_towers_as_onnx(tiny_clip: Clip, tmp_path: Path, photos: Path) -> None:
    export(tiny_clip, tmp_path / "mine", "onnx")
    ours = trifocal.load(tiny_clip)
    ids = tiny_clip.tokenizer(TEXTS, length=tiny_clip.context_length).ids
    (found,) = run_onnx(tmp_path / "mine" / "text.onnx", input_ids=ids)
    np.testing.assert_allclose(found, ours.encode_texts(TEXTS), atol=onnx_files.TOLERANCE)
    paths = sorted(photos.rglob("*.png"))
    pixels = torch.stack([tiny_clip.preprocess(Image.open(path)) for path in paths])
    normal = tiny_clip.preprocess.normalize(pixels)
    (found,) = run_onnx(tmp_path / "mine" / "image.onnx", pixel_values=normal)
    np.testing.assert_allclose(found, ours.encode_images(paths), atol=onnx_files.TOLERANCE)
    facts = json.loads((tmp_path / "mine" / "onnx.json").read_text())
    assert facts["embed_dim"] == tiny_clip.embed_dim
    modes = {path.stat().st_mode for path in (tmp_path / "mine").iterdir()}
    assert len(modes) == 1


@pytest.mark.slow  # torch.export
def test_a_classifier_runs_on_the_processor_of_transformers(photos: Path, tmp_path: Path) -> None:
    fitted, out = str(tmp_path / "fitted"), str(tmp_path / "onnx")
    quiet = ["--model", "builtin", "--views", "0", "--quiet"]
    assert main(["classify", "fit", str(photos), "--method", "gda", "--out", fitted, *quiet]) == 0
    assert main(["export", fitted, "--to", "onnx", "--out", out]) == 0
    # From here on nothing of this package is used.
    from transformers import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil.from_pretrained(out)
    paths = sorted(photos.rglob("*.png"))
    pictures = [Image.open(path) for path in paths]
    pixels = processor(images=pictures, return_tensors="np")["pixel_values"]
    _, chances = run_onnx(Path(out, "classifier.onnx"), pixel_values=pixels)
    classes = json.loads(Path(out, "onnx.json").read_text())["classes"]
    assert [classes[place] for place in chances.argmax(1)] == [path.parent.name for path in paths]
    # And here it is compared.
    head, clip = load_head(fitted, HEADS).head, load_clip("builtin")
    normal = clip.preprocess.normalize(torch.stack([clip.preprocess(one) for one in pictures]))
    with torch.no_grad():
        wanted = head.predict_proba(clip.image_features(normal))
    np.testing.assert_allclose(chances, wanted, atol=2e-2)  # half pixels are rounded otherwise
    _, same = run_onnx(Path(out, "classifier.onnx"), pixel_values=normal)
    np.testing.assert_allclose(same, wanted, atol=onnx_files.TOLERANCE)


@pytest.mark.slow  # torch.export
def test_the_image_tower_of_rca_as_onnx(tiny_clip: Clip, tmp_path: Path) -> None:
    import copy

    method = Rca(copy.deepcopy(tiny_clip), RcaConfig())
    method.save(tmp_path / "rca")
    clip = load_model(tmp_path / "rca", base=copy.deepcopy(tiny_clip))
    with pytest.raises(UserError, match="only low-rank updates can be merged"):
        export(clip, tmp_path / "plain", "transformers")
    export(clip, tmp_path / "mine", "onnx")
    height, width = onnx_files.shown_size(clip)
    pixels = torch.randn(4, 3, height, width)
    (found,) = run_onnx(tmp_path / "mine" / "image.onnx", pixel_values=pixels)
    with torch.no_grad():
        wanted = clip.encode_image(pixels).pooled
    np.testing.assert_allclose(found, wanted, atol=onnx_files.TOLERANCE)


@pytest.mark.parametrize("to", ["open_clip", "sentence-transformers"])
def test_adaptations_go_where_they_can_be_merged(tiny_clip: Clip, tmp_path: Path, to: str) -> None:
    lora = FscClip(copy.deepcopy(tiny_clip), FscClipConfig(tuning="lora"))
    with torch.no_grad():
        for parameter in (one for one in lora.parameters() if one.requires_grad):
            parameter.add_(0.02)
    lora.save(tmp_path / "lora")
    tuned = load_model(tmp_path / "lora", base=copy.deepcopy(tiny_clip))
    wanted = trifocal.load(tuned).encode_texts(TEXTS)
    assert (wanted - trifocal.load(tiny_clip).encode_texts(TEXTS)).abs().max() > 1e-3
    out = export(tuned, tmp_path / "lora-out", to)
    if to == "open_clip":
        found = trifocal.load(out).encode_texts(TEXTS)
    else:
        from sentence_transformers import SentenceTransformer

        found = SentenceTransformer(str(out), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    Rca(copy.deepcopy(tiny_clip), RcaConfig()).save(tmp_path / "rca")
    adapted = load_model(tmp_path / "rca", base=copy.deepcopy(tiny_clip))
    with pytest.raises(UserError, match="only low-rank updates can be merged"):
        export(adapted, tmp_path / "rca-out", to)
    assert not (tmp_path / "rca-out").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_is_replaced(tmp_path: Path, to: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"letter\.txt"):
        check_export(tmp_path / "mine", to)
    if to != "open_clip":
        with pytest.raises(UserError, match="writes a folder"):
            check_export(tmp_path / "mine.onnx", to)


def test_a_format_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'onyx'.*'onnx'"):
        export("builtin", tmp_path / "a", "onyx")  # type: ignore[arg-type]
