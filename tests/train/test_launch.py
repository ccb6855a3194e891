"""Precision by device, draws by step, blocks compiled one by one."""

from __future__ import annotations

import random
import shutil
from contextlib import contextmanager
from functools import partialmethod

import numpy as np
import pytest
import torch

from tests.train.support import tiny_clip
from trifocal.errors import UserError
from trifocal.train.launch import choose_precision, compile_blocks, make_accelerator, seed_draws

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("asked", "device", "bf16", "chosen"),
    [
        ("auto", CPU, True, "fp32"),
        ("auto", GPU, True, "bf16"),
        ("auto", GPU, False, "fp16"),
        ("auto", torch.device("mps"), True, "fp32"),
        ("bf16", CPU, False, "bf16"),
        ("fp16", GPU, True, "fp16"),
        ("fp32", GPU, True, "fp32"),
    ],
)
def test_precision(monkeypatch, asked, device, bf16, chosen):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    assert choose_precision(asked, device) == chosen


def test_what_cannot_be_had(monkeypatch):
    with pytest.raises(UserError, match="CPU cannot train in fp16"):
        choose_precision("fp16", CPU)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="set sharding to full"):
        make_accelerator("fp32")


def test_one_process_may_change_its_precision():
    for precision, mixed in (("fp32", "no"), ("bf16", "bf16"), ("auto", "no")):
        if not torch.accelerator.is_available():
            assert make_accelerator(precision).mixed_precision == mixed


def test_draws_follow_from_seed_step_and_process():
    def drawn(*where):
        seed_draws(*where)
        return torch.rand(1).item(), random.random(), np.random.rand()  # noqa: NPY002

    places = [(0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (2**40, 5, 7)]
    first = [drawn(*place) for place in places]
    assert first == [drawn(*place) for place in places]
    for column in zip(*first):
        assert len(set(column)) == len(places)


def test_every_block_is_compiled(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))
    clip = tiny_clip()
    compile_blocks(clip)
    assert len(compiled) == 4  # two layers in each of two towers


@contextmanager
def compiled_by(backend):
    """`compile_blocks` uses a backend other than torch's own."""
    with pytest.MonkeyPatch.context() as patch:
        compiler = partialmethod(torch.nn.Module.compile, backend=backend)
        patch.setattr(torch.nn.Module, "compile", compiler)
        yield


def test_traced_gradients_equal_plain():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), np.uint8))
    made = []
    for traced in (False, True):
        clip = tiny_clip()
        if traced:
            with compiled_by("aot_eager"):
                compile_blocks(clip)
        embedded = clip.encode_image(pixels, patches=True)
        texts = clip.encode_text(["a cat", "a small dog"])
        loss = embedded.patches.sum() + (embedded.pooled @ texts.pooled.T).sum()
        loss.backward()
        made.append({name: p.grad for name, p in clip.named_parameters() if p.grad is not None})
    assert made[0].keys() == made[1].keys()
    for name, gradient in made[0].items():
        assert torch.allclose(gradient, made[1][name], rtol=1e-4, atol=1e-5), name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@torch.no_grad()
def test_compiled_equals_plain():
    """One block and no gradients: a C++ compiler takes seconds for each of its kernels."""
    clip = tiny_clip(text_layers=1)
    plain = clip.encode_text(["a cat", "a small dog"]).pooled
    compile_blocks(clip)
    compiled = clip.encode_text(["a cat", "a small dog"]).pooled
    assert torch.allclose(plain, compiled, rtol=1e-4, atol=1e-5)
