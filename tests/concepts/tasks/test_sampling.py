"""The few-shot draw: CoOp's own sets, element for element, and the variants of others."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.concepts.datasets.split_files import Split
from trifocal.concepts.tasks.sampling import sample_few_shot
from trifocal.errors import UserError

# First 12 hexadecimal digits of SHA-256 over the paths, seed 1: 1-shot train, 16-shot train,
# 16-shot val. Those of FGVC-Aircraft, Food101 and SUN397 come from published index files.
PUBLISHED = {
    "caltech101": ("33173bedf9ad", "e60a836bd33c", "53555d3fce94"),
    "dtd": ("b6fe093e7582", "daf3b28e531f", "9ef81bd9b8f3"),
    "eurosat": ("07843a86e827", "ad260707da91", "f171ab42c4e4"),
    "fgvc_aircraft": ("660c50b635e2", "27de4feb9721", "fd4231e9d5e2"),
    "food101": ("cae5ee579995", "8bcab0ea1c2d", "0c299214865c"),
    "oxford_flowers": ("2daab14963c6", "ea366f552e24", "3a88b427e7b1"),
    "oxford_pets": ("cd2df5bce89f", "711e62ca7ba4", "b75fc02100f3"),
    "stanford_cars": ("d35e1547dbda", "f7d56096c792", "edeb0808f53c"),
    "sun397": ("3a2475837233", "4f0fcf0ddbbe", "e1255316553e"),
    "ucf101": ("8d32f53fb5ea", "b88bd6d2db74", "6499ec117e62"),
}
EUROSAT = (
    ("AnnualCrop_2365", 275),
    ("Forest_2046", 2665),
    ("HerbaceousVegetation_503", 3129),
    ("Highway_125", 5022),
    ("Industrial_2006", 5991),
    ("Pasture_573", 7507),
    ("PermanentCrop_1476", 8920),
    ("Residential_1520", 10217),
    ("River_882", 11527),
    ("SeaLake_1624", 12429),
)


def dataset(train: Iterable[LabeledImage], val: Iterable[LabeledImage] = ()) -> ImageClasses:
    train = list(train)
    names = tuple(f"class {i}" for i in range(1 + max(item.label for item in train)))
    return ImageClasses("mine", Path(), names, ("a {}",), train, list(val))


def images(**counts: int) -> list[LabeledImage]:
    return [
        LabeledImage(f"{name}/{i}.jpg", label)
        for label, (name, count) in enumerate(counts.items())
        for i in range(count)
    ]


ANIMALS = dataset(images(cat=5, dog=5, emu=3))


def drawn(items: Iterable[LabeledImage]) -> str:
    """Return paths in short: "cat/1 dog/4"."""
    return " ".join(item.path.removesuffix(".jpg") for item in items)


def digest(items: Iterable[LabeledImage]) -> str:
    return hashlib.sha256("\n".join(item.path for item in items).encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("seed", "shots", "expected"),
    [
        (1, 1, "cat/1 dog/4 emu/0"),
        (1, 2, "cat/1 cat/0 dog/2 dog/0 emu/1 emu/2"),
        (1, 4, "cat/1 cat/0 cat/4 cat/3 dog/3 dog/4 dog/1 dog/2 emu/0 emu/1 emu/2"),
        (2, 1, "cat/0 dog/0 emu/0"),
        (2, 2, "cat/0 cat/4 dog/0 dog/2 emu/0 emu/1"),
    ],
)
def test_miniature(seed: int, shots: int, expected: str) -> None:
    assert drawn(sample_few_shot(ANIMALS, shots, seed)[0]) == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_draws(name: str, real_split: Callable[[str], Split]) -> None:
    split = real_split(name)
    whole = dataset(split.train, split.val)
    one, _ = sample_few_shot(whole, 1, 1)
    sixteen, val = sample_few_shot(whole, 16, 1)
    assert (digest(one), digest(sixteen), digest(val)) == PUBLISHED[name]


def test_eurosat_in_full(real_split: Callable[[str], Split]) -> None:
    split = real_split("eurosat")
    one, _ = sample_few_shot(dataset(split.train, split.val), 1, 1)
    places = {item.path: place for place, item in enumerate(split.train)}
    assert [(Path(item.path).stem, places[item.path]) for item in one] == list(EUROSAT)


@pytest.mark.parametrize(("name", "shots", "common"), [("eurosat", 16, 2), ("dtd", 1, 0)])
def test_validation_drawn_first_gives_other_pictures(
    name: str, shots: int, common: int, real_split: Callable[[str], Split]
) -> None:
    split = real_split(name)
    whole = dataset(split.train, split.val)
    coop, _ = sample_few_shot(whole, shots, 1)
    lora, _ = sample_few_shot(whole, shots, 1, order="val-first")
    assert len(coop) == len(lora) == shots * len(split.classnames)
    assert len({*coop} & {*lora}) == common


def test_classes_come_in_order_of_first_appearance(real_split: Callable[[str], Split]) -> None:
    flowers = real_split("oxford_flowers")
    assert flowers.train[0].label == 76
    one, _ = sample_few_shot(dataset(flowers.train), 1, 1)
    first_seen = list(dict.fromkeys(item.label for item in flowers.train))
    assert [item.label for item in one] == first_seen
    assert first_seen != sorted(first_seen)


def test_small_classes_are_padded_where_asked() -> None:
    train, _ = sample_few_shot(ANIMALS, 4, 1, pad=True)
    assert Counter(item.label for item in train) == {0: 4, 1: 4, 2: 4}
    # random.choices follows the two samples on the same stream
    rng = random.Random(1)
    for group in (ANIMALS.train[:5], ANIMALS.train[5:10]):
        rng.sample(list(group), 4)
    assert train[8:] == rng.choices(list(ANIMALS.train[10:]), k=4)


def test_validation_shots() -> None:
    whole = dataset(images(a=9, b=9), images(a=7, b=7))
    for shots, expected in ((1, 2), (2, 4), (4, 8), (8, 8)):
        assert len(sample_few_shot(whole, shots, 1)[1]) == expected
    train, val = sample_few_shot(whole, 2, 1, val_shots="all")
    assert len(train) == 4
    assert val == whole.val
    assert sample_few_shot(whole, 2, 1, val_shots=0)[1] == []
    assert sample_few_shot(whole, "all", 1) == (whole.train, whole.val)
    assert len(sample_few_shot(whole, "all", 1, val_shots=3)[1]) == 6


def test_validation_from_training_pictures() -> None:
    train, val = sample_few_shot(ANIMALS, 2, 1, val_from="train")
    assert Counter(item.label for item in train) == {0: 2, 1: 2, 2: 2}
    assert Counter(item.label for item in val) == {0: 2, 1: 2, 2: 1}
    assert not {*train} & {*val}
    rng = random.Random(1)
    assert rng.sample(list(ANIMALS.train[:5]), 4) == train[:2] + val[:2]
    with pytest.raises(UserError, match="numbers of shots, not all"):
        sample_few_shot(ANIMALS, "all", 1, val_from="train")
    with pytest.raises(UserError, match="padding would put support pictures"):
        sample_few_shot(ANIMALS, 2, 1, pad=True, val_from="train")


@given(
    st.lists(st.integers(0, 4), min_size=5, max_size=60),
    st.integers(1, 9),
    st.integers(0, 99),
    st.booleans(),
)
def test_draws(labels: list[int], shots: int, seed: int, val_first: bool) -> None:
    labels = [*range(5), *labels]
    train = [LabeledImage(f"{i}.jpg", label) for i, label in enumerate(labels)]
    whole = dataset(train, train)
    state = random.getstate()
    order = "val-first" if val_first else "train-first"
    support, val = sample_few_shot(whole, shots, seed, order=order)
    assert random.getstate() == state  # nobody else's stream is touched
    assert (support, val) == sample_few_shot(whole, shots, seed, order=order)
    assert len({*support}) == len(support)
    assert {*support} <= {*train}
    there = Counter(labels)
    assert Counter(item.label for item in support) == {k: min(n, shots) for k, n in there.items()}
    assert max(Counter(item.label for item in val).values()) <= min(shots, 4)


@pytest.mark.parametrize("shots", [0, -1, 1.5, True, "few"])
def test_wrong_shots_are_refused(shots: object) -> None:
    with pytest.raises(UserError, match="shots must be an integer from 1 on"):
        sample_few_shot(ANIMALS, shots, 1)  # type: ignore[arg-type]


def test_wrong_validation_shots_are_refused() -> None:
    with pytest.raises(UserError, match="shots must be an integer from 0 on"):
        sample_few_shot(ANIMALS, 1, 1, val_shots=-1)


def test_a_class_without_training_pictures_is_named() -> None:
    train = [item for item in ANIMALS.train if item.label != 1]
    with pytest.raises(UserError, match=r"no training picture of class 1 \(class 1\)"):
        sample_few_shot(dataset(train), 1, 1)
