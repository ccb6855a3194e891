"""Folders as people have them: read as plain transformers reads them, or refused in a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel, CLIPTokenizer

from tests.clip.conftest import CAPTIONS
from trifocal.clip import Clip, load_clip, open_clip, save_open_clip, save_pretrained
from trifocal.errors import UserError

TEXTS = [*CAPTIONS, "a <cat-toy> on a Zorp", "A RED CAT!", "zorp <CAT-TOY>", "word " * 30]
Edit = Callable[[Path], Any]


@pytest.fixture
def folder(tiny_clip: Clip, tmp_path: Path) -> Path:
    with torch.no_grad():  # drawn wide, so that every id and place shows
        generator = torch.Generator().manual_seed(0)
        for value in tiny_clip.network.parameters():
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    save_pretrained(tiny_clip, tmp_path / "clip")
    return tmp_path / "clip"


def state_of(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def keep(folder: Path, state: dict[str, Tensor]) -> None:
    save_file(
        {k: v.contiguous() for k, v in state.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def config(**changes: Any) -> Edit:
    """Change fields of config.json; `text__vocab_size` is one of text_config."""

    def edit(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        for name, value in changes.items():
            part, _, field = name.rpartition("__")
            (content[f"{part}_config"] if part else content)[field] = value
        (folder / "config.json").write_text(json.dumps(content))

    return edit


def cast(dtype: torch.dtype) -> Edit:
    return lambda folder: keep(folder, {k: v.to(dtype) for k, v in state_of(folder).items()})


def renamed(prefix: str) -> Edit:
    return lambda folder: keep(folder, {prefix + k: v for k, v in state_of(folder).items()})


def wider(rows: int) -> Edit:
    """Give the token embedding more rows."""

    def edit(folder: Path) -> None:
        state, key = state_of(folder), "text_model.embeddings.token_embedding.weight"
        more = torch.randn(rows, state[key].shape[1], generator=torch.Generator().manual_seed(1))
        keep(folder, {**state, key: torch.cat([state[key], more])})
        config(text__vocab_size=len(state[key]) + rows)(folder)

    return edit


def shard(name: str) -> Edit:
    def edit(folder: Path) -> None:
        state, stem = state_of(folder), name.split(".")[0]
        suffix = name.removeprefix(stem)
        (folder / "model.safetensors").unlink()
        keys, places = sorted(state), {}
        for number in (1, 2):
            file = f"{stem}-0000{number}-of-00002{suffix}"
            part = {k: state[k] for k in keys[number - 1 :: 2]}
            if suffix == ".bin":
                torch.save(part, folder / file)
            else:
                save_file(part, folder / file, metadata={"format": "pt"})
            places.update(dict.fromkeys(part, file))
        index = {"metadata": {"total_size": 1}, "weight_map": places}
        (folder / f"{name}.index.json").write_text(json.dumps(index))

    return edit


def added(folder: Path) -> None:
    """Added tokens as transformers writes them, and a row for each."""
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<cat-toy>", "Zorp"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<img>"]})
    tokenizer.save_pretrained(folder)
    wider(3)(folder)


def legacy(folder: Path) -> None:
    """A tokenizer in the files of old: vocab.json, merges.txt, added_tokens.json."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (folder / "added_tokens.json").write_text(json.dumps({"<cat-toy>": len(model["vocab"])}))
    wider(1)(folder)


def decoder(folder: Path) -> None:
    """Added tokens that only tokenizer_config.json names."""
    file = folder / "tokenizer_config.json"
    content = json.loads(file.read_text())
    token = {"single_word": False, "lstrip": False, "rstrip": False}
    token |= {"content": "<cat-toy>", "normalized": False, "special": True}
    size = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    file.write_text(json.dumps({**content, "added_tokens_decoder": {str(size): token}}))
    wider(1)(folder)


def positions_in_a_bin(folder: Path) -> None:
    state = {**state_of(folder), "text_model.embeddings.position_ids": torch.arange(20)[None]}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def old_config(folder: Path) -> None:
    """`text_config_dict` counts before `text_config`, as in configurations of 2022."""
    content = json.loads((folder / "config.json").read_text())
    content["text_config_dict"] = dict(content["text_config"])
    content["text_config"]["layer_norm_eps"] = 0.5
    (folder / "config.json").write_text(json.dumps(content))


