"""The feature store: the right numbers, what is found again and what is not, damage, resuming."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import (
    Clip,
    ClipShape,
    Preprocess,
    Tokenizer,
    build_clip,
    encode_images,
    load_clip,
    train_tokenizer,
)
from trifocal.data.picture_keys import picture_key
from trifocal.errors import UserError
from trifocal.features import pictures as module
from trifocal.features.pictures import Features, image_features
from trifocal.features.store import default_cache
from trifocal.tuning import TunedClip

SHAPE = ClipShape(
    image_size=16,
    patch_size=8,
    vision_width=16,
    vision_layers=1,
    vision_heads=2,
    text_width=16,
    text_layers=1,
    text_heads=2,
    embed_dim=8,
    vocab_size=530,
    context_length=16,
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a red cat", "two dogs"] * 5, 530, context_length=16)


@pytest.fixture
def clip(tokenizer: Tokenizer) -> Clip:
    return build_clip(SHAPE, tokenizer, Preprocess(size=(16, 16)), seed=0, name="tiny")


def draw(file: Path, seed: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [draw(tmp_path / "photos" / f"{n}.png", n) for n in range(7)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


class Watcher:
    """Progress that remembers what was started and how far it came."""

    def __init__(self) -> None:
        self.total, self.done, self.steps = 0, 0, 0

    def start(self, what: str, total: int) -> None:
        assert what == "pictures"
        self.total = total

    def advance(self, count: int) -> None:
        self.done += count
        self.steps += 1


class Counting:
    """A Clip that counts the views it embeds."""

    def __init__(self, clip: Clip) -> None:
        self.clip, self.views = clip, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.clip, name)

    def image_features(self, pixels: Tensor, *, projected: bool = True) -> Tensor:
        self.views += len(pixels)
        return self.clip.image_features(pixels, projected=projected)


def embedded(clip: Clip, files: list[Path], cache: Path | None, **options: Any) -> int:
    """How many views a call embeds."""
    model = Counting(clip)
    image_features(model, files, cache=cache, **options)
    return model.views


def stored(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*.safetensors"))


# The numbers


def test_features_normalized_are_the_embeddings(clip: Clip, files: list[Path], cache: Path) -> None:
    expected = encode_images(clip, [Image.open(file) for file in files])
    for place in (None, cache, cache):
        found = image_features(clip, files, cache=place)
        assert found.features.shape == (7, 1, 8)
        assert found.features.dtype == torch.float32
        assert found.kept == list(range(7))
        assert not found.bad
        assert torch.allclose(F.normalize(found.features[:, 0], dim=-1), expected, atol=1e-6)
        assert ((found.features.norm(dim=-1) - 1).abs() > 0.01).any()


def test_before_the_projection(clip: Clip, files: list[Path], cache: Path) -> None:
    before = image_features(clip, files, cache=cache, projected=False).features
    after = image_features(clip, files, cache=cache).features
    assert before.shape == (7, 1, 16)
    assert torch.allclose(before @ clip.image_projection, after, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_views_depend_on_nothing_but_seed_and_content(
    clip: Clip, files: list[Path], threads: int, batch_size: int
) -> None:
    plain = image_features(clip, files, cache=None, views=3).features
    assert plain.shape == (7, 3, 8)
    options: dict[str, Any] = {"threads": threads, "batch_size": batch_size, "views": 3}
    again = image_features(clip, files[::-1], cache=None, **options).features
    assert torch.allclose(again.flip(0), plain, atol=1e-6)
    moved = files[0].rename(files[0].with_name("moved.png"))
    alone = image_features(clip, [moved], cache=None, **options).features
    assert torch.allclose(alone[0], plain[0], atol=1e-6)
    other = image_features(clip, files[1:], cache=None, seed=2, **options).features
    assert not torch.allclose(other, plain[1:], atol=1e-3)
    assert (plain[:, 0] - plain[:, 1]).abs().amax(-1).min() > 1e-3


def test_a_view_is_a_crop_of_the_stated_share(clip: Clip, tmp_path: Path) -> None:
    # White in the middle of black: a crop of nearly everything is like the whole picture.
    picture = Image.new("RGB", (64, 64))
    picture.paste((255, 255, 255), (16, 16, 48, 48))
    picture.save(tmp_path / "square.png")
    seen = []

    class Spy(Preprocess):
        def train_crop(self, *drawn: Any, **more: Any) -> Tensor:
            pixels = super().train_crop(*drawn, **more)
            seen.append(pixels.float().mean())
            return pixels

    clip.preprocess = Spy(size=(16, 16))
    image_features(clip, [tmp_path / "square.png"], cache=None, views=20, view_scale=(0.99, 1.0))
    assert torch.stack(seen) == pytest.approx([255 / 4] * 20, rel=0.1)


# What is found again


def test_a_second_call_embeds_nothing(clip: Clip, files: list[Path], cache: Path) -> None:
    assert embedded(clip, files, cache) == 7
    watcher = Watcher()
    assert embedded(clip, files, cache, progress=watcher) == 0
    assert (watcher.total, watcher.done) == (0, 0)  # nobody is told of a job that is none
    assert embedded(clip, files[2:5] + files[:1], cache) == 0
    assert embedded(clip, files + files, cache) == 0


def test_lists_share_their_pictures(clip: Clip, files: list[Path], cache: Path) -> None:
    plain = image_features(clip, files, cache=None).features
    assert embedded(clip, files[3:5], cache) == 2
    watcher = Watcher()
    assert embedded(clip, files, cache, progress=watcher) == 5
    assert (watcher.total, watcher.done) == (7, 7)
    order = [4, 0, 6, 3, 3]
    mixed = image_features(clip, [files[i] for i in order], cache=cache).features
    assert torch.allclose(mixed, plain[order], atol=1e-6)


def test_the_cached_are_the_same_bits(clip: Clip, files: list[Path], cache: Path) -> None:
    first = image_features(clip, files, cache=cache, views=2).features
    assert torch.equal(image_features(clip, files, cache=cache, views=2).features, first)


@pytest.mark.parametrize(
    "options",
    [
        {"views": 2},
        {"projected": False},
        {"views": 1, "seed": 2},
        {"views": 1, "view_scale": (0.08, 1.0)},
    ],
)
def test_another_transform_is_another_store(
    clip: Clip, files: list[Path], cache: Path, options: dict[str, Any]
) -> None:
    embedded(clip, files, cache)
    embedded(clip, files, cache, views=1)
    assert embedded(clip, files, cache, **options) == 7 * options.get("views", 1)
    assert embedded(clip, files, cache, **options) == 0


def test_the_seed_of_no_draw_does_not_matter(clip: Clip, files: list[Path], cache: Path) -> None:
    embedded(clip, files, cache, seed=1)
    assert embedded(clip, files, cache, seed=2, view_scale=(0.08, 1.0)) == 0


def test_other_weights_or_preprocessing(clip: Clip, files: list[Path], cache: Path) -> None:
    embedded(clip, files, cache)
    clip.preprocess = Preprocess(size=(16, 16), mean=(0.5, 0.5, 0.5))
    assert embedded(clip, files, cache) == 7
    with torch.no_grad():
        clip.network.visual_projection.weight[0, 0] += 1e-3
    assert embedded(clip, files, cache) == 7
    clip.name = "renamed"
    assert embedded(clip, files, cache) == 0


def test_a_changed_picture_is_embedded_again(clip: Clip, files: list[Path], cache: Path) -> None:
    before = image_features(clip, files, cache=cache).features.clone()
    draw(files[2], 99)
    assert embedded(clip, files, cache) == 1
    after = image_features(clip, files, cache=cache).features
    assert [not torch.equal(a, b) for a, b in zip(before, after)] == [i == 2 for i in range(7)]
    status = files[3].stat()
    os.utime(files[3], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert embedded(clip, files, cache) == 1


def test_the_key_is_path_size_and_time(files: list[Path]) -> None:
    key = picture_key(files[0])
    assert picture_key(Path(os.path.relpath(files[0]))) == key
    assert picture_key(files[1]) != key
    assert len({picture_key(file) for file in files}) == 7
    files[0].write_bytes(files[0].read_bytes() + b" ")
    assert picture_key(files[0]) != key


def test_a_model_without_a_fingerprint_is_not_cached(
    clip: Clip, files: list[Path], cache: Path
) -> None:
    class Bare:
        preprocess, tokenize = clip.preprocess, clip.tokenize
        encode_image, encode_text = clip.encode_image, clip.encode_text

    found = image_features(Bare(), files, cache=cache)
    assert torch.allclose(found.features.norm(dim=-1), torch.ones(7, 1))
    assert not cache.exists()
    image_features(Bare(), files, cache=cache, fingerprint="known")
    assert len(stored(cache)) == 1


def test_models_with_one_image_tower_share_what_is_kept(
    clip: Clip, files: list[Path], cache: Path
) -> None:
    before = image_features(clip, files, cache=cache).features.clone()
    clip.network.text_projection.weight.data.add_(1)
    assert embedded(clip, files, cache) == 0
    assert torch.equal(image_features(TunedClip(clip), files, cache=cache).features, before)
    clip.network.visual_projection.weight.data.add_(1)
    assert embedded(clip, files, cache) == 7


def test_a_method_is_its_clip(clip: Clip, files: list[Path]) -> None:
    expected = image_features(clip, files, cache=None).features
    assert torch.equal(image_features(TunedClip(clip), files, cache=None).features, expected)


# What lies on the disk


def test_files_are_mapped_and_described(clip: Clip, files: list[Path], cache: Path) -> None:
    found = image_features(clip, files, cache=cache)
    (file,) = stored(cache)
    mapped = Path("/proc/self/maps")
    if mapped.is_file():
        assert str(file) in mapped.read_text()
    found.features.zero_()  # private: nothing is written through
    assert image_features(clip, files, cache=cache).features.any()
    manifest = json.loads((file.parent / "manifest.json").read_text())
    assert manifest["backbone"] == "tiny"
    assert manifest["weights"] == clip.image_fingerprint()
    assert manifest["views"] == 0
    assert "Preprocess(size=(16, 16)" in manifest["transform"]


@pytest.mark.parametrize("harm", ["cut", "flip", "text", "foreign"])
def test_a_damaged_file_is_made_again(
    clip: Clip,
    files: list[Path],
    cache: Path,
    harm: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    expected = image_features(clip, files, cache=cache).features.clone()
    assert len(stored(cache)) == 3
    file = stored(cache)[0]
    content = bytearray(file.read_bytes())
    lost = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["features"]["shape"]
    if harm == "cut":
        del content[-20:]
    elif harm == "flip":
        content[content.index(b"}}", 8) + 10] ^= 1
    elif harm == "text":
        content = bytearray(b"not a tensor file")
    else:  # a whole file of another store does not count as ours
        image_features(clip, files, cache=cache.parent / "other", views=1)
        content = bytearray(stored(cache.parent / "other")[0].read_bytes())
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert embedded(clip, files, cache) == lost[0]
    assert "damaged" in caplog.text
    assert embedded(clip, files, cache) == 0
    assert torch.allclose(image_features(clip, files, cache=cache).features, expected, atol=1e-6)


def test_a_folder_that_cannot_be_written(
    clip: Clip, files: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    expected = image_features(clip, files, cache=None).features
    found = image_features(clip, files, cache=tmp_path / "file" / "cache")
    assert torch.equal(found.features, expected)
    assert caplog.text.count("cannot be kept") == 1


def test_the_default_cache_follows_the_desktop_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/trifocal/features")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_cache() == Path.home() / ".cache" / "trifocal" / "features"


def test_an_interrupted_run_goes_on(
    clip: Clip, files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)

    class Stopped(Counting):
        def image_features(self, pixels: Tensor, *, projected: bool = True) -> Tensor:
            if self.views >= 6:
                raise KeyboardInterrupt
            return super().image_features(pixels, projected=projected)

    with pytest.raises(KeyboardInterrupt):
        image_features(Stopped(clip), files, cache=cache, views=2, batch_size=2)
    assert embedded(clip, files, cache, views=2) == 14 - 4
    plain = image_features(clip, files, cache=None, views=2).features
    found = image_features(clip, files, cache=cache, views=2).features
    assert torch.allclose(found, plain, atol=1e-6)


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path: Path, cache: Path) -> None:
    files = [draw(tmp_path / "photos" / f"{n}.png", n) for n in range(40)]
    code = """
