"""One FSC-CLIP training step and caption encoding, against the straightforward formulation.

    python benchmarks/composition.py [--captions coco.json] [--repeats 5]

Peer: the same network and the same losses written as the paper's description reads: all captions
padded to 77 tokens, patches copied for every kind of negative, a loop over the kinds, and
text-conditioned visual tokens built one by one (arXiv 2410.05210, section 3). Values and gradients
are compared before anything is timed. Every measurement of memory runs in a process of its own;
time is the median of interleaved repeats in one process.

The captions are COCO's where a file is given (a JSON whose annotations hold "caption"); otherwise
sentences of COCO's length distribution (10.5 words on average) are made up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from trifocal.clip import Clip, Preprocess, TextBatch
from trifocal.composition import FscClip
from trifocal.composition.batching import CaptionBatch

CONTEXT, VOCABULARY, SOT, EOT = 77, 49408, 49406, 49407
KINDS = 3


def network() -> CLIPModel:
    """Return a random-weight ViT-B/32 in the shape of OpenAI's."""
    torch.manual_seed(0)
    return CLIPModel(CLIPConfig())


def read_captions(path: Path | None, count: int) -> list[str]:
    """Return `count` captions of a COCO-like file, or made-up ones of the same lengths."""
    if path is not None:
        found: list[str] = []

        def walk(node: object) -> None:
            if isinstance(node, dict):
                for key, value in node.items():
                    if key in ("caption", "raw") and isinstance(value, str):
                        found.append(value)
                    elif key == "captions" and isinstance(value, list):
                        found.extend(text for text in value if isinstance(text, str))
                    else:
                        walk(value)
            elif isinstance(node, list):
                for value in node:
                    walk(value)

        walk(json.loads(path.read_text()))
        return found[:count]
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.poisson(2.5, count) + 8, 8, 40)
    return [" ".join(["word"] * length) for length in lengths]


def to_ids(captions: list[str]) -> list[list[int]]:
    """Return token ids whose number follows the words (about 1.1 pieces a word, plus two)."""
    rng = np.random.default_rng(1)
    rows = []
    for caption in captions:
        pieces = round(1.1 * len(caption.replace(".", " .").split()))
        rows.append([SOT, *rng.integers(1000, 40000, min(pieces, CONTEXT - 2)).tolist(), EOT])
    return rows


