"""The training source: fixed pictures, fresh words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trifocal.errors import UserError
from trifocal.world.scene import make_scene
from trifocal.world.source import WorldCaptions
from trifocal.world.vocabulary import KINDS


def test_sample():
    source = WorldCaptions(size=10, image_size=48)
    sample = source.sample(3, np.random.default_rng(0))
    assert len(source) == 10
    assert isinstance(sample.image, torch.Tensor)
    assert sample.image.shape == (3, 48, 48)
    assert sample.image.dtype == torch.uint8
    assert sample.image.is_contiguous()
    assert sample.id == source.scene(3).id


def test_picture_is_fixed_and_wording_follows_the_generator():
    a, b = WorldCaptions(size=50), WorldCaptions(size=80)
    first = a.sample(7, np.random.default_rng(1))
    for index in (3, 40):
        b.sample(index, np.random.default_rng(5))
    again = b.sample(7, np.random.default_rng(1))
    assert torch.equal(torch.as_tensor(first.image), torch.as_tensor(again.image))
    assert first.caption == again.caption
    others = {b.sample(7, np.random.default_rng(k)).caption for k in range(20)}
    assert len(others) > 3


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_share_of_single_things(share):
    source = WorldCaptions(size=400, single_share=share)
    single = np.mean([len(source.scene(i).things) == 1 for i in range(400)])
    assert single == pytest.approx(share, abs=0.0 if share in (0, 1) else 0.08)


def test_captions_of_the_web_say_where_but_seldom_how_things_stand_to_each_other():
    def share(wording: str, *words: str) -> float:
        source = WorldCaptions(size=600, single_share=0.0, wording=wording)
        texts = [source.caption(index, np.random.default_rng(index)) for index in range(600)]
        return float(np.mean([any(word in text for word in words) for text in texts]))

    relations = ("left of", "right of", "above", "over", "below", "under")
    spots = ("on the left", "on the right", "at the top", "at the bottom")
    assert share("curated", *relations) > 0.35
    assert share("web", *relations) < 0.1
    assert share("web", *spots) > 0.2


def test_a_number_of_things():
    source = WorldCaptions(size=50, single_share=0.4, things=2)
    assert {len(source.scene(index).things) for index in range(50)} == {1, 2}


def test_a_list_goes_from_the_left_or_from_the_top():
    source = WorldCaptions(size=300, single_share=0.0, things=2, wording="list")
    checked = 0
    for index in range(300):
        scene, text = source.scene(index), source.caption(index, np.random.default_rng(index))
        first, second = scene.things
        places = [text.find(thing.kind) for thing in scene.things]
        if first.kind == second.kind or -1 in places or scene.relation(0, 1) is None:
            continue
        assert (places[0] < places[1]) is (scene.relation(0, 1) in ("left", "above")), text
        checked += 1
    assert checked > 100


def test_a_narrow_part_of_the_world():
    """Ten kinds only, relations in a fifth of the captions; the rest of a scene is as ever."""
    source = WorldCaptions(size=400, single_share=0.0, kinds=10, relation=0.2)
    scenes = [source.scene(index) for index in range(400)]
    assert {thing.kind for scene in scenes for thing in scene.things} == set(KINDS[:10])
    texts = [source.caption(index, np.random.default_rng(index)) for index in range(400)]
    relations = ("left of", "right of", "above", "over", "below", "under")
    related = np.mean([any(word in text for word in relations) for text in texts])
    everything = WorldCaptions(size=400, single_share=0.0, kinds=10)
    whole = [everything.caption(index, np.random.default_rng(index)) for index in range(400)]
    among_all = np.mean([any(word in text for word in relations) for text in whole])
    assert related == pytest.approx(0.2 * among_all, abs=0.06)
    assert not {scene.id for scene in scenes} & {make_scene(0, i).id for i in range(400)}


@pytest.mark.parametrize("kinds", [0, 25])
def test_as_many_kinds_as_there_are(kinds):
    with pytest.raises(UserError, match="1 to 24 kinds"):
        WorldCaptions(size=1, kinds=kinds).scene(0)


def test_an_identifier_names_one_picture():
    """Embeddings may be kept by identifier, whatever the share of single things."""
    few, many = WorldCaptions(size=60, single_share=0.2), WorldCaptions(size=60, single_share=0.8)
    scenes = {scene.id: scene for source in (few, many) for scene in map(source.scene, range(60))}
    for source in (few, many):
        for index in range(60):
            assert scenes[source.scene(index).id] == source.scene(index)


def test_splits_and_seeds_show_different_scenes():
    sources = [WorldCaptions("train"), WorldCaptions("test"), WorldCaptions("train", seed=1)]
    drawn = [source.scene(0) for source in sources]
    assert len({scene.things for scene in drawn}) == 3


def test_wrong_arguments():
    with pytest.raises(UserError, match="no split"):
        WorldCaptions("dev")
    with pytest.raises(UserError, match="no wording"):
        WorldCaptions(wording="poetic")
    with pytest.raises(UserError, match="at least one"):
        WorldCaptions(size=0)
    with pytest.raises(UserError, match="single_share"):
        WorldCaptions(single_share=1.5)
    with pytest.raises(IndexError):
        WorldCaptions(size=5).sample(5, np.random.default_rng(0))
