"""Checkpoints in and out, and one sentence for each that is none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

from tests.clip.conftest import CAPTIONS, TINY
from trifocal.clip import (
    Clip,
    Preprocess,
    Tokenizer,
    build_clip,
    checkpoint,
    hub,
    load_clip,
    save_open_clip,
    save_pretrained,
    writing,
)
from trifocal.clip import (
    open_clip as layout,
)
from trifocal.clip.names import PUBLISHED, Published
from trifocal.errors import UserError


def same(first: Clip, second: Clip) -> bool:
    """Whether weights, activation, preprocessing and tokenizer are the same."""
    return (
        first.fingerprint() == second.fingerprint()
        and first.tokenizer.backend.to_str() == second.tokenizer.backend.to_str()
        and first.context_length == second.context_length
    )


@pytest.fixture
def special_clip(tiny_tokenizer: Tokenizer) -> Clip:
    """A tiny Clip in which nothing is a default."""
    preprocess = Preprocess(
        (24, 40), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), interpolation="bilinear", resize="squash"
    )
    tokenizer = Tokenizer(tiny_tokenizer.backend, cleaning="none")
    return build_clip(replace(TINY, activation="gelu"), tokenizer, preprocess, seed=3)


# --- round trips ----------------------------------------------------------------------------


def test_folder_round_trip(special_clip: Clip, tmp_path: Path) -> None:
    save_pretrained(special_clip, tmp_path / "a")
    loaded = load_clip(tmp_path / "a")
    assert same(loaded, special_clip)
    assert loaded.preprocess == special_clip.preprocess
    assert loaded.tokenizer.cleaning == "none"
    assert loaded.name == str(tmp_path / "a")
    assert not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())
    with pytest.raises(UserError, match="already has content"):
        loaded.save_pretrained(tmp_path / "a")
    loaded.save_pretrained(tmp_path / "a", force=True)  # over itself
    assert same(load_clip(tmp_path / "a" / "model.safetensors"), special_clip)
    assert {p.name for p in tmp_path.iterdir()} == {"a"}


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors", "folder"])
def test_open_clip_round_trip(special_clip: Clip, tmp_path: Path, name: str) -> None:
    save_open_clip(special_clip, tmp_path / name)
    prefix = "local-dir:" if name == "folder" else ""
    loaded = load_clip(f"{prefix}{tmp_path / name}")  # whose vocabulary is its own
    assert same(loaded, special_clip)
    save_pretrained(loaded, tmp_path / "again")
    assert same(load_clip(tmp_path / "again"), special_clip)


def test_from_transformers_to_open_clip_and_back_is_bit_equal(
    tiny_clip: Clip, tmp_path: Path
) -> None:
    save_pretrained(tiny_clip, tmp_path / "a")
    save_open_clip(load_clip(tmp_path / "a"), tmp_path / "b.safetensors")
    middle = load_clip(tmp_path / "b.safetensors", tokenizer=tmp_path / "a")
    save_pretrained(middle, tmp_path / "c")
    first, last = (load_file(tmp_path / x / "model.safetensors") for x in "ac")
    assert first.keys() == last.keys()
    assert all(first[key].equal(last[key]) for key in first)
    save_open_clip(middle, tmp_path / "d.safetensors")
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "d.safetensors").read_bytes()


def test_plain_transformers_reads_what_we_save(tiny_clip: Clip, tmp_path: Path) -> None:
    tiny_clip.save_pretrained(tmp_path / "a")
    network, info = CLIPModel.from_pretrained(tmp_path / "a", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    inputs = tokenizer(CAPTIONS, padding=True, truncation=True, return_tensors="pt")
    theirs = network.get_text_features(**inputs).pooler_output
    theirs = torch.nn.functional.normalize(theirs, dim=-1)
    assert torch.allclose(theirs, tiny_clip.encode_text(CAPTIONS).pooled, atol=1e-5)
    processor = CLIPImageProcessorPil.from_pretrained(tmp_path / "a")
    assert processor.crop_size["height"] == 32


def test_we_read_what_plain_transformers_saves(tiny_clip: Clip, tmp_path: Path) -> None:
    tiny_clip.network.save_pretrained(tmp_path)
    loaded = load_clip(tmp_path, tokenizer=tiny_clip.tokenizer)
    assert same(loaded, tiny_clip)
    processor = {"image_processor": {"image_mean": [0.5] * 3, "size": 32, "crop_size": 32}}
    (tmp_path / "processor_config.json").write_text(json.dumps(processor))
    loaded = load_clip(tmp_path, tokenizer=tiny_clip.tokenizer)
    assert loaded.preprocess.mean == (0.5, 0.5, 0.5)


def test_an_older_folder_with_position_ids_in_a_bin_file(tiny_clip: Clip, tmp_path: Path) -> None:
    save_pretrained(tiny_clip, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["text_model.embeddings.position_ids"] = torch.arange(20)[None]
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    assert same(load_clip(tmp_path), tiny_clip)


def test_half_precision_files_are_read_exactly(tiny_clip: Clip, tmp_path: Path) -> None:
    save_pretrained(tiny_clip.half(), tmp_path / "a")
    loaded = load_clip(tmp_path / "a")
    assert loaded.network.dtype == torch.float32
    assert loaded.half().fingerprint() == tiny_clip.fingerprint()


def test_a_loaded_clip_trains(tiny_clip: Clip, tmp_path: Path) -> None:
    save_open_clip(tiny_clip, tmp_path / "a.pt")
    loaded = load_clip(tmp_path / "a.pt", tokenizer=tiny_clip.tokenizer)
    loaded.encode_text(CAPTIONS).pooled.sum().backward()
    loaded.encode_image(torch.zeros(1, 3, 32, 32)).pooled.sum().backward()
    assert all(p.grad is not None for n, p in loaded.named_parameters() if "logit" not in n)
    buffers = dict(loaded.named_buffers())
    assert buffers["network.text_model.embeddings.position_ids"].tolist() == [list(range(20))]


# --- the activation is read, never guessed ----------------------------------------------------


@pytest.fixture
def bare_file(tiny_clip: Clip, tmp_path: Path) -> Path:
    """A published-style file: tensors alone, in a training wrapper, heads 64 wide."""
    shape = replace(TINY, vision_width=64, vision_heads=1, text_width=64, text_heads=1)
    clip = build_clip(shape, tiny_clip.tokenizer)
    state = layout.to_open_clip(clip.network.state_dict())
    path = tmp_path / "coco_fsc-clip-ViT-B-32.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    clip.tokenizer.save(tmp_path)
    return path


def test_a_bare_file_needs_the_activation(bare_file: Path) -> None:
    with pytest.raises(UserError, match=r"does not say whether.*'ViT-B-32-quickgelu:"):
        load_clip(bare_file)
    assert load_clip(bare_file, activation="quickgelu").activation == "quick_gelu"
    assert load_clip(bare_file, activation="gelu").activation == "gelu"
    # The architecture alone does not state it: in the field's names that has meant both.
    with pytest.raises(UserError, match="does not say whether"):
        load_clip(f"ViT-H-14:{bare_file}")
    assert load_clip(f"ViT-H-14-quickgelu:{bare_file}").activation == "quick_gelu"
    assert load_clip(f"ViT-H-14-gelu:{bare_file}").activation == "gelu"


def test_a_configuration_beside_a_file_tells_it(bare_file: Path) -> None:
    unrelated = bare_file.with_suffix(".json")
    unrelated.write_text('{"epoch": 5}')
    with pytest.raises(UserError, match="does not say whether"):
        load_clip(bare_file)
    described = {"model_cfg": {"quick_gelu": True, "vision_cfg": {}, "text_cfg": {}}}
    (bare_file.parent / "open_clip_config.json").write_text(json.dumps(described))
    assert load_clip(bare_file).activation == "quick_gelu"
    with pytest.raises(UserError, match="trained with quick_gelu, not with gelu"):
        load_clip(bare_file, activation="gelu")


def test_the_name_must_fit_the_weights(bare_file: Path, tiny_clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a ViT-B-32: its image size is 32, not 224"):
        load_clip(f"ViT-B-32-quickgelu:{bare_file}")
    with pytest.raises(UserError, match="says quick_gelu, but activation= says gelu"):
        load_clip(f"ViT-B-32-quickgelu:{bare_file}", activation="gelu")
    save_pretrained(tiny_clip, tmp_path / "a")
    with pytest.raises(UserError, match="not a ViT-B-16"):
        load_clip(f"ViT-B-16:{tmp_path / 'a'}")
    with pytest.raises(UserError, match="trained with quick_gelu, not with gelu"):
        load_clip(tmp_path / "a", activation="gelu")


# --- the Hub, without a network ---------------------------------------------------------------


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plays the Hub; fetched folders are returned as they are."""
    root = tmp_path / "hub"
    monkeypatch.setattr(hub, "fetch", lambda repo, names: root / repo)
    return root


