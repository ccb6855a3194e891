"""Models: checkpoints of both layouts with all their files, tokenizers, adaptations, classifiers."""

from __future__ import annotations

import copy
import functools
import gzip
import io
import itertools
import json
import math
import tempfile
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save

from tests.fuzz.reader import Reader, Seed
from trifocal.api.head_classifier import HeadClassifier
from trifocal.clip import Clip, ClipShape, Preprocess, build_clip, load_clip, train_tokenizer
from trifocal.clip.bpe import byte_alphabet
from trifocal.clip.tokenizer import Tokenizer
from trifocal.clip.weights import read_json
from trifocal.clip.writing import save_open_clip
from trifocal.concepts.head_files import SavedHead, load_head
from trifocal.concepts.registry import HEADS
from trifocal.tuning.adaptation import load_model, save_adaptation
from trifocal.tuning.adapters import AdapterConfig
from trifocal.tuning.lora import LoraConfig
from trifocal.tuning.surgery import Surgery, operate

_FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "v0_1"


@functools.cache
def _clip() -> Clip:
    """A random CLIP of 8 px, as small as one can be."""
    tokenizer = train_tokenizer(["a red ball", "two cats"], 520, context_length=8)
    shape = ClipShape(
        image_size=8,
        patch_size=4,
        vision_width=8,
        vision_layers=1,
        vision_heads=2,
        text_width=8,
        text_layers=1,
        text_heads=2,
        embed_dim=4,
        vocab_size=tokenizer.vocab_size,
        context_length=8,
    )
    return build_clip(shape, tokenizer, Preprocess(size=(8, 8)), seed=0, name="tiny")


@functools.cache
def _transformers() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        _clip().save_pretrained(Path(folder) / "x")
        return {
            path.name: path.read_bytes()
            for path in sorted((Path(folder) / "x").iterdir())
            if path.name != "trifocal.json"
        }


def _folders(*changed: str) -> list[Seed]:
    """Return a folder of transformers, of which these files are changed."""
    files = _transformers()
    kept = {name: content for name, content in files.items() if name not in changed}
    return [Seed({name: files[name] for name in changed}, kept)]


def _split_folder() -> list[Seed]:
    """The same in two files with an index."""
    files = {name: x for name, x in _transformers().items() if name != "model.safetensors"}
    state = _clip().network.state_dict()
    parts = {"a.safetensors": sorted(state)[::2], "b.safetensors": sorted(state)[1::2]}
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    made = {
        file: save({name: state[name].contiguous() for name in held})
        for file, held in parts.items()
    }
    name = "model.safetensors.index.json"
    content = json.dumps(index).encode()
    return [Seed({name: content, "b.safetensors": made.pop("b.safetensors")}, {**files, **made})]


def _pickled() -> list[Seed]:
    """The weights as torch.save writes them."""
    files = {name: x for name, x in _transformers().items() if name != "model.safetensors"}
    file = io.BytesIO()
    torch.save(_clip().network.state_dict(), file)
    named = {"pytorch_model.pt": file.getvalue()}
    # Read by its other name; the ending tells how it is taken apart.
    return [Seed(named, files)]


def _read_pickled(file: Path) -> Clip:
    place = file.with_name("pytorch_model.bin")
    place.write_bytes(file.read_bytes())
    return load_clip(file.parent)


@functools.cache
def _open_clip() -> dict[str, bytes]:
    """Return open_clip's layout, as a file with its configuration, and a tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        save_open_clip(_clip(), Path(folder) / "w.safetensors")
        made = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    kept = ("tokenizer.json", "tokenizer_config.json")
    return {**made, **{name: _transformers()[name] for name in kept}}


def _open_clip_files() -> list[Seed]:
    files = dict(_open_clip())
    first = {name: files.pop(name) for name in ("w.safetensors", "w.json")}
    return [Seed(first, files)]


def _check_clip(clip: Clip) -> None:
    for tensor in clip.network.state_dict().values():
        assert bool(tensor.isfinite().all())
    assert clip.tokenizer.vocab_size > 2
    assert min(clip.preprocess.size) > 0
    assert min(clip.preprocess.std) > 0


def _preprocessing() -> list[Seed]:
    name = "preprocessor_config.json"
    older = {"size": 8, "crop_size": 8, "do_resize": True, "resample": 3, "image_mean": 0.5}
    return [Seed({name: x}) for x in (_transformers()[name], json.dumps(older).encode())]


def _read_preprocessing(file: Path) -> Preprocess:
    return Preprocess.from_dict(read_json(file) or {}, 8)


def _check_preprocessing(preprocess: Preprocess) -> None:
    assert 0 < min(preprocess.size) <= max(preprocess.size) <= 1 << 14
    assert all(map(math.isfinite, (*preprocess.mean, *preprocess.std)))
    if max(preprocess.size) < 100:
        assert bool(preprocess(Image.new("RGB", (9, 7))).isfinite().all())


def _tokenizers() -> list[Seed]:
    names = ("tokenizer.json", "tokenizer_config.json")
    model = json.loads(_transformers()["tokenizer.json"])["model"]
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in model["merges"])])
    start, end = len(model["vocab"]), len(model["vocab"]) + 1
    vocab = {**model["vocab"], "<|startoftext|>": start, "<|endoftext|>": end}
    decoder = {str(end + 1): {"content": "<new>", "special": False}}
    config = {"model_max_length": 8, "added_tokens_decoder": decoder, "bos_token": None}
    files = {
        "vocab.json": json.dumps(vocab).encode(),
        "merges.txt": merges.encode(),
        "tokenizer_config.json": json.dumps(config).encode(),
        "added_tokens.json": json.dumps({"<new>": end + 1}).encode(),
    }
    return [Seed({name: _transformers()[name] for name in names}), Seed(files)]


def _check_tokenizer(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("a red ball, déjà vu")
    assert ids[0] == tokenizer.sot_id
    assert ids[-1] == tokenizer.eot_id
    assert len(ids) <= tokenizer.context_length
    assert isinstance(tokenizer.decode(ids), str)


def _vocabulary() -> list[Seed]:
    """A file in the form of OpenAI's, with as many merges."""
    pairs = itertools.islice(itertools.product(byte_alphabet(), repeat=2), 48_894)
    lines = "\n".join(["#version", *(" ".join(pair) for pair in pairs)])
    return [Seed({"bpe_simple_vocab_16e6.txt.gz": gzip.compress(lines.encode(), 1)})]