def batch_of(captions: list[str], size: int) -> tuple[Tensor, TextBatch, Tensor, Tensor]:
    """Return pixels, B + K B captions (negatives are permutations), owners and kinds."""
    rows = to_ids(captions[:size])
    rng = np.random.default_rng(2)
    negatives = [[SOT, *rng.permutation(r[1:-1]).tolist(), EOT] for _ in range(KINDS) for r in rows]
    rows = rows + negatives
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), EOT)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    pixels = torch.randn(size, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    owner = torch.arange(size).repeat(KINDS)
    kind = torch.arange(KINDS).repeat_interleave(size)
    return pixels, TextBatch(ids, lengths), owner, kind


# ---------------------------------------------------------------- the straightforward formulation


def plain_encode(model: CLIPModel, pixels: Tensor, text: TextBatch) -> tuple[Tensor, ...]:
    """Encode with every caption padded to the full context."""
    hidden = model.vision_model(pixels).last_hidden_state
    hidden = model.visual_projection(model.vision_model.post_layernorm(hidden))
    image, patches = F.normalize(hidden[:, 0], dim=-1), hidden[:, 1:]
    ids = F.pad(text.ids, (0, CONTEXT - text.ids.shape[1]), value=0)
    tokens = model.text_projection(model.text_model(ids).last_hidden_state)
    pooled = F.normalize(tokens[torch.arange(len(ids)), text.lengths - 1], dim=-1)
    position = torch.arange(CONTEXT)
    mask = (position > 0) & (position < text.lengths[:, None])
    return image, patches, pooled, tokens, mask


def plain_local(patches: Tensor, tokens: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
    """Score one caption for every image, visual tokens and all."""
    weights = (tokens @ patches.mT).detach()
    low = weights.amin(-1, keepdim=True)
    weights = (weights - low) / (weights.amax(-1, keepdim=True) - low)
    weights = weights / weights.sum(-1, keepdim=True)
    grounded = F.normalize(weights @ patches, dim=-1)
    cosine = (grounded * F.normalize(tokens, dim=-1)).sum(-1)
    return (scale * cosine).masked_fill(~mask, -torch.inf).logsumexp(-1)


def plain_calibrated(logits: Tensor) -> Tensor:
    """Focal loss on smoothed targets, all K negatives present."""
    target = torch.full_like(logits, 0.02 / logits.shape[1])
    target[:, 0] += 0.98
    log_p = logits.log_softmax(-1)
    return -(target * (1 - log_p.exp()) ** 2 * log_p).sum(-1).mean()


def plain_loss(model: CLIPModel, pixels: Tensor, text: TextBatch) -> Tensor:
    """Return the FSC-CLIP loss with a loop over the kinds of negatives."""
    image, patches, pooled, tokens, mask = plain_encode(model, pixels, text)
    size, scale = len(image), model.logit_scale.exp()
    similarity = scale * image @ pooled[:size].T
    target = torch.arange(size)
    loss = (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
    whole = [scale * (image * pooled[:size]).sum(-1)]
    local = [plain_local(patches, tokens[:size], mask[:size], scale)]
    for kind in range(KINDS):
        rows = slice(size * (kind + 1), size * (kind + 2))
        chosen = patches[torch.arange(size)]  # the copy that an index makes
        whole.append(scale * (image * pooled[rows]).sum(-1))
        local.append(plain_local(chosen, tokens[rows], mask[rows], scale))
    loss = loss + 0.5 * plain_calibrated(torch.stack(whole, 1))
    return loss + 0.2 * plain_calibrated(torch.stack(local, 1))


# ------------------------------------------------------------------------------------------- ours


class FixedTokens:
    """Stands where a tokenizer is expected; this benchmark brings its own ids."""

    context_length = CONTEXT
    vocab_size = VOCABULARY


def wrap(model: CLIPModel) -> Clip:
    """Return trifocal's backbone around the network."""
    return Clip(model, FixedTokens(), Preprocess(size=(224, 224)), name="random")  # pyright: ignore[reportArgumentType]


class Step:
    """A training step (forward, backward, AdamW) of one of the two formulations."""

    def __init__(self, ours: bool, captions: list[str], size: int) -> None:
        self.model = network()
        # Wrapping replaces the MLPs by leaner ones, so the peer must not be wrapped.
        self.method = FscClip(wrap(self.model)) if ours else None
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 5e-6)
        self.pixels, self.text, self.owner, self.kind = batch_of(captions, size)

    def loss(self) -> Tensor:
        """Return the loss of the batch."""
        if self.method is not None:
            batch = CaptionBatch(self.pixels, self.text, self.owner, self.kind, [], [])
            return torch.stack(list(self.method.loss(batch).values())).sum()
        return plain_loss(self.model, self.pixels, self.text)

    def __call__(self) -> float:
        """Make one step and return its seconds."""
        start = time.perf_counter()
        self.loss().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - start


def peak_of(ours: bool, captions: list[str], size: int) -> tuple[float, float]:
    """Return the MiB of a step: of the whole process, and above what stands before the loss."""
    step = Step(ours, captions, size)
    for parameter in step.model.parameters():  # gradients and moments exist before we look
        parameter.grad = torch.zeros_like(parameter)
    step.optimizer.step()
    standing = resident()
    step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak, peak - standing


def resident() -> float:
    """Return this process's resident memory in MiB, and forget the peak before now if possible."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def gradients(model: nn.Module, loss: Tensor) -> Tensor:
    """Return all gradients of `loss` as one vector."""
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


def main() -> None:
    """Check equality, then print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--captions", type=Path, help="a COCO-like JSON")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    captions = read_captions(arguments.captions, 512)
    print(f"{len(captions)} captions, {torch.get_num_threads()} threads, torch {torch.__version__}")

    small = captions[:8]
    one, two = Step(True, small, 4), Step(False, small, 4)
    ours, plain = one.loss(), two.loss()
    difference = (gradients(one.model, ours) - gradients(two.model, plain)).abs().max()
    print(
        f"loss {ours.item():.6f} and {plain.item():.6f}; largest gradient difference {difference:.1e}"
    )
    assert abs(ours.item() - plain.item()) < 1e-4
    assert difference < 1e-4
    del one, two

    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        whole, above = pool.apply(peak_of, (True, captions, arguments.batch))
        plain_whole, plain_above = pool.apply(peak_of, (False, captions, arguments.batch))

    steps = [Step(True, captions, arguments.batch), Step(False, captions, arguments.batch)]
    seconds: list[list[float]] = [[], []]
    for repeat in range(arguments.repeats + 1):
        for index, step in enumerate(steps):
            taken = step()
            if repeat:
                seconds[index].append(taken)
    ours_s, plain_s = (statistics.median(values) for values in seconds)
    clip = wrap(network()).eval()
    del steps

    rows = to_ids(captions)
    with torch.inference_mode():
        encoded: dict[str, Tensor] = {}
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(3):
            for name, call in (("ours", encode_sorted), ("plain", encode_padded)):
                start = time.perf_counter()
                encoded[name] = call(clip, rows)
                times[name].append(time.perf_counter() - start)
    gap = (encoded["ours"] - encoded["plain"]).abs().max().item()
    assert gap < 1e-5
    encode = statistics.median(times["plain"]) / statistics.median(times["ours"])

    print(f"step: {arguments.batch / ours_s:.2f} against {arguments.batch / plain_s:.2f} samples/s")
    print(f"peak of the process: {whole:.0f} against {plain_whole:.0f} MiB")
    print(f"peak above weights, gradients, moments: {above:.0f} against {plain_above:.0f} MiB")
    print(f"RATIO step speed              {plain_s / ours_s:.2f}  (bar: >= 2)")
    print(f"RATIO peak memory             {whole / plain_whole:.2f}  (bar: <= 0.6)")
    print(f"RATIO peak memory of the step {above / plain_above:.2f}")
    print(f"RATIO caption encoding        {encode:.2f}  (bar: >= 2.5; difference {gap:.0e})")


def encode_sorted(clip: Clip, rows: list[list[int]], size: int = 64) -> Tensor:
    """Encode ids as `Clip.encode_texts` does: sorted by length, each batch trimmed."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    found = torch.empty(len(rows), clip.embed_dim)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        lengths = torch.tensor([len(rows[i]) for i in chosen])
        ids = torch.full((len(chosen), int(lengths.max())), EOT)
        for j, i in enumerate(chosen):
            ids[j, : len(rows[i])] = torch.tensor(rows[i])
        found[chosen] = clip.encode_text(TextBatch(ids, lengths)).pooled
    return found


def encode_padded(clip: Clip, rows: list[list[int]], size: int = 64) -> Tensor:
    """Encode ids padded to the full context, in the order given."""
    parts = []
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        lengths = torch.tensor([len(row) for row in chosen])
        ids = torch.zeros(len(chosen), CONTEXT, dtype=torch.long)
        for j, row in enumerate(chosen):
            ids[j, : len(row)] = torch.tensor(row)
        tokens = clip.network.text_model(ids).last_hidden_state
        pooled = tokens[torch.arange(len(chosen)), lengths - 1]
        parts.append(F.normalize(clip.network.text_projection(pooled), dim=-1))
    return torch.cat(parts)


if __name__ == "__main__":
    main()
