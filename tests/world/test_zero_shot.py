"""Classification tasks: labels are true and prompts well formed."""

from __future__ import annotations

import numpy as np
import pytest

from trifocal.errors import UserError
from trifocal.world.vocabulary import SETTING_PHRASES
from trifocal.world.zero_shot import ZERO_SHOT, zero_shot_task


@pytest.mark.parametrize("name", ZERO_SHOT)
def test_labels_are_what_the_scene_shows(name):
    task = zero_shot_task(name, 300)
    assert len(task.items) == 300
    for position, item in enumerate(task.items):
        scene = task.scene(position)
        (thing,) = scene.things
        classname = task.classnames[item.label]
        setting = SETTING_PHRASES[scene.place, scene.condition]
        truth = {
            "kinds": classname == thing.kind,
            "colors": classname == thing.color,
            "sizes": classname == thing.size,
            "textures": classname == thing.texture,
            "places": classname.split()[-1] == scene.place,
            "settings": classname in setting,
        }
        assert truth[name]
        assert item.filename == f"{scene.id}.png"


@pytest.mark.parametrize("name", ZERO_SHOT)
def test_classes_come_about_equally_often(name):
    task = zero_shot_task(name, 1600)
    counts = np.bincount([item.label for item in task.items], minlength=len(task.classnames))
    expected = 1600 / len(task.classnames)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_prompts_have_the_right_article():
    task = zero_shot_task("kinds", 1)
    assert "a picture of an anchor" in task.prompts(task.classnames.index("anchor"))
    assert "a picture of a ball" in task.prompts(task.classnames.index("ball"))
    assert all("{c}" in template for name in ZERO_SHOT for template in ZERO_SHOT[name].templates)


def test_class_names_are_distinct():
    for labeling in ZERO_SHOT.values():
        assert len(set(labeling.classnames)) == len(labeling.classnames)


def test_unknown_task():
    with pytest.raises(UserError, match="Did you mean 'colors'"):
        zero_shot_task("colours", 5)