def _adaptations() -> list[Seed]:
    made = []
    surgeries = (Surgery(lora=LoraConfig(rank=1)), Surgery(adapters=AdapterConfig()))
    for surgery in surgeries:
        clip = copy.deepcopy(_clip())
        base = clip.fingerprint()
        operate(clip.network, surgery)
        with tempfile.TemporaryDirectory() as folder:
            save_adaptation(
                Path(folder) / "x",
                clip,
                surgery,
                method="x",
                base_name="tiny",
                base_fingerprint=base,
            )
            names = ("adapter.json", "adapter.safetensors")
            made.append(Seed({n: (Path(folder) / "x" / n).read_bytes() for n in names}))
    return made


def _read_adaptation(file: Path) -> Clip:
    return load_model(file.parent, base=copy.deepcopy(_clip()))


def _heads() -> list[Seed]:
    """Classifiers of version 0.1, whose form has stayed."""
    made = []
    for name in ("clap", "tip-adapter", "ccli-tf", "linear-probe", "zero-shot"):
        folder = _FIXTURES / "heads" / name
        made.append(Seed({n: (folder / n).read_bytes() for n in ("head.json", "head.safetensors")}))
    return made


def _read_head(file: Path) -> SavedHead:
    return load_head(file.parent, HEADS)


def _check_head(saved: SavedHead) -> None:
    tensors, _ = saved.head.state()
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    assert len(saved.images) == len(saved.labels) == len(saved.keys)
    assert saved.thumbnail(0) is None


def _estimators() -> list[Seed]:
    """Heads as estimators, with labels of two kinds."""
    made = []
    for labels in (["heron", "ibis"], [3, 7]):
        with tempfile.TemporaryDirectory() as folder:
            HeadClassifier("gda").fit([[1.0, 0.2], [0.1, 1.0]], labels).save(Path(folder) / "x")
            names = ("estimator.json", "estimator.safetensors")
            made.append(Seed({n: (Path(folder) / "x" / n).read_bytes() for n in names}))
    return made


def _check_estimator(found: HeadClassifier) -> None:
    assert len(found.classes_) > 0
    assert found.n_features_in_ > 0


def _load(file: Path) -> Clip:
    return load_clip(file.parent)


READERS: dict[str, Reader] = {
    "preprocessor_config.json": Reader(_preprocessing, _read_preprocessing, _check_preprocessing),
    "tokenizers": Reader(_tokenizers, lambda file: Tokenizer.load(file.parent), _check_tokenizer),
    "openai vocabulary": Reader(_vocabulary, Tokenizer.load, _check_tokenizer),
    "model folders: descriptions": Reader(
        lambda: _folders("config.json", "preprocessor_config.json", "tokenizer_config.json"),
        _load,
        _check_clip,
    ),
    "model folders: weights": Reader(lambda: _folders("model.safetensors"), _load, _check_clip),
    "model folders: shards": Reader(_split_folder, _load, _check_clip),
    "model folders: pickles": Reader(_pickled, _read_pickled, _check_clip),
    "open_clip files": Reader(_open_clip_files, load_clip, _check_clip),
    "adaptations": Reader(_adaptations, _read_adaptation, _check_clip),
    "classifiers": Reader(_heads, _read_head, _check_head),
    "estimators": Reader(
        _estimators, lambda file: HeadClassifier.load(file.parent), _check_estimator
    ),
}