def test_hub_ids(fake_hub: Path, tiny_clip: Clip) -> None:
    save_pretrained(tiny_clip, fake_hub / "org" / "model")
    for name in ("org/model", "hf-hub:org/model"):
        loaded = load_clip(name)
        assert same(loaded, tiny_clip)
        assert loaded.name == "org/model"


def test_pairs(fake_hub: Path, tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    save_pretrained(tiny_clip, fake_hub / "org" / "model")
    monkeypatch.setitem(checkpoint_shapes(), "ViT-B-32", TINY)
    half = (0.5, 0.5, 0.5)
    monkeypatch.setitem(
        PUBLISHED, ("ViT-B-32", "mine"), Published("org/model", "quick_gelu", half, half)
    )
    loaded = load_clip("ViT-B/32:mine")
    assert loaded.name == "ViT-B-32:mine"
    assert loaded.preprocess.mean == half
    monkeypatch.setitem(PUBLISHED, ("ViT-B-32", "mine"), Published("org/model", "gelu"))
    with pytest.raises(UserError, match="trained with quick_gelu, not with gelu"):
        load_clip("ViT-B-32:mine")


def checkpoint_shapes() -> dict:
    from trifocal.clip.reading import SHAPES

    return SHAPES


def test_a_published_activation_fills_a_silent_configuration(
    fake_hub: Path, tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake_hub / "org" / "model"
    save_open_clip(tiny_clip, folder)
    # The same folder may hold another library's files, which are not looked at.
    (folder / "config.json").write_text('{"architecture": "vit_base_patch32_clip_224"}')
    (folder / "model.safetensors").write_bytes(b"not ours")
    file = folder / "open_clip_config.json"
    described = json.loads(file.read_text())
    del described["model_cfg"]["quick_gelu"]
    file.write_text(json.dumps(described))
    assert load_clip("org/model").activation == "gelu"  # what open_clip means by silence
    monkeypatch.setitem(checkpoint_shapes(), "ViT-B-32", TINY)
    monkeypatch.setitem(PUBLISHED, ("ViT-B-32", "mine"), Published("org/model", "quick_gelu"))
    assert load_clip("ViT-B-32:mine").activation == "quick_gelu"


def test_builtin(tmp_path: Path, tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint.resources, "files", lambda _: tmp_path)
    with pytest.raises(UserError, match="built-in checkpoint is not in this installation"):
        load_clip("builtin")
    save_pretrained(tiny_clip, tmp_path / "world" / "base")
    loaded = load_clip("builtin")
    assert same(loaded, tiny_clip)
    assert loaded.name == "builtin"


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.pt", "no checkpoint at 'nowhere.pt'"),
        ("runs/nowhere.safetensors", "no checkpoint at"),
        ("./nowhere", "no checkpoint at"),
        ("", "no checkpoint at"),
        ("local-dir:nowhere", "no checkpoint at 'nowhere'"),
        ("ViT-B-32-quickgelu:runs/nowhere.pt", "no checkpoint at 'runs/nowhere.pt'"),
        ("ViT-B-32", "is an architecture; say which weights"),
        ("ViT-B-32:opnai", "Did you mean 'openai'"),
        ("RN50:openai", "'RN50' is not a known architecture"),
        ("hf-hub:what", "is not a Hub id"),
        ("ViT-B-32-gelu:openai", "was trained with quick_gelu"),
    ],
)
def test_names_of_nothing(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        load_clip(name)


def test_a_pair_with_the_wrong_activation_argument() -> None:
    with pytest.raises(UserError, match="trained with quick_gelu, not gelu"):
        load_clip("ViT-B-32:openai", activation="gelu")
    with pytest.raises(UserError, match="activation is 'relu'"):
        load_clip("ViT-B-32:openai", activation="relu")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pt", b"hello"),
        ("a.pt", b""),
        ("a.safetensors", b"hello world, this is no header"),
        ("a.safetensors", b""),
        ("a.txt", b"hello"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"is not a checkpoint|cannot be read as a checkpoint"):
        load_clip(tmp_path / name)


class Harmful:
    """Something a file must not be able to bring to life."""

    def __reduce__(self) -> tuple:
        return (print, ("this must never run",))


def test_code_in_a_file_never_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Harmful()}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="more than tensors"):
        load_clip(tmp_path / "a.pt", activation="gelu")
    assert capsys.readouterr().out == ""


