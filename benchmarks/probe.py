"""What an image embedding holds of "which of two things is on the left": a linear read-out.

    python benchmarks/probe.py [MODEL ...]      (default: builtin)

Scenes of two things of different kinds, one left of the other. For every kind there is one weight
vector; the answer is their difference, read from the pooled embedding, or from the difference of
the mean patches of the left and the right half. Fitted on 4 500 scenes, tested on 1 500 others.
"""

from __future__ import annotations

import sys
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from trifocal.tuning import load_model
from trifocal.world import draw, make_scene, to_tensor
from trifocal.world.scene import Scene
from trifocal.world.vocabulary import KINDS

FITTED, TESTED = 4500, 1500
DECAY = 1e-3


def side_by_side() -> list[Scene]:
    """Return validation scenes of two kinds, one left of the other."""
    found = []
    for index in count():
        scene = make_scene(3, index, "val", 2)
        first, second = scene.things
        if scene.relation(0, 1) in ("left", "right") and first.kind != second.kind:
            found.append(scene)
        if len(found) == FITTED + TESTED:
            return found
    raise AssertionError


@torch.no_grad()
def embed(model, scenes: list[Scene]) -> dict[str, Tensor]:
    """Return pooled embeddings, and left minus right patches, both (N, D) and centered."""
    pooled, sides = [], []
    for start in range(0, len(scenes), 500):
        some = scenes[start : start + 500]
        pixels = torch.stack([to_tensor(draw(scene, model.image_size)) for scene in some])
        embedding = model.encode_image(pixels, patches=True)
        grid = embedding.patches.unflatten(1, model.patch_grid)
        half = model.patch_grid[1] // 2
        pooled.append(embedding.pooled)
        sides.append(grid[:, :, :half].mean((1, 2)) - grid[:, :, -half:].mean((1, 2)))
    whole = {"pooled": torch.cat(pooled), "patches": torch.cat(sides)}
    return {name: value - value.mean(0) for name, value in whole.items()}


def accuracy(features: Tensor, scenes: list[Scene]) -> float:
    """Fit the read-out and return its accuracy on the scenes it was not fitted to."""
    kinds = torch.zeros(len(scenes), len(KINDS))
    for row, scene in zip(kinds, scenes):
        row[KINDS.index(scene.things[0].kind)] = 1
        row[KINDS.index(scene.things[1].kind)] = -1
    asked = (features[:, :, None] * kinds[:, None, :]).flatten(1)
    asked = asked / asked.std()
    truth = torch.tensor([float(scene.relation(0, 1) == "left") for scene in scenes])
    weights = torch.zeros(asked.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = binary_cross_entropy_with_logits(asked[:FITTED] @ weights, truth[:FITTED])
        value = value + DECAY * weights.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        right = (asked[FITTED:] @ weights > 0) == (truth[FITTED:] > 0)
    return float(right.float().mean())


def main(names: list[str]) -> None:
    scenes = side_by_side()
    for name in names or ["builtin"]:
        features = embed(load_model(name).eval(), scenes)
        found = ", ".join(f"{k} {100 * accuracy(v, scenes):.1f} %" for k, v in features.items())
        print(f"{name}: which of two kinds is on the left, read from {found}")


if __name__ == "__main__":
    main(sys.argv[1:])
