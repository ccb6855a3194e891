"""Indices are whole, go on where they were, and embed nothing twice."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from tests.search.conftest import COLORS, paint
from trifocal.clip import Clip
from trifocal.errors import UserError
from trifocal.features import corpus
from trifocal.features.embed import encode_images
from trifocal.search import (
    PictureIndex,
    Query,
    building,
    index_pictures,
    nearest,
    open_index,
    search,
)


def test_rows_are_the_embeddings_of_the_files(
    tiny_clip: Clip, photos: Path, index: PictureIndex
) -> None:
    files = [index.picture(place).picture for place in range(len(index))]
    assert [Path(str(file)).name for file in files] == sorted(f"{name}.png" for name in COLORS)
    plain = encode_images(tiny_clip, [photos / Path(str(file)).name for file in files])
    assert torch.allclose(index.vectors, plain, atol=1e-6)


def test_only_what_is_new_is_embedded(tiny_clip: Clip, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "index"
    assert index_pictures(tiny_clip, [photos], out).embedded == len(COLORS)
    (photos / "red.png").rename(photos / "moved.png")  # known by its content
    shutil.copy(photos / "blue.png", photos / "copy.png")
    (photos / "black.png").unlink()
    paint(photos, ("purple",))
    done = index_pictures(tiny_clip, [photos], out)
    assert (done.pictures, done.embedded) == (len(COLORS) + 1, 1)
    names = {Path(open_index(out).picture(place).name).name for place in range(done.pictures)}
    assert "moved.png" in names
    assert not names & {"red.png", "black.png"}


def test_a_stopped_run_goes_on(
    tiny_clip: Clip, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, embedded = tmp_path / "index", []
    monkeypatch.setattr(building, "chunks", lambda listed: corpus.chunks(listed, 2))
    whole = building.embed_chunk

    def stopping(model: Clip, listed: list, **settings: object) -> corpus.Embedded:
        if len(embedded) == 2:
            raise KeyboardInterrupt
        embedded.append(len(listed))
        return whole(model, listed, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "embed_chunk", stopping)
    with pytest.raises(KeyboardInterrupt):
        index_pictures(tiny_clip, [photos], out)
    assert not out.exists()
    monkeypatch.setattr(building, "embed_chunk", whole)
    done = index_pictures(tiny_clip, [photos], out)
    assert (done.pictures, done.embedded) == (6, 2)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("parts")] == []


def test_broken_pictures_are_named(tiny_clip: Clip, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_text("no picture")
    done = index_pictures(tiny_clip, [photos], tmp_path / "index")
    assert done.pictures == len(COLORS)
    ((name, reason),) = done.left_out
    assert name.endswith("broken.jpg")
    assert "JPEG" in reason
    line = json.loads((tmp_path / "index" / "left_out.jsonl").read_text())
    assert line == {"name": name, "reason": reason}


def test_a_folder_of_broken_pictures_is_refused(tiny_clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("no picture")
    with pytest.raises(UserError, match="none of 1 pictures can be read"):
        index_pictures(tiny_clip, [tmp_path / "photos"], tmp_path / "index")


def test_tables_and_shards_are_sources(tiny_clip: Clip, photos: Path, tmp_path: Path) -> None:
    table = photos / "list.csv"
    table.write_text("filepath,title\nred.png,a\nblue.png,b\n")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        content = (photos / "green.png").read_bytes()
        for name in ("0.png", "1.png"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    done = index_pictures(tiny_clip, [table, tmp_path / "a.tar"], tmp_path / "index")
    assert done.pictures == 4
    index = open_index(tmp_path / "index", tiny_clip)
    assert index.picture(3).name.endswith("a.tar/1.png")
    assert index.picture(3).content() == content


def test_another_model_is_refused(
    tiny_clips: list[Clip], index: PictureIndex, photos: Path
) -> None:
    with pytest.raises(UserError, match="other weights"):
        open_index(index.folder, tiny_clips[1])
    with pytest.raises(UserError, match="other weights"):
        index_pictures(tiny_clips[1], [photos], index.folder)


def test_other_folders_are_kept(tiny_clip: Clip, photos: Path) -> None:
    with pytest.raises(UserError, match="already has content"):
        index_pictures(tiny_clip, [photos], photos)
    with pytest.raises(UserError, match="is no search index"):
        open_index(photos)


@pytest.mark.parametrize("name", ["vectors.safetensors", "pictures.jsonl", "index.json"])
def test_a_damaged_index_is_refused(index: PictureIndex, name: str) -> None:
    file = index.folder / name
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(UserError):
        open_index(index.folder)


def test_many_pictures_are_parted_into_cells(
    tiny_clip: Clip, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(nearest, "cell_count", lambda count: 2)
    index_pictures(tiny_clip, [photos], tmp_path / "index", exact_most=3)
    index = open_index(tmp_path / "index", tiny_clip)
    assert index.vectors.dtype == torch.float16
    near = search(tiny_clip, index, Query("a red ball"))
    exact = search(tiny_clip, index, Query("a red ball"), exact=True)
    assert [hit.name for hit in near.hits] == [hit.name for hit in exact.hits]
    cells = (tmp_path / "index" / "cells.faiss").read_bytes()
    (tmp_path / "index" / "cells.faiss").unlink()  # what is mapped is not cut under its reader
    (tmp_path / "index" / "cells.faiss").write_bytes(cells[:-9])
    with pytest.raises(UserError, match="damaged"):
        search(tiny_clip, open_index(tmp_path / "index"), Query("a red ball"))


def test_an_index_moves_with_its_pictures(
    index: PictureIndex, photos: Path, tmp_path: Path
) -> None:
    new = tmp_path / "elsewhere"
    new.mkdir()
    photos.rename(new / "photos")
    index.folder.rename(new / "index")
    assert open_index(new / "index").picture(0).content()