def several(*edits: Edit) -> Edit:
    return lambda folder: [edit(folder) for edit in edits]


ACTING: dict[str, Edit] = {
    "plain": lambda _: None,
    "float16": cast(torch.float16),
    "bfloat16": cast(torch.bfloat16),
    "float16, stated": several(cast(torch.float16), config(dtype="float16")),
    "sharded": shard("model.safetensors"),
    "sharded .bin": shard("pytorch_model.bin"),
    "position_ids": positions_in_a_bin,
    "prefix of its class": renamed("clip."),
    "added tokens": added,
    "added tokens, old files": legacy,
    "added tokens in the config": decoder,
    "padded": wider(8),
    "eos 2": config(text__eos_token_id=2),
    "other projection widths": config(text__projection_dim=7, vision__projection_dim=9),
    "eager": config(attn_implementation="eager"),
    "dropout": config(text__attention_dropout=0.5, vision__attention_dropout=0.5),
    "activations": config(text__hidden_act="gelu_pytorch_tanh", vision__hidden_act="gelu"),
    "eps": config(text__layer_norm_eps=0.01, vision__layer_norm_eps=0.1),
    "heads": config(text__num_attention_heads=4, vision__num_attention_heads=8),
    "old config": old_config,
    "scale": config(logit_scale_init_value=1.0),
}


@pytest.mark.parametrize("case", ACTING)
def test_reads_as_transformers(folder: Path, case: str) -> None:
    ACTING[case](folder)
    clip = load_clip(folder)
    theirs = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    words = tokenizer(TEXTS, padding=True, truncation=True, max_length=20, return_tensors="pt")
    ours = clip.tokenize(TEXTS)
    for row, length, expected in zip(ours.ids, ours.lengths, words["input_ids"]):
        assert row[:length].tolist() == expected[:length].tolist()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        text = theirs.get_text_features(**words).pooler_output
        image = theirs.get_image_features(clip.preprocess.normalize(pixels)).pooler_output
        assert F.cosine_similarity(clip.encode_text(TEXTS).pooled, text).min() > 1 - 1e-5
        assert F.cosine_similarity(clip.encode_image(pixels).pooled, image).min() > 1 - 1e-5
        assert torch.allclose(clip.logit_scale, theirs.logit_scale.exp())
    shutil.rmtree(folder)
    save_pretrained(clip, folder)
    assert load_clip(folder).fingerprint() == clip.fingerprint()
    assert load_clip(folder).tokenizer.encode(TEXTS[4]) == clip.tokenizer.encode(TEXTS[4])


def test_another_kernel_gives_the_same_numbers(folder: Path) -> None:
    # transformers fails where the package of the stated kernel is not installed.
    before = load_clip(folder).encode_text(TEXTS).pooled
    config(attn_implementation="flash_attention_2")(folder)
    assert torch.allclose(load_clip(folder).encode_text(TEXTS).pooled, before, atol=1e-6)


# --- refused --------------------------------------------------------------------------------


def spoiled(key: str, value: float) -> Edit:
    def edit(folder: Path) -> None:
        state = state_of(folder)
        state[key].view(-1)[-1] = value
        keep(folder, state)

    return edit


def index(change: Callable[[dict[str, str]], Any]) -> Edit:
    def edit(folder: Path) -> None:
        shard("model.safetensors")(folder)
        file = folder / "model.safetensors.index.json"
        content = json.loads(file.read_text())
        content["weight_map"] = change(content["weight_map"])
        file.write_text(json.dumps(content))

    return edit


def doubled(folder: Path) -> None:
    shard("model.safetensors")(folder)
    first, second = sorted(folder.glob("model-*"))
    save_file({**load_file(second), **load_file(first)}, second)


def tokenizer_config(**changes: Any) -> Edit:
    def edit(folder: Path) -> None:
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return edit


