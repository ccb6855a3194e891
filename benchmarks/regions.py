"""One RCA training step, and scoring localization pairs, against the published formulation.

    python benchmarks/regions.py [--batch 8] [--repeats 3]

Ours: one adapted ViT-B/16 at 448 x 224 (393 tokens) with clue and inference, forward and backward
of the dual loss. Peer: the same adapted network, as the authors' code has it (arXiv 2303.10428):
the map adapter's (heads, L, L) bias is made and added to the logits, gradients are computed for
frozen tensors too, texts are padded to 77 tokens, and all activations are kept. Loss and
gradients are compared before anything is timed, and each of the four savings is also taken alone. Memory is the peak of a process of its
own; time is the median of interleaved repeats in one process.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import resource
import statistics
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.clip.modeling_clip import CLIPMLP

from trifocal.clip import Clip, Preprocess, TextBatch
from trifocal.clip.shape import SHAPES
from trifocal.losses import dual_contrastive_loss
from trifocal.regions import Rca, RcaConfig
from trifocal.regions.benchmarks.pool import Embedded
from trifocal.tuning import adapters

CONTEXT, EOT = 77, 49407
SAVINGS = ("fused", "frozen", "trimmed", "lean")  # attention, gradients, texts, activations
SCORED_SECONDS = 10.0


class FixedTokens:
    """Stands where a tokenizer is expected; this benchmark brings its own ids."""

    context_length = CONTEXT
    vocab_size = EOT + 1


def biased_heads(
    attention: Any, states: Tensor, more_queries: Tensor, more_keys: Tensor, **mask: Any
) -> Tensor:
    """Do what `mixed_heads` does with an explicit bias on the logits."""
    heads = (attention.num_heads, attention.head_dim)
    queries, keys, values = (
        project(states).unflatten(-1, heads).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    bias = attention.scale * more_queries @ more_keys.mT
    if mask["is_causal"]:
        length = states.shape[1]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        bias = bias.masked_fill(later, -torch.inf)
    return F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=bias, scale=attention.scale
    )


class Step:
    """Forward and backward of a batch of regions, with some of the savings.

    Args:
        savings: Which of `SAVINGS` to make; all of them is the library as it is.
        size: Regions in the batch.
    """

    def __init__(self, savings: tuple[str, ...], size: int) -> None:
        clip = Clip.from_config(
            SHAPES["ViT-B-16"].config(),
            FixedTokens(),  # pyright: ignore[reportArgumentType]
            Preprocess(size=(224, 224)),
        )
        clip.fingerprint = lambda: ""  # nothing is saved here
        torch.manual_seed(0)
        self.savings, self.method = savings, Rca(clip, RcaConfig())
        clip.text_in_one_pass = True  # the same passes for both
        self.trained = [p for p in self.method.parameters() if p.requires_grad]
        with torch.no_grad():  # adapters that do something, so that equality means something
            for parameter in self.method.added:
                parameter.add_(0.02 * torch.randn_like(parameter))
        if "frozen" not in savings:
            self.method.requires_grad_(True)
        if "lean" not in savings:  # wrapping a network makes its MLPs leaner; theirs are not
            undo_lean(clip.network)
        self.method.eval()  # DropPath is random
        generator = torch.Generator().manual_seed(1)
        self.pixels = torch.randn(size, 3, 448, 224, generator=generator)
        self.text = texts(2 * size, padded="trimmed" not in savings)

    def loss(self) -> Tensor:
        """Return the dual loss of the batch."""
        with contextlib.ExitStack() as changed:
            if "fused" not in self.savings:
                changed.enter_context(patch.object(adapters, "mixed_heads", biased_heads))
            if "lean" not in self.savings:
                keep = lambda function, *arguments: function(*arguments)  # noqa: E731
                changed.enter_context(patch.object(adapters, "spared", keep))
            encoded = self.method(self.pixels, self.text)
        inference, clue = encoded.text.pooled.chunk(2)
        return dual_contrastive_loss(encoded.image.pooled, clue, inference, encoded.scale)

    def __call__(self) -> float:
        """Make forward and backward once and return the seconds."""
        start = time.perf_counter()
        self.loss().backward()
        seconds = time.perf_counter() - start
        self.method.zero_grad()
        return seconds


class PlainMlp(CLIPMLP):
    """transformers' own MLP, which keeps all its activations."""

    def plain(self, states: Tensor) -> Tensor:
        return self(states)


def undo_lean(network: Any) -> None:
    """Give every block transformers' own MLP back, with the same weights."""
    for tower in (network.vision_model, network.text_model):
        for layer in tower.encoder.layers:
            with torch.device("meta"):
                plain = PlainMlp(tower.config)
            plain.fc1, plain.fc2 = layer.mlp.fc1, layer.mlp.fc2
            layer.mlp = plain


