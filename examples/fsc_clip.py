"""FSC-CLIP by hand: a base learns which word belongs where, and keeps what it knew.

Oh, Cho, Kim, Kweon and Kim, EMNLP 2024 (arXiv 2410.05210). Run it without arguments: the model and
the drawn scenes come with the package, and half a minute on two cores is enough. What happens to a
batch is in `trifocal/composition/fsc_clip.py`; for photos of your own,
`trifocal train fsc_clip-captions-builtin --data.path captions.csv` is the same with checkpoints.
"""

from __future__ import annotations

import copy
import sys

import torch

from trifocal import Clip, FscClip, FscClipConfig, HardNegatives, load_clip
from trifocal.data.loader import BatchMaker, Order, batches
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.evaluate.summary import summarize
from trifocal.world import WorldCaptions

STEPS, BATCH, RATE = 60, 96, 3e-4
ROWS = {"composition": "right caption before a wrong one", "zero_shot": "zero-shot accuracy"}
ROWS |= {"retrieval": "retrieval, recall@1"}


def measure(model: Clip | FscClip) -> dict[str, float]:
    """Return the model's scores on scenes that nothing was trained on."""
    return summarize(world_suite(model, classification=256, retrieval=250, composition=100))


def main(steps: int = STEPS) -> None:
    """Measure, train, measure again."""
    torch.manual_seed(0)
    clip = load_clip("builtin")
    before = measure(clip)

    # The image tower already sees what is where, so the text tower alone is trained; a short run
    # may pull harder than the paper's.
    config = FscClipConfig(tuning="text", negatives=("swap",), global_weight=2.0)
    method = FscClip(copy.deepcopy(clip), config).train()

    # Scenes are drawn, and captions distorted, when a batch is made.
    scenes = WorldCaptions("train", size=steps * BATCH, image_size=clip.image_size, seed=1)
    batching = method.batching(negatives=HardNegatives(config.negatives, parser="textblob"))
    maker = BatchMaker(scenes, Order(len(scenes), BATCH, seed=0), batching)

    optimizer = torch.optim.AdamW(method.param_groups(weight_decay=0.1), lr=RATE)
    for step, batch in enumerate(batches(maker, 0, steps)):
        terms = method.loss(batch)  # L = L_clip + λ_g · L_g + λ_l · L_l
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step:3d}  " + "  ".join(f"{k} {v.item():.3f}" for k, v in terms.items()))

    after = measure(method.eval())
    print(f"\n{'':36}{'base':>8}{'FSC-CLIP':>10}")
    for key, label in ROWS.items():
        print(f"{label:36}{100 * before[key]:8.1f}{100 * after[key]:10.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))  # a number is that of the steps
