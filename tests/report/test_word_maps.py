"""The map of a word against the formula, token by token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.report.word_maps import _words, maps_of, word_maps

CAPTION = 'There is a "large" umbrella, right of two cats.'


@pytest.fixture
def picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=generator)


def test_maps_are_the_local_alignment_weights(tiny_clip, picture):
    """FSC-CLIP's min-max attention of each token, averaged over the tokens of a word."""
    maps = word_maps(tiny_clip, picture, CAPTION)
    assert [m.word for m in maps] == [
        "There", "is", "a", "large", "umbrella", "right", "of", "two", "cats",
    ]  # fmt: skip
    with torch.no_grad():
        patches = tiny_clip.encode_image(picture[None], patches=True).patches[0].double()
        tokens = tiny_clip.encode_text([CAPTION], tokens=True).tokens[0].double()
    pieces = tiny_clip.tokenizer.pieces(CAPTION)
    for entry in maps:
        assert entry.weights.shape == tiny_clip.patch_grid
        assert entry.weights.sum() == pytest.approx(1, abs=1e-5)
    (place,) = [i for i, piece in enumerate(pieces) if piece == "two"]
    similarity = patches @ tokens[place]
    expected = similarity - similarity.min()
    expected = (expected / expected.sum()).reshape(4, 4)
    np.testing.assert_allclose(maps[-2].weights, expected, atol=1e-5)


def test_the_model_stays_in_its_mode(tiny_clip, picture):
    tiny_clip.train()
    word_maps(tiny_clip, picture, "a red ball")
    assert tiny_clip.training
    tiny_clip.eval()


def test_a_caption_longer_than_the_context_gives_the_words_that_fit(tiny_clip, picture):
    maps = word_maps(tiny_clip, picture, "umbrella " * 60)
    assert 0 < len(maps) < 60


def test_chosen_words():
    maps = [type("M", (), {"word": word})() for word in ("A", "red", "cup", "Red")]
    assert [m.word for m in maps_of(maps, ["cup", "RED", "fish"])] == ["cup", "red"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.text("abcé,.!", min_size=1, max_size=4), min_size=1, max_size=3),
        min_size=1,
        max_size=6,
    )
)
def test_pieces_join_to_words_however_they_are_cut(words):
    caption = " ".join("".join(pieces) for pieces in words)
    flat = [piece for pieces in words for piece in pieces]
    found = _words(caption, ["<start>", *flat])
    expected, place = [], 1
    for pieces in words:
        places = [place + i for i, piece in enumerate(pieces) if any(c.isalnum() for c in piece)]
        bare = "".join(pieces).strip(".,;:!?\"'()")
        if places and bare:
            expected.append((bare, places))
        place += len(pieces)
    assert found == expected