import sys
from pathlib import Path
from trifocal.clip import load_clip
from trifocal.features import pictures as features
features.CHUNK = 4
class Slow:
    def start(self, what, total): pass
    def advance(self, count):
        import time
        time.sleep(0.05 * count)
files = sorted(Path(sys.argv[1]).glob("*.png"))
features.image_features(load_clip("builtin"), files, cache=Path(sys.argv[2]), progress=Slow())
"""
    folder = str(tmp_path / "photos")
    process = subprocess.Popen([sys.executable, "-c", code, folder, str(cache)])
    until = time.monotonic() + 60
    while len(stored(cache)) < 2 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(stored(cache))
    assert 2 <= kept < 10
    builtin = load_clip("builtin")
    assert embedded(builtin, files, cache) == 40 - 4 * kept
    plain = image_features(builtin, sorted(files), cache=None).features
    found = image_features(builtin, sorted(files), cache=cache).features
    assert torch.allclose(found, plain, atol=1e-5)


# Pictures that cannot be read


def broken(files: list[Path]) -> list[Path]:
    files[1].write_bytes(files[1].read_bytes()[:60])
    files[4].unlink()
    return files


@pytest.mark.parametrize("views", [0, 2])
def test_bad_pictures_are_named(clip: Clip, files: list[Path], cache: Path, views: int) -> None:
    with pytest.raises(
        UserError, match=r"2 of 7 pictures cannot be used: .*1\.png: .*4\.png: no such"
    ):
        image_features(clip, broken(files), cache=cache, views=views)


@pytest.mark.parametrize("views", [0, 2])
def test_bad_pictures_are_skipped_and_counted(
    clip: Clip, files: list[Path], cache: Path, views: int, caplog: pytest.LogCaptureFixture
) -> None:
    plain = image_features(clip, files, cache=None, views=views).features
    broken(files)
    for _ in range(2):  # bad pictures are not kept, so they are looked at each time
        caplog.clear()
        found = image_features(clip, files, cache=cache, views=views, on_bad="skip")
        assert found.kept == [0, 2, 3, 5, 6]
        assert [Path(each.path).name for each in found.bad] == ["1.png", "4.png"]
        assert torch.allclose(found.features, plain[found.kept], atol=1e-6)
        assert "2 of 7 pictures are left out" in caplog.text
        assert "no such file" in caplog.text
    draw(files[4], 4)
    assert embedded(clip, files, cache, views=views, on_bad="skip") == max(1, views)


def test_a_part_without_one_good_picture(
    clip: Clip, files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    for file in files[2:4]:
        file.write_bytes(b"")
    found = image_features(clip, files, cache=cache, on_bad="skip")
    assert found.kept == [0, 1, 4, 5, 6]
    with pytest.raises(UserError, match="none of 2 pictures"):
        image_features(clip, files[2:4], cache=cache, on_bad="skip")


def test_nothing_to_embed(clip: Clip, files: list[Path]) -> None:
    with pytest.raises(ValueError, match="0 files"):
        image_features(clip, [], cache=None)
    assert isinstance(image_features(clip, files[:1], cache=None), Features)