SCALE, PROJECTION = "logit_scale", "visual_projection.weight"
REFUSED: dict[str, tuple[Edit, str]] = {
    "NaN": (spoiled(PROJECTION, float("nan")), r"'visual_projection\.weight'.*not finite"),
    "infinite": (spoiled(SCALE, float("inf")), "'logit_scale'.*not finite"),
    "overflown": (several(spoiled(PROJECTION, 1e6), cast(torch.float16)), "not finite"),
    "int8": (cast(torch.int8), "in int8.*before they were quantized"),
    "float8": (cast(torch.float8_e4m3fn), "float8_e4m3fn"),
    "quantized": (config(quantization_config={"quant_method": "x"}), "quantized"),
    "fewer embeddings than ids": (several(added, config(text__vocab_size=560)), "shape|ids up to"),
    "eos elsewhere": (config(text__eos_token_id=5), "eos_token_id 5.*ends texts with 559"),
    "no eos": (config(text__eos_token_id=None), "eos_token_id None"),
    "eos 2 and added tokens": (several(added, config(text__eos_token_id=2)), "largest id"),
    "another eos": (tokenizer_config(eos_token="</s>"), "eos_token '</s>'"),
    "activation": (config(text__hidden_act="gelo"), r"hidden_act 'gelo'.*Did you mean 'gelu'"),
    "heads": (config(text__num_attention_heads=5), r"config\.json"),
    "oblong": (config(vision__image_size=[32, 48]), "only square images"),
    "part of a patch": (config(vision__patch_size=7), "whole patches"),
    "a shard is missing": (
        several(
            shard("model.safetensors"),
            lambda folder: (folder / "model-00002-of-00002.safetensors").unlink(),
        ),
        "names model-00002-of-00002.safetensors, which is not there",
    ),
    "a shard elsewhere": (
        index(lambda m: dict.fromkeys(m, "../x.safetensors")),
        "not a file beside",
    ),
    "a shard of code": (index(lambda m: dict.fromkeys(m, "x.py")), "weights end in"),
    "an index of nothing": (index(lambda _: {}), "no weight_map"),
    "a tensor twice": (doubled, "two of its files hold"),
    "no scale": (
        lambda f: keep(f, {k: v for k, v in state_of(f).items() if k != SCALE}),
        "lacks 'logit_scale'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_in_a_sentence(folder: Path, case: str) -> None:
    edit, message = REFUSED[case]
    edit(folder)
    with pytest.raises(UserError, match=message) as caught:
        load_clip(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_a_tokenizer_with_more_ids_than_embeddings(folder: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<cat-toy>"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="makes ids up to 560, but the weights have embeddings for"):
        load_clip(folder)


# --- wrappers -------------------------------------------------------------------------------


def nested(*names: str) -> Callable[[Any], Any]:
    """Wrap in tables ("model_state_dict") and prefixes ("module."), the innermost first."""

    def wrap(content: Any) -> Any:
        for name in names:
            if name.endswith("."):
                content = {name + key: value for key, value in content.items()}
            else:
                content = {name: content, "epoch": 3, "optimizer": {"state": {0: {}}}}
        return content

    return wrap


WRAPPERS = [
    nested("model_state_dict"),
    nested("module.", "state_dict"),
    nested("_orig_mod.", "module.", "model"),
    nested("module.", "_orig_mod.", "model_state_dict"),
    nested("clip_model.", "module.", "model_state_dict", "checkpoint"),
    nested("model.", "state_dict"),
    nested("clip.", "_orig_mod.", "model.", "module.", "ema"),
    nested("state_dict", "model", "state_dict"),
]


@pytest.mark.parametrize("number", range(len(WRAPPERS)))
@pytest.mark.parametrize("layout", ["open_clip", "transformers"])
def test_wrappers_in_any_order(folder: Path, number: int, layout: str, tmp_path: Path) -> None:
    original, state = load_clip(folder), state_of(folder)
    if layout == "transformers":
        (folder / "model.safetensors").unlink()
        torch.save(WRAPPERS[number](state), folder / "pytorch_model.bin")
        loaded = load_clip(folder)
    else:
        save_open_clip(original, tmp_path / "b.pt")  # for the description beside it
        torch.save(WRAPPERS[number](open_clip.to_open_clip(state)), tmp_path / "b.pt")
        loaded = load_clip(tmp_path / "b.pt", tokenizer=original.tokenizer)
    assert loaded.fingerprint() == original.fingerprint()


def test_wrappers_inside_a_tower(folder: Path) -> None:
    state = state_of(folder)
    inner = {
        k.replace("layers.0.", "layers.0._checkpoint_wrapped_module."): v for k, v in state.items()
    }
    keep(folder, inner)
    assert load_clip(folder).network.state_dict()[SCALE].equal(state[SCALE])


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda s: {"state_dict": s, "ema": s}, r"several CLIPs \('state_dict', 'ema'\)"),
        (lambda s: {**nested("student.")(s), **nested("teacher.")(s)}, "several CLIPs"),
        (lambda s: {**nested("module.")(s), **s}, "twice"),
        (lambda s: {**nested("model.")(s), SCALE: s[SCALE]}, "'logit_scale' twice"),
        (
            lambda s: {**s, "prompt_learner.ctx": torch.zeros(4, 8)},
            "unknown tensor 'prompt_learner",
        ),
        (lambda s: nested("base_model.model.")({**s, "x.lora_A.weight": s[SCALE]}), "LoRA"),
    ],
)
def test_ambiguous_files(folder: Path, wrap: Callable[[Any], Any], message: str) -> None:
    state = state_of(folder)
    (folder / "model.safetensors").unlink()
    torch.save(wrap(state), folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=message):
        load_clip(folder)


def test_a_lone_file_in_transformers_layout(folder: Path, tmp_path: Path) -> None:
    torch.save(state_of(folder), tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"put its config\.json beside it.*pytorch_model\.bin"):
        load_clip(tmp_path / "a.pt", activation="gelu")


# --- open_clip's description ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("vision_cfg", {"pool_type": "avg"}, r"vision_cfg\.pool_type 'avg'"),
        ("vision_cfg", {"no_ln_pre": True}, "no_ln_pre True"),
        ("vision_cfg", {"act_kwargs": {"approximate": "tanh"}}, "act_kwargs"),
        ("vision_cfg", {"norm_kwargs": {"eps": 1e-6, "bias": False}}, "norm_kwargs"),
        ("vision_cfg", {"image_size": 48}, r"image_size 48, but the weights have 32"),
        ("vision_cfg", {"head_width": 7}, "head_width 7"),
        ("text_cfg", {"pool_type": "last"}, "pool_type 'last'"),
        ("text_cfg", {"no_causal_mask": True}, "no_causal_mask"),
        ("text_cfg", {"contxt_length": 20}, "Did you mean 'context_length'"),
        ("text_cfg", {"context_length": 77}, "context_length 77, but the weights have 20"),
        ("text_cfg", {"tokenizer_kwargs": {"clean": "canonicalize"}}, "tokenizer_kwargs"),
        ("preprocess_cfg", {"interpolaton": "bilinear"}, "Did you mean 'interpolation'"),
        ("preprocess_cfg", {"size": 48}, "48x48.*takes 32x32"),
        ("preprocess_cfg", {"mode": "L"}, "mode"),
        ("preprocess_cfg", {"std": [0, 1, 1]}, "std"),
    ],
)
def test_what_open_clip_would_do_otherwise_is_refused(
    folder: Path, tmp_path: Path, part: str, change: dict[str, Any], message: str
) -> None:
    save_open_clip(load_clip(folder), tmp_path / "b")
    file = tmp_path / "b" / "open_clip_config.json"
    content = json.loads(file.read_text())
    table = content[part] if part == "preprocess_cfg" else content["model_cfg"][part]
    table.update(change)
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        load_clip(tmp_path / "b")


def test_open_clip_takes_a_number_for_all_channels(folder: Path, tmp_path: Path) -> None:
    save_open_clip(load_clip(folder), tmp_path / "b")
    file = tmp_path / "b" / "open_clip_config.json"
    content = json.loads(file.read_text())
    content["preprocess_cfg"] |= {"mean": 0.5, "std": 0.25, "size": 32}
    content["model_cfg"]["text_cfg"]["norm_kwargs"] = {"eps": 0.01}
    file.write_text(json.dumps(content))
    clip = load_clip(tmp_path / "b")
    assert (clip.preprocess.mean, clip.preprocess.std) == ((0.5,) * 3, (0.25,) * 3)
    assert clip.network.config.text_config.layer_norm_eps == 0.01


def test_pictures_that_open_clip_cannot_prepare(folder: Path, tmp_path: Path) -> None:
    file = folder / "preprocessor_config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "size": {"shortest_edge": 40}}))
    with pytest.raises(UserError, match="open_clip cannot prepare pictures"):
        save_open_clip(load_clip(folder), tmp_path / "b.pt")
    assert not list(tmp_path.glob("b*"))