def test_other_models(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "resnet.safetensors")
    with pytest.raises(UserError, match=r"not a CLIP with a vision transformer.*'fc.weight'"):
        load_clip(tmp_path / "resnet.safetensors", activation="gelu")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(UserError, match="no table of tensors"):
        load_clip(tmp_path / "list.pt", activation="gelu")
    (tmp_path / "siglip").mkdir()
    (tmp_path / "siglip" / "config.json").write_text('{"model_type": "siglip"}')
    with pytest.raises(UserError, match="'siglip' model, not a CLIP"):
        load_clip(tmp_path / "siglip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no config\.json"):
        load_clip(tmp_path / "empty")


def test_damaged_folders(tiny_clip: Clip, tmp_path: Path) -> None:
    def damaged(name: str) -> Path:
        folder = tmp_path / name
        save_pretrained(tiny_clip, folder)
        return folder

    folder = damaged("weights")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no weights \(model.safetensors"):
        load_clip(folder)

    folder = damaged("truncated")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        load_clip(folder)

    folder = damaged("config")
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        load_clip(folder)

    folder = damaged("strange")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = "wide"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config\.json of .* is not a CLIP's"):
        load_clip(folder)

    folder = damaged("tokenizer")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="without a tokenizer"):
        load_clip(folder)

    for change, message in (
        ({"text_projection.weight": torch.zeros(3, 3)}, r"has shape \(3, 3\), not \(24, 32\)"),
        ({"extra": torch.zeros(1)}, "unknown tensor 'extra'"),
        ({"logit_scale": None}, "lacks 'logit_scale'"),
    ):
        folder = damaged(f"tensors-{next(iter(change))}")
        state: dict = {**load_file(folder / "model.safetensors"), **change}
        state = {key: value for key, value in state.items() if value is not None}
        save_file(state, folder / "model.safetensors")
        with pytest.raises(UserError, match=message):
            load_clip(folder)


