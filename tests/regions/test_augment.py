"""Training augmentation: what is shared, how strong it is, how often it happens."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from trifocal.errors import UserError
from trifocal.regions.augment import OFF, OPERATIONS, Augmentation, apply

SIDE = 24


def picture(seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8))


def flips(share: str, times: int = 400) -> np.ndarray:
    """Return which of two pictures were flipped, (times, 2)."""
    pair = [picture(0), picture(1)]
    mirrored = [ImageOps.mirror(one) for one in pair]
    rng = np.random.default_rng(3)
    augmentation = Augmentation(operations=0, share=share)  # pyright: ignore[reportArgumentType]
    seen = []
    for _ in range(times):
        made = augmentation(pair, rng)
        assert all(one in (a, b) for one, a, b in zip(made, pair, mirrored))
        seen.append([one == b for one, b in zip(made, mirrored)])
    return np.array(seen)


@pytest.mark.parametrize("share", ["flip", "all"])
def test_a_shared_flip_turns_both_slots_or_neither(share: str) -> None:
    region, context = flips(share).T
    assert (region == context).all()
    assert 0.4 < region.mean() < 0.6


def test_independent_flips_disagree_half_of_the_time() -> None:
    region, context = flips("none").T
    assert 0.4 < (region == context).mean() < 0.6
    assert 0.4 < region.mean() < 0.6
    assert 0.4 < context.mean() < 0.6


def test_share_all_does_the_same_to_both_and_share_flip_does_not() -> None:
    same = {"all": 0, "flip": 0, "none": 0}
    for share in same:
        augmentation = Augmentation(share=share)  # pyright: ignore[reportArgumentType]
        rng = np.random.default_rng(0)
        for _ in range(100):
            region, context = augmentation([picture(), picture()], rng)
            same[share] += region == context
    assert same["all"] == 100
    assert same["none"] < same["flip"] < 70


def test_off_costs_and_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    pair = [picture(0), picture(1)]
    assert all(a is b for a, b in zip(OFF(pair, rng), pair))
    assert rng.bit_generator.state == state
    assert OFF.off
    assert not Augmentation().off


def test_the_same_seed_gives_the_same_pixels() -> None:
    runs = [
        [Augmentation()([picture()], np.random.default_rng(seed))[0] for seed in range(20)]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_half_of_the_drawn_operations_are_applied_each_as_often() -> None:
    rng = np.random.default_rng(0)
    drawn = [Augmentation()._drawn(rng) for _ in range(5000)]
    names = [name for steps in drawn for name, _ in steps]
    assert len(names) / 10000 == pytest.approx(0.5, abs=0.02)
    assert {len(steps) for steps in drawn} == {0, 1, 2}
    for name in OPERATIONS:
        assert names.count(name) / len(names) == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("shear_x", 0.15),
        ("shear_y", 0.15),
        ("translate_x", 5),
        ("translate_y", 5),
        ("rotate", 15),
    ],
)
def test_level_5_has_the_published_magnitudes(name: str, strength: float) -> None:
    rng = np.random.default_rng(0)
    drawn = {Augmentation()._magnitude(name, rng) for _ in range(50)}
    assert sorted(drawn) == pytest.approx([-strength, strength])


def test_published_enhancement_changes_nothing_and_the_range_does() -> None:
    rng = np.random.default_rng(0)
    published = Augmentation(enhance="published")
    for name in ("brightness", "sharpness"):
        factor = published._magnitude(name, rng)
        assert factor == 1
        assert apply(picture(), name, factor) == picture()
        drawn = [Augmentation()._magnitude(name, rng) for _ in range(500)]
        assert 0.5 <= min(drawn) < 0.52
        assert 1.48 < max(drawn) <= 1.5


def test_geometry_is_exact_and_fills_with_gray() -> None:
    before = np.asarray(picture())
    right = np.asarray(apply(picture(), "translate_x", -5))
    assert (right[:, 5:] == before[:, :-5]).all()
    assert (right[:, :5] == 128).all()
    up = np.asarray(apply(picture(), "translate_y", 5))
    assert (up[:-5] == before[5:]).all()
    assert (up[-5:] == 128).all()
    white = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    for name, magnitude in (("rotate", 15.0), ("shear_x", 0.15), ("shear_y", -0.15)):
        made = np.asarray(apply(white, name, magnitude))
        assert made.shape == (SIDE, SIDE, 3)
        assert (made == 128).all(-1).any()
        assert (made == 255).all(-1).mean() > 0.5


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (7, 90, 201)])
def test_flat_pictures_are_survived(name: str, color: tuple[int, int, int]) -> None:
    made = apply(Image.new("RGB", (SIDE, SIDE), color), name, 0.5)
    assert (made.size, made.mode) == ((SIDE, SIDE), "RGB")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flip": 2}, "flip is 2; give a chance"),
        ({"probability": -0.1}, "probability is -0.1"),
        ({"probability": float("nan")}, "probability is nan"),
        ({"operations": -1}, "draws -1 operations"),
        ({"level": 11}, "level is 11"),
        ({"share": "fliip"}, "Did you mean 'flip'"),
        ({"enhance": "no"}, "choose from range, published"),
    ],
)
def test_wrong_settings_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Augmentation(**fields)


def test_an_unknown_operation_is_an_error() -> None:
    with pytest.raises(ValueError, match="posterize"):
        apply(picture(), "posterize", 1)
