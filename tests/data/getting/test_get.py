"""Data sets by name: plain files, archives and the Hub, from a server on this machine."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest

from tests.data.getting.server import COMMIT, Web, serving
from trifocal.data.getting.get import get_data
from trifocal.data.getting.origins import Origin, RemoteFile, find_origin, origins
from trifocal.errors import UserError


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def test_the_catalog():
    for origin in origins().values():
        assert origin.licence
        assert origin.files or origin.hub or origin.by_hand
        assert all(one.sha256 is None or len(one.sha256) == 64 for one in origin.files)
        assert all(photos in origins() for photos in origin.photos)
        assert origin.told()
    assert sum(one.size or 0 for one in origins()["sugarcrepe"].files) == 1_706_288
    assert find_origin("zero_shot:vtab/pets").hub == "clip-benchmark/wds_vtab-pets"
    with pytest.raises(UserError, match=r"nothing is known of where 'sugarcrap' is to be had.*Did"):
        find_origin("sugarcrap")


def test_checksums_are_those_of_the_published_files(real_data):
    import hashlib

    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for name in ("sugarcrepe", "sugarcrepe_pp", "valse"):
            for one in origins()[name].files:
                content = archive.read(f"{name}/{one.name}")
                assert hashlib.sha256(content).hexdigest() == one.sha256


def test_files(web, tmp_path):
    web.files |= {"x/a.json": b"[]", "x/in/b.json": b"{}"}
    files = tuple(RemoteFile(name, f"{web.address}/x/{name}") for name in ("a.json", "in/b.json"))
    origin = Origin("mine", "MIT", files)
    assert get_data(origin, tmp_path) == f"{tmp_path / 'mine'}: 2 files fetched, 0 were there"
    assert get_data(origin, tmp_path).endswith("0 files fetched, 2 were there")
    assert (tmp_path / "mine" / "in" / "b.json").read_bytes() == b"{}"
    with pytest.raises(UserError, match="mine is not on the Hub, so it has no revisions"):
        get_data(origin, tmp_path, revision="main")


def test_photos_are_unpacked_and_their_archive_removed(web, tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("val2017/1.jpg", b"photo")
    web.files["val2017.zip"] = content.getvalue()
    origin = Origin(
        "coco", "?", (RemoteFile("val2017.zip", f"{web.address}/val2017.zip"),), "val2017"
    )
    assert get_data(origin, tmp_path) == f"{tmp_path / 'val2017'}: 1 files"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["val2017"]
    assert get_data(origin, tmp_path).endswith("is there already")
    other = tmp_path / "other"
    (other / "val2017").mkdir(parents=True)
    (other / "val2017" / "mine.jpg").touch()
    with pytest.raises(UserError, match="already has content"):
        get_data(origin, other)
    assert len(web.asked) == 1


def test_the_hub_at_a_commit(web, tmp_path):
    web.files |= {"data/test-0.parquet": b"PAR1", "README.md": b"# hi"}
    origin = Origin("zero_shot:one", "?", hub="some/one")
    said = get_data(origin, tmp_path, endpoint=web.address)
    folder = tmp_path / "zero_shot" / "one"
    assert said == f"{folder}: some/one at {COMMIT}"
    assert (folder / "data" / "test-0.parquet").read_bytes() == b"PAR1"
    get_data(origin, tmp_path, endpoint=web.address)
    (tmp_path / "zero_shot" / "mine").mkdir()
    (tmp_path / "zero_shot" / "mine" / "a.txt").touch()
    with pytest.raises(UserError, match="already has content"):
        get_data(Origin("zero_shot:mine", "?", hub="some/one"), tmp_path, endpoint=web.address)


def test_gated_and_gone_and_by_hand(web, tmp_path):
    web.gated = True
    with pytest.raises(
        UserError, match=r"some/one is gated: accept its terms at huggingface.co/dat"
    ):
        get_data(Origin("one", "?", hub="some/one"), tmp_path, endpoint=web.address)
    web.codes["/api/datasets/some/one"] = 404
    with pytest.raises(UserError, match=r"could not be had|the Hub has no some/one"):
        get_data(Origin("one", "?", hub="some/one"), tmp_path, endpoint=web.address)
    assert not (tmp_path / "one").exists()
    with pytest.raises(UserError, match=r"whatsup cannot be fetched: its files .* on Google Drive"):
        get_data(origins()["whatsup"], tmp_path)
