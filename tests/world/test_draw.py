"""Pictures: where and how the scene graph says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from trifocal.errors import UserError
from trifocal.world.draw import draw
from trifocal.world.scene import Scene, Thing, make_scene
from trifocal.world.shapes import HOLE
from trifocal.world.sprites import sprite, tone_map
from trifocal.world.vocabulary import COLORS, CONDITIONS, KINDS, NOVEL_KINDS, PLACES, TEXTURES

ALL_KINDS = (*KINDS, *NOVEL_KINDS)


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.float64)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_silhouettes_fill_their_boxes(kind):
    """So the boxes of the scene graph are exact."""
    tones = tone_map(kind, 200)
    rows, columns = np.nonzero(tones != HOLE)
    height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
    assert max(height, width) == pytest.approx(200, abs=2)
    middle = (rows.max() + rows.min()) / 2, (columns.max() + columns.min()) / 2
    assert middle == pytest.approx(((tones.shape[0] - 1) / 2, (tones.shape[1] - 1) / 2), abs=1.5)


def test_silhouettes_differ_at_twelve_pixels():
    """No two kinds may look alike once they are as small as a tiny CLIP sees them."""
    masks = []
    for kind in ALL_KINDS:
        inside = Image.fromarray((tone_map(kind, 120) != HOLE).astype(np.uint8) * 255)
        masks.append(_pixels(inside.resize((12, 12), Image.Resampling.BOX)) / 255)
    for i, a in enumerate(masks):
        for j in range(i):
            overlap = np.minimum(a, masks[j]).sum() / np.maximum(a, masks[j]).sum()
            assert overlap < 0.9, (ALL_KINDS[i], ALL_KINDS[j], overlap)


def test_pictures_do_not_depend_on_order_or_caches():
    drawn = [draw(make_scene(0, i), 64).tobytes() for i in range(30)]
    sprite.cache_clear()
    again = [draw(make_scene(0, i), 64).tobytes() for i in reversed(range(30))]
    assert drawn == again[::-1]


def test_golden_picture():
    """Mean colors of one picture; exact bytes may differ between versions of Pillow."""
    pixels = _pixels(draw(make_scene(7, 3, "test"), 64))
    assert pixels.mean((0, 1)) == pytest.approx([93.5, 88.5, 114.7], abs=2)


def test_things_are_where_their_boxes_are():
    scene = make_scene(5, 11, "val", things=4)
    size = 200
    bare = _pixels(draw(replace(scene, things=()), size))
    for thing in scene.things:
        alone = _pixels(draw(replace(scene, things=(thing,)), size))
        rows, columns = np.nonzero(np.abs(alone - bare).max(-1) > 30)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        # Rim and shadow reach a little beyond the silhouette.
        assert np.array(found) / size == pytest.approx(np.array(thing.box), abs=0.035)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("color", COLORS)
def test_colors_stay_what_they_are_in_any_weather(color, condition):
    thing = Thing("box", color, "large", "plain", (0.3, 0.3, 0.75, 0.73))
    scene = Scene("one", (thing,), "field", condition)
    pixels = _pixels(draw(scene, 64))[28:44, 22:38].reshape(-1, 3)
    median = np.median(pixels, axis=0)
    distances = {name: np.linalg.norm(median - rgb) for name, rgb in COLORS.items()}
    assert min(distances, key=distances.__getitem__) == color


@pytest.mark.parametrize("texture", TEXTURES)
def test_textures_change_the_picture_but_keep_the_color(texture):
    image, margin = sprite("ball", "blue", texture, 20, 20)
    inner = _pixels(image)[margin + 4 : -margin - 4, margin + 4 : -margin - 4, :3]
    spread = inner.std((0, 1)).max()
    assert spread > 35 if texture != "plain" else spread < 35
    assert inner.mean((0, 1)).argmax() == 2


@pytest.mark.parametrize("place", PLACES)
def test_backgrounds_of_a_place_differ_by_weather(place):
    means = [
        _pixels(draw(Scene("empty", (), place, condition), 48)).mean((0, 1))
        for condition in CONDITIONS
    ]
    for i, a in enumerate(means):
        for b in means[:i]:
            assert np.abs(a - b).max() > 8


def test_sizes():
    assert draw(make_scene(0, 0), 64).size == (64, 64)
    assert draw(make_scene(0, 0), (48, 96)).size == (96, 48)
    assert draw(make_scene(0, 0), 64).mode == "RGB"
    for wrong in (4, 5000, (64, 8)):
        with pytest.raises(UserError, match="16 to 4096"):
            draw(make_scene(0, 0), wrong)


def test_drawing_leaves_shared_pictures_alone():
    """Backgrounds are kept; a scene must not be painted onto the kept one."""
    scene = make_scene(0, 1)
    first = draw(scene, 64).tobytes()
    draw(replace(scene, things=make_scene(0, 2).things), 64)
    assert draw(scene, 64).tobytes() == first
