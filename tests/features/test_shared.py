"""What benchmarks share: each picture and text once in a run, and none again in the next."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from PIL import Image

from trifocal.data.held import Cropped
from trifocal.errors import UserError
from trifocal.features.embed import encode_images, encode_texts
from trifocal.features.shared import shared_with
from trifocal.features.sharing import sharing
from trifocal.features.unreadable import Unreadable


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.new("RGB", (40, 40), (80 * i, 10, 200 - 80 * i)).save(path)
    return paths


@pytest.fixture
def counted(tiny_clip, monkeypatch):
    """How many pictures and texts reached the towers."""
    count: Counter[str] = Counter()
    kind = type(tiny_clip)
    image, text = kind.image_features, kind.encode_text

    def see(self, pixels, **options):
        count["pictures"] += len(pixels)
        return image(self, pixels, **options)

    def read(self, texts, **options):
        count["texts"] += len(texts)
        return text(self, texts, **options)

    monkeypatch.setattr(kind, "image_features", see)
    monkeypatch.setattr(kind, "encode_text", read)
    return count


TEXTS = ["a red ball", "a blue box to the left", "a red ball", "a field"]


def test_each_once_in_a_run_and_none_in_the_next(tiny_clip, photos, counted, tmp_path):
    alone = encode_images(tiny_clip, photos), encode_texts(tiny_clip, TEXTS)
    counted.clear()
    with sharing(tiny_clip, cache=tmp_path / "cache"):
        first = encode_images(tiny_clip, photos[:2])
        both = encode_images(tiny_clip, [photos[2], photos[0]])
        texts = encode_texts(tiny_clip, TEXTS[:2]), encode_texts(tiny_clip, TEXTS)
    assert counted == {"pictures": 3, "texts": 3}
    torch.testing.assert_close(torch.stack([*first, both[0]]), alone[0])
    assert torch.equal(both[1], first[0])
    torch.testing.assert_close(texts[1], alone[1])
    with sharing(tiny_clip, cache=tmp_path / "cache"):
        again = encode_images(tiny_clip, photos)
        assert torch.equal(again, torch.stack([*first, both[0]]))
        assert torch.equal(encode_texts(tiny_clip, TEXTS), texts[1])
    assert counted == {"pictures": 3, "texts": 3}
    assert shared_with(tiny_clip) is None


def test_another_model_shares_nothing(tiny_clips, photos, counted):
    with sharing(tiny_clips[0]):
        encode_images(tiny_clips[0], photos)
        encode_images(tiny_clips[1], photos)
        encode_images(tiny_clips[1], photos)
    assert counted["pictures"] == 9


def test_a_changed_picture_is_embedded_again(tiny_clip, photos, counted, tmp_path):
    for color in ("red", "green"):
        Image.new("RGB", (41, 41), color).save(photos[0])
        with sharing(tiny_clip, cache=tmp_path / "cache"):
            found = encode_images(tiny_clip, photos[:1])
        assert torch.equal(found, encode_images(tiny_clip, photos[:1]))


def test_a_box_is_another_picture(tiny_clip, photos, tmp_path):
    boxes = [Cropped(photos[0], (0, 0, 20, 20)), Cropped(photos[0], (5, 5, 20, 20))]
    Image.radial_gradient("L").save(photos[0])
    with sharing(tiny_clip, cache=tmp_path / "cache"):
        one, other, again = encode_images(tiny_clip, [*boxes, boxes[0]])
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_broken_picture_is_noted_by_every_benchmark(tiny_clip, photos, counted):
    photos[1].write_bytes(b"no picture")
    with sharing(tiny_clip):
        for _ in range(2):
            noted = Unreadable("a test", 0.5)
            rows = encode_images(tiny_clip, photos, unreadable=noted)
            assert photos[1] in noted
            assert rows.isnan().any(dim=1).tolist() == [False, True, False]
        with pytest.raises(UserError, match=r"1\.png"):
            encode_images(tiny_clip, photos)
    assert counted["pictures"] == 2


def test_open_pictures_are_not_remembered(tiny_clip, counted):
    with sharing(tiny_clip):
        for color in ("red", "green"):
            encode_images(tiny_clip, [Image.new("RGB", (32, 32), color)])
    assert counted["pictures"] == 2
