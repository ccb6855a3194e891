"""Questions find what they should, and say when they find nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from trifocal.clip import Clip
from trifocal.errors import UserError
from trifocal.features.embed import encode_texts
from trifocal.search import PictureIndex, Query, index_pictures, open_index, search


def test_hits_are_in_the_order_of_their_cosines(tiny_clip: Clip, index: PictureIndex) -> None:
    found = search(tiny_clip, index, Query("a red ball"), top=4)
    asked = encode_texts(tiny_clip, ["a red ball"])[0]
    expected = (index.vectors @ asked).sort(descending=True).values[:4]
    assert torch.allclose(torch.tensor([hit.score for hit in found.hits]), expected)
    assert [hit.rank for hit in found.hits] == [1, 2, 3, 4]
    assert found.searched == 6


def test_a_picture_finds_itself(tiny_clip: Clip, index: PictureIndex, photos: Path) -> None:
    found = search(tiny_clip, index, Query(image=photos / "blue.png"), top=1)
    assert Path(found.hits[0].name).name == "blue.png"
    assert found.hits[0].score == pytest.approx(1, abs=1e-5)
    assert found.deviation is None
    assert found.good


def test_the_cut_says_when_nothing_fits(tiny_clip: Clip, index: PictureIndex) -> None:
    asked = Query("a red ball")
    found = search(tiny_clip, index, asked)
    assert found.deviation is not None
    assert search(tiny_clip, index, asked, cut=found.deviation - 0.1).good
    assert not search(tiny_clip, index, asked, cut=found.deviation + 0.1).good


def test_deviations_are_those_of_the_definition(tiny_clip: Clip, index: PictureIndex) -> None:
    from trifocal.concepts.vocabulary import SHIPPED, load_vocabulary

    ground = encode_texts(tiny_clip, list(load_vocabulary(SHIPPED).names)).double()
    asked = encode_texts(tiny_clip, ["a blue box"])[0].double()
    says = index.vectors.double() @ ground.T
    expected = (index.vectors.double() @ asked - says.mean(1)) / says.std(1, correction=0)
    made = index.background.deviations(asked.float(), index.vectors)
    assert torch.allclose(made.double(), expected, atol=1e-2)


def test_what_is_unwanted_goes_down(tiny_clip: Clip, index: PictureIndex) -> None:
    asked = search(tiny_clip, index, Query("a red ball"), top=6).hits
    pushed = search(tiny_clip, index, Query("a red ball", without=("a red ball",)), top=6).hits
    before = {hit.name: hit.score for hit in asked}
    assert all(hit.score <= before[hit.name] for hit in pushed)


def test_copies_are_one_hit(tiny_clip: Clip, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "red.png", photos / "z.png")
    index_pictures(tiny_clip, [photos], tmp_path / "index")
    index = open_index(tmp_path / "index", tiny_clip)
    found = search(tiny_clip, index, Query(image=photos / "red.png"), top=3)
    assert [Path(name).name for name in found.hits[0].copies] == ["z.png"]
    assert len(found.hits) == 3


def test_a_second_look_and_boxes(tiny_clip: Clip, index: PictureIndex) -> None:
    local = search(tiny_clip, index, Query("a red ball", local=True), top=3)
    assert [hit.score for hit in local.hits] == sorted((h.score for h in local.hits), reverse=True)
    boxed = search(tiny_clip, index, Query("a red ball", boxes=True), top=3)
    for hit in boxed.hits:
        assert hit.box is not None
        left, top, width, height = hit.box
        assert 0 <= left < left + width <= 48.001
        assert 0 <= top < top + height <= 40.001


@pytest.mark.parametrize(
    "query", [Query(), Query(" "), Query("a", without=(" ",)), Query(image=Path("x"), local=True)]
)
def test_nothing_asked_is_refused(tiny_clip: Clip, index: PictureIndex, query: Query) -> None:
    with pytest.raises(UserError):
        search(tiny_clip, index, query)


def test_a_cut_that_is_no_number_is_refused(tiny_clip: Clip, index: PictureIndex) -> None:
    with pytest.raises(UserError, match="the cut is no number"):
        search(tiny_clip, index, Query("a"), cut=float("nan"))