def texts(count: int, *, padded: bool) -> TextBatch:
    """Return ids as long as Sherlock's sentences with their prefix: 6.5 words on average."""
    rng = np.random.default_rng(0)
    lengths = torch.from_numpy(np.clip(rng.poisson(6.5, count) + 5, 6, 30))
    ids = torch.randint(1000, 40000, (count, CONTEXT), generator=torch.Generator().manual_seed(2))
    ids[torch.arange(count), lengths - 1] = EOT
    width = CONTEXT if padded else int(lengths.max())
    return TextBatch(ids[:, :width], lengths, width)


def peak_of(savings: tuple[str, ...], size: int) -> float:
    """Return the peak memory of a process that makes this step, in MiB."""
    step = Step(savings, size)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check() -> None:
    """Compare loss and gradients of the two formulations."""
    ours, peer = Step(SAVINGS, 2), Step((), 2)
    losses = [step.loss() for step in (ours, peer)]
    pairs = zip(
        torch.autograd.grad(losses[0], ours.trained), torch.autograd.grad(losses[1], peer.trained)
    )
    gap = max(float((a - b).abs().max() / a.abs().max().clamp_min(1e-4)) for a, b in pairs)
    print(
        f"loss {losses[0].item():.6f} and {losses[1].item():.6f}; largest relative difference of a "
        f"gradient {gap:.1e}"
    )
    assert abs(losses[0].item() - losses[1].item()) < 1e-4
    assert gap < 1e-2


def time_steps(variants: dict[str, tuple[str, ...]], size: int, repeats: int) -> dict[str, float]:
    """Return the median seconds of each variant's step, measured in turn."""
    steps = {name: Step(savings, size) for name, savings in variants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            taken = step()
            if repeat:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def time_scoring(images: int = 6_656) -> tuple[int, float]:
    """Return how many localization pairs were scored from cached embeddings, and the seconds.

    As in Sherlock's test set: in an image every inference meets every true region and proposal.
    """
    rng = np.random.default_rng(0)
    inferences = np.clip(rng.poisson(0.42, images) + 3, 3, 12)
    boxes = rng.integers(60, 148, images)
    rows, columns, group = [], [], []
    first_row = first_column = 0
    for image, (count, near) in enumerate(zip(inferences, boxes)):
        rows.append(np.tile(np.arange(first_row, first_row + near), count))
        columns.append(np.repeat(np.arange(first_column, first_column + count), near))
        group.append(np.full(count * near, image))
        first_row, first_column = first_row + near, first_column + count
    generator = torch.Generator().manual_seed(0)
    regions = F.normalize(torch.randn(first_row, 512, generator=generator), dim=-1).numpy()
    texts = F.normalize(torch.randn(first_column, 512, generator=generator), dim=-1).numpy()
    row, column = np.concatenate(rows), np.concatenate(columns)
    embedded = Embedded(regions, texts, "")
    start = time.perf_counter()
    scores = embedded.pairs(row, column, np.concatenate(group))
    seconds = time.perf_counter() - start
    some = rng.integers(len(row), size=100)
    expected = (regions[row[some]] * texts[column[some]]).sum(1)
    assert np.allclose(scores[some], expected, atol=1e-6)
    return len(row), seconds


def main() -> None:
    """Check equality, then print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"batch {arguments.batch}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    variants = {"peer": (), "ours": SAVINGS, **{f"{name} alone": (name,) for name in SAVINGS}}
    # Before anything else: a process starts with the peak of the one that began it.
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        peaks = {
            name: pool.apply(peak_of, (savings, arguments.batch))
            for name, savings in variants.items()
        }
    check()
    seconds = time_steps(variants, arguments.batch, arguments.repeats)
    for name in variants:
        print(
            f"{name:14} {seconds[name]:6.2f} s ({seconds['peer'] / seconds[name]:.2f} x), "
            f"peak {peaks[name]:6.0f} MiB ({peaks[name] / peaks['peer']:.2f} x)"
        )
    pairs, scoring = time_scoring()
    print(f"RATIO step speed              {seconds['peer'] / seconds['ours']:.2f}  (bar: >= 1.4)")
    print(f"RATIO peak memory             {peaks['ours'] / peaks['peer']:.2f}  (bar: <= 0.6)")
    print(f"scoring {pairs} pairs: {scoring:.2f} s  (bar: < {SCORED_SECONDS:.0f})")


if __name__ == "__main__":
    main()
