"""How hard the world's few-shot classes are: simple heads on the built-in base's features.

    python benchmarks/world_few_shot.py [MODEL] [--size 48] [--draws 10]

Zero-shot by the classes' names, zero-shot by their descriptions ("a striped hat and a tree", which
no few-shot method is told), and for 1 to 16 shots the nearest class mean (cosine) and ridge
regression to one-hot labels (penalty 1), on the test pictures and on each domain; means over draws
of the support from 20 training pictures a class. 480 test pictures: a standard error of 2 points.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from trifocal.features.embed import encode_images, encode_texts
from trifocal.tuning import load_model
from trifocal.world import DOMAINS, FEW_SHOT_CLASSES, FEW_SHOT_TEMPLATES, few_shot_dataset
from trifocal.world.few_shot import FewShotClass
from trifocal.world.zero_shot import fill

PER_CLASS = 20
SHOTS = (1, 2, 4, 8, 16)
CLASSES = len(FEW_SHOT_CLASSES)


def names(one: FewShotClass) -> list[str]:
    """Return the prompts of a class."""
    return fill(tuple(t.format("{c}") for t in FEW_SHOT_TEMPLATES), one.name)


def class_text(model, texts: Sequence[Sequence[str]]) -> Tensor:
    """Return (D, d) mean embeddings of the texts of each class."""
    return torch.stack([encode_texts(model, list(some)).mean(0) for some in texts])


def centroid(support: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return (n, D) cosines with the class means."""
    means = one_hot(labels, CLASSES).T.float() @ support
    return features @ normalize(means, dim=1).T


def ridge(support: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return (n, D) outputs of ridge regression to one-hot labels."""
    gram = support.T @ support + torch.eye(support.shape[1])
    weights = torch.linalg.solve(gram, support.T @ one_hot(labels, CLASSES).float())
    return features @ weights


def support_of(labels: Tensor, shots: int, seed: int) -> Tensor:
    """Draw rows of `shots` pictures of every class."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    return torch.cat([order[labels[order] == label][:shots] for label in range(CLASSES)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="builtin")
    parser.add_argument("--size", type=int, default=48, help="side that pictures are drawn at")
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    model = load_model(arguments.model).eval()
    train, held_out = few_shot_dataset(PER_CLASS), few_shot_dataset(PER_CLASS, split="test")

    def features(items, domain=None) -> Tensor:
        return encode_images(model, [item.picture(arguments.size, domain) for item in items])

    pool, labels = features(train), torch.tensor([item.label for item in train])
    truth = torch.tensor([item.label for item in held_out])
    tests = {domain or "test": features(held_out, domain) for domain in (None, *DOMAINS)}

    def row(name: str, logits: dict[str, list[Tensor]]) -> None:
        found = (
            sum(100 * (one.argmax(1) == truth).double().mean().item() for one in some) / len(some)
            for some in logits.values()
        )
        print(f"{name:24}", *(f"{value:14.1f}" for value in found))

    print(f"{'%, chance ' + format(100 / CLASSES, '.1f'):24}", *(f"{name:>14}" for name in tests))
    for name, words in (("name", names), ("description", lambda one: one.descriptions)):
        text = class_text(model, [words(one) for one in FEW_SHOT_CLASSES])
        text = normalize(text, dim=1)
        row(f"zero-shot, {name}", {key: [some @ text.T] for key, some in tests.items()})
    for head in (centroid, ridge):
        for shots in SHOTS:
            chosen = [support_of(labels, shots, seed) for seed in range(arguments.draws)]
            logits = {
                key: [head(pool[rows], labels[rows], some) for rows in chosen]
                for key, some in tests.items()
            }
            row(f"{head.__name__}, {shots} shots", logits)


if __name__ == "__main__":
    main()
