"""Classes by their pictures."""

from __future__ import annotations

import torch

from trifocal.concepts.ccli import CCLI
from trifocal.concepts.prototypes import class_prototypes
from trifocal.concepts.support import Support, unit


def clouds(each: int, width: int = 16, noise: float = 0.3) -> tuple[Support, Support]:
    """Return a support and pictures to ask of it, of 4 classes that share most of what they show."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    centers, shared, loud = draw(4, width) / 4, 3 * draw(width), 2 * draw(width)
    words = unit(draw(60, width))

    def support(count: int) -> Support:
        labels = torch.arange(4).repeat_interleave(count)
        own = noise * draw(len(labels), width) / width**0.5 + draw(len(labels), 1) * loud
        return Support((shared + centers[labels] + own)[:, None], labels, None, words, None, 4)

    return support(each), support(50)


def test_they_are_unit_and_what_all_pictures_show_is_in_none() -> None:
    for each in (1, 5):
        data, _ = clouds(each)
        found = class_prototypes(data)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(4).double())
        torch.testing.assert_close(found @ unit(data.features.mean(0)), torch.zeros(4).double())


def test_what_pictures_of_a_class_differ_in_counts_less() -> None:
    data, asked = clouds(8)
    x, labels = asked.features, asked.labels
    means = torch.stack([data.features[data.labels == label].mean(0) for label in range(4)])
    nearest = (x @ unit(means).T).argmax(1) == labels
    found = (x @ class_prototypes(data).T).argmax(1) == labels
    assert float(found.double().mean()) > 0.9 > float(nearest.double().mean())


def test_ccli_without_class_texts_does_not_collapse() -> None:
    data, asked = clouds(8)
    for head in ("tf", "full"):
        right = [
            (CCLI(head=head, without_text=way)  # pyright: ignore[reportArgumentType]
             .fit(data.views, data.labels, None, data.concepts)
             .predict(asked.features) == asked.labels).double().mean()
            for way in ("prototypes", "nothing")
        ]  # fmt: skip
        assert right[0] > 0.9 > right[1]