def test_the_wrong_tokenizer(bare_file: Path, clip_tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="49408 ids but the text tower 560"):
        load_clip(bare_file, activation="gelu", tokenizer=clip_tokenizer)


def test_only_plain_towers_are_saved(tiny_clip: Clip, tmp_path: Path) -> None:
    tiny_clip.network.text_projection.extra = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(UserError, match=r"'text_projection\.extra'.*only low-rank updates"):
        save_pretrained(tiny_clip, tmp_path / "a")
    with pytest.raises(UserError, match="only low-rank updates"):
        save_open_clip(tiny_clip, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"should end in \.pt or \.safetensors"):
        save_open_clip(tiny_clip, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_folder(
    tiny_clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pretrained(tiny_clip, tmp_path / "a")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "save_file", full)
    with pytest.raises(UserError, match="No space"):
        save_pretrained(tiny_clip, tmp_path / "a", force=True)
    assert same(load_clip(tmp_path / "a"), tiny_clip)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    shutil.rmtree(tmp_path / "a")


@pytest.mark.parametrize("content", [None, 3, {}, {"cleaning": "openai", "content": {"model": 1}}])
def test_a_vocabulary_beside_a_file_that_is_none(
    tiny_clip: Clip, tmp_path: Path, content: object
) -> None:
    save_open_clip(tiny_clip, tmp_path / "a.safetensors")
    facts = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps({**facts, "tokenizer": content}))
    with pytest.raises(UserError, match="no tokenizer"):
        load_clip(tmp_path / "a.safetensors")


def test_others_may_read_what_is_written(tiny_clip: Clip, tmp_path: Path) -> None:
    save_open_clip(tiny_clip, tmp_path / "a.safetensors")
    save_open_clip(tiny_clip, tmp_path / "a")
    save_pretrained(tiny_clip, tmp_path / "b")
    (tmp_path / "plain").touch()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len({path.stat().st_mode for path in files}) == 1
