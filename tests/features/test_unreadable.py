"""Broken pictures: their rows are NaN, they are named and counted, too many are an error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from trifocal.clip import Clip
from trifocal.data.images import BadImage
from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.features.embed import encode_images
from trifocal.features.unreadable import Unreadable, spread
from trifocal.regions.box_pooling import BoxPooledEncoder
from trifocal.regions.encoder import ZERO_SHOT, RegionEncoder


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three pictures, the second of which is broken, and the first once more."""
    names = [tmp_path / f"{name}.png" for name in "abc"]
    for shade, name in zip((10, 100, 200), names, strict=True):
        Image.new("RGB", (40, 40), (shade, 40, 20)).save(name)
    names[1].write_text("no picture")
    return [*names, names[0]]


def test_rows_of_broken_pictures_are_nan(tiny_clip: Clip, files: list[Path]) -> None:
    broken = Unreadable("photos", 0.5)
    rows = encode_images(tiny_clip, files, unreadable=broken)
    assert broken.readable(files).tolist() == [True, False, True, True]
    assert rows.isnan().all(1).tolist() == [False, True, False, False]
    assert torch.equal(rows[[0, 2]], encode_images(tiny_clip, files[::2]))
    assert torch.equal(rows[0], rows[3])
    account = broken.account({"read": 4})
    assert account is not None
    assert account["read"] == 4
    assert account["unreadable"]["of"] == 3
    assert account["unreadable"]["first"] == [str(files[1])]
    assert broken.note_of() == "; 1 of 3 pictures cannot be read and are left out"


@pytest.mark.parametrize("pooled", [False, True])
def test_rows_of_their_regions_are_nan(tiny_clip: Clip, files: list[Path], pooled: bool) -> None:
    regions = [Region(file, ((2.0, 2.0, 20.0, side),)) for file in files for side in (9.0, 30.0)]
    encoder = BoxPooledEncoder(tiny_clip) if pooled else RegionEncoder(tiny_clip, ZERO_SHOT)
    broken = Unreadable("photos", 0.5)
    rows = encoder.encode_regions(regions, unreadable=broken)
    assert rows.isnan().all(1).tolist() == [False, False, True, True, False, False, False, False]
    whole = encoder.encode_regions([*regions[:2], *regions[4:]])
    torch.testing.assert_close(rows[~rows.isnan().any(1)], whole)


def test_more_than_the_share_is_an_error(tiny_clip: Clip, files: list[Path]) -> None:
    with pytest.raises(UserError, match=r"1 of 3 pictures of photos cannot be used.*b\.png"):
        encode_images(tiny_clip, files, unreadable=Unreadable("photos", 0.3))
    with pytest.raises(UserError, match=r"1 of 1 pictures"):
        encode_images(tiny_clip, files[1:2], unreadable=Unreadable("photos", 1.0))


def test_names_do_not_depend_on_threads() -> None:
    broken = Unreadable("photos", 1.0)
    for name in "cbad":
        broken.note(name, BadImage(name, "empty"))
    broken.close(object(), "abcdefghi")
    account = broken.account()
    assert account == {"unreadable": {"of": 9, "left_out": {"empty": 4}, "first": ["a", "b", "c"]}}
    assert Unreadable("photos").account() is None


def test_rows_are_spread() -> None:
    spreaded = spread(torch.tensor([[1.0], [2.0]]), torch.tensor([True, False, True]))
    assert spreaded[:, 0].isnan().tolist() == [False, True, False]
    assert spreaded[[0, 2], 0].tolist() == [1.0, 2.0]
