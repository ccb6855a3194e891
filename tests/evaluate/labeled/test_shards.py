"""Classes in CLIP_benchmark's shards."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.evaluate.labeled.published import picture, write_shard, write_wds
from trifocal.errors import UserError
from trifocal.evaluate.labeled.shards import read_shards
from trifocal.features.embed import load_pixels


def array(values: list[float]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values, dtype=np.float32))
    return file.getvalue()


def test_classes_of_several_shards(tmp_path, tiny_clip):
    root = write_wds(tmp_path, [{"cls": str(n % 3).encode()} for n in range(7)])
    found = read_shards(root, "test")
    assert found is not None
    assert list(found.labels) == [0, 2, 1, 0, 1, 0, 2]  # 0, 2, 4, 6 of the first, then 1, 3, 5
    red = load_pixels(tiny_clip, found.images[0])
    assert red[0].float().mean() > 190 > red[1].float().mean()
    assert len(set(found.images)) == 7


def test_several_classes_are_a_plain_array(tmp_path):
    beside = [{"npy": array([1, 0, 1])}, {"npy": array([0, 1, 0])}]
    found = read_shards(write_wds(tmp_path, beside, shards=1), "test")
    assert found is not None
    assert found.positives is not None
    assert found.positives.tolist() == [[True, False, True], [False, True, False]]


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"cls": b"cat"}, "has the class 'cat', which is no number"),
        ({"json": b"{}"}, r"has no \.cls or \.txt or \.npy beside it"),
        ({"npy": b"\x80\x04]"}, "targets that are no plain array"),
    ],
)
def test_other_content_is_refused(tmp_path, beside, message):
    with pytest.raises(UserError, match=message):
        read_shards(write_wds(tmp_path, [beside], shards=1), "test")


def test_objects_are_never_unpickled(tmp_path):
    file = io.BytesIO()
    np.save(file, np.array([object()]), allow_pickle=True)
    with pytest.raises(UserError, match="no plain array"):
        read_shards(write_wds(tmp_path, [{"npy": file.getvalue()}], shards=1), "test")


def test_missing_and_cut_shards_are_said(tmp_path):
    root = write_wds(tmp_path, [{"cls": b"0"}] * 4)
    (root / "test" / "1.tar").unlink()
    with pytest.raises(UserError, match="has 1 of its 2 shards; fetch the others"):
        read_shards(root, "test")
    (root / "test" / "nshards.txt").write_text("1")
    tar = root / "test" / "0.tar"
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(UserError, match="not a complete plain tar"):
        read_shards(root, "test")
    assert read_shards(tmp_path / "test" / "empty", "test") is None


def test_shards_may_lie_in_the_root(tmp_path):
    write_shard(tmp_path / "0.tar", {"a.png": picture(0, "png"), "a.cls": b"0"})
    found = read_shards(tmp_path, "test")
    assert found is not None
    assert str(found.images[0]).endswith("0.tar/a.png")
