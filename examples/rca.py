"""RCA by hand: a frozen base learns to say what follows from a region of a picture.

Zhang, Ee and Fernando, ACM Multimedia 2024 (arXiv 2303.10428). Run it without arguments: the model
and the drawn scenes come with the package, and half a minute on two cores is enough. What a region
becomes is in `trifocal/regions/prompts.py`, what is trained in `trifocal/regions/rca.py`; for
Sherlock's photos, `trifocal train rca-sherlock-ViT-B-16` is the same with checkpoints.
"""

from __future__ import annotations

import copy
import sys

import torch

from trifocal import Rca, RcaConfig, load_clip, region_encoder
from trifocal.data.loader import BatchMaker, Order, batches
from trifocal.evaluate.benchmarks.world_regions import world_regions
from trifocal.regions.augment import Augmentation
from trifocal.regions.encoder import ZERO_SHOT, RegionEncoder
from trifocal.regions.prompts import PromptConfig
from trifocal.tuning import AdapterConfig
from trifocal.world import WorldAbduction

STEPS, BATCH = 50, 64
ROWS = {"P@1": "right inference first", "im2txt": "its mean rank", "txt2im": "the region's rank"}


def measure(encoder: RegionEncoder) -> dict[str, float]:
    """Return the scores on regions of scenes that nothing was trained on."""
    return {row.metric: row.value for row in world_regions(encoder, scenes=40)}


def main(steps: int = STEPS) -> None:
    """Measure, train, measure again."""
    torch.manual_seed(0)
    clip = load_clip("builtin")
    before = measure(region_encoder(clip, ZERO_SHOT))

    # A region is shown magnified beside the whole picture in which it is marked. Adapters are
    # trained, and at a rate of their own the edges of the towers; the blocks stay as they are.
    config = RcaConfig(
        prompt=PromptConfig("mix", size=32, prefix=False),
        augmentation=Augmentation(operations=0),
        adapters=AdapterConfig(drop_path=0.0),
        edge_lr=1e-3,
    )
    method = Rca(copy.deepcopy(clip), config).train()

    scenes = WorldAbduction("train", size=steps * BATCH, image_size=clip.image_size, seed=1)
    maker = BatchMaker(scenes, Order(len(scenes), BATCH, seed=0), method.batching())

    groups = [{"lr": g.pop("base_lr", 3e-3), **g} for g in method.param_groups(weight_decay=0.1)]
    optimizer = torch.optim.AdamW(groups)
    for step, batch in enumerate(batches(maker, 0, steps)):
        terms = method.loss(batch)  # the picture with its clue, the picture with its inference
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == steps - 1:
            print(f"step {step:3d}  " + "  ".join(f"{k} {v.item():.3f}" for k, v in terms.items()))

    after = measure(region_encoder(method.eval()))
    print(f"\n{'':28}{'base':>8}{'RCA':>8}")
    for key, label in ROWS.items():
        print(f"{label:28}{before[key]:8.2f}{after[key]:8.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))  # a number is that of the steps
