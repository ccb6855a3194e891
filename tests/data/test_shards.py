"""WebDataset shards, well-formed and hostile."""

from __future__ import annotations

import io
import json
import os
import tarfile

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from trifocal.data.captions import CaptionItem
from trifocal.data.images import BadImage
from trifocal.data.shards import ShardDataset, expand, index_tar, write_shards
from trifocal.errors import UserError
from trifocal.tally import Tally


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def picture(number: int, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (10 + number, 8), (number, 0, 0)).save(buffer, format)
    return buffer.getvalue()


def make_tar(path, members, mode="w"):
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return str(path)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_samples_by_any_order(tmp_path):
    for shard in range(2):
        members = []
        for n in range(3):
            number = shard * 3 + n
            members += [
                (f"{number:04d}.json", json.dumps({"key": number}).encode()),
                (f"{number:04d}.png", picture(number)),
                (f"{number:04d}.txt", f"caption {number}\n".encode()),
            ]
        make_tar(tmp_path / f"{shard:05d}.tar", members)
    data = ShardDataset(str(tmp_path / "{00000..00001}.tar"))
    assert len(data) == 6
    for index in (5, 0, 3, 1, 4, 2, 5):
        sample = data.sample(index, rng())
        assert sample.caption == data.caption(index, rng()) == f"caption {index}"
        assert sample.image.size == (10 + index, 8)
        assert sample.id == f"0000{index // 3}.tar/{index:04d}"


def test_captions_from_json_and_from_a_folder(tmp_path):
    record = {"caption": "", "captions": ["one ", " two"], "other": "three"}
    path = make_tar(
        tmp_path / "a.tar", [("x.jpg", picture(1, "JPEG")), ("x.json", json.dumps(record).encode())]
    )
    data = ShardDataset(path)
    assert {data.caption(0, rng(s)) for s in range(20)} == {"one", "two"}
    assert {ShardDataset(path, captions="first").caption(0, rng(s)) for s in range(9)} == {"one"}
    assert ShardDataset(path, caption_key="other").caption(0, rng()) == "three"
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "x.txt").write_text("made later\nnot this\n")
    assert ShardDataset(path, folder=tmp_path / "texts").caption(0, rng()) == "made later"
    with pytest.raises(BadImage, match="caption cannot be read"):
        ShardDataset(path, folder=tmp_path).caption(0, rng())


def test_only_known_members_are_ever_looked_at(tmp_path):
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:

        def add(name, content=b"", **fields):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in fields.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))

        add("../../outside.png", picture(1))
        add("../../outside.txt", b"kept by name only")
        add("a.pyd", b"cos\nsystem\n(S'true'\ntR.")
        add("a.pickle", b"cos\nsystem\n(S'true'\ntR.")
        add("b.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add("b.txt", b"a link for a picture")
        add("c.png", type=tarfile.LNKTYPE, linkname="../../outside.png")
        add("c.txt", b"a hard link for a picture")
        add("d.png", type=tarfile.FIFOTYPE)
        add(".png", picture(2))
        add("folder", type=tarfile.DIRTYPE)
        add("e.png", picture(3))
        add("e.txt", b"good")
        add("f.png", picture(4))
    data = ShardDataset(str(path), tally=Tally("", 0.9))
    assert [data.id(i) for i in range(len(data))] == ["evil.tar/../../outside", "evil.tar/e"]
    assert data.sample(0, rng()).image.size == (11, 8)
    assert not (tmp_path.parent.parent / "outside.png").exists()


def test_damaged_members_are_named(tmp_path):
    path = make_tar(
        tmp_path / "a.tar",
        [
            ("1.png", b"no picture"), ("1.txt", b"x"),
            ("2.png", picture(2)), ("2.txt", b" \n"),
            ("3.png", picture(3)), ("3.json", b"{"),
            ("4.png", picture(4)), ("4.json", b"[1]"),
            ("5.png", picture(5)), ("5.txt", b"\xff\xfe"),
        ],
    )  # fmt: skip
    data = ShardDataset(path)
    for index, reason in enumerate(["not a JPEG", "no caption", *["caption cannot be read"] * 3]):
        with pytest.raises(BadImage, match=reason) as caught:
            data.sample(index, rng())
        assert caught.value.path == f"a.tar/{index + 1}"


def test_damaged_shards_are_named(tmp_path):
    whole = make_tar(tmp_path / "a.tar", [("1.png", picture(1)), ("1.txt", b"x" * 5000)])
    cut = tmp_path / "cut.tar"
    cut.write_bytes((tmp_path / "a.tar").read_bytes()[:4000])
    zipped = make_tar(tmp_path / "z.tar", [("1.png", picture(1)), ("1.txt", b"x")], "w:gz")
    empty = make_tar(tmp_path / "e.tar", [("1.png", picture(1))])
    assert len(ShardDataset(whole)) == 1
    for path, message in [
        (cut, "cut.tar is not a complete plain tar"),
        (zipped, "z.tar is not a complete plain tar"),
        (empty, "has no sample of an image"),
        (tmp_path / "none.tar", "there is no shard"),
        (tmp_path / "*.none", "there is no shard"),
        ("https://host/{0..9}.tar", "must be local files"),
        ("pipe:cat a.tar", "must be local files"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            ShardDataset(str(path))
        assert "\n" not in str(caught.value)


def test_patterns(tmp_path):
    names = ["a-008.tar", "a-009.tar", "a-010.tar", "b.tar", "c.tar"]
    for name in names:
        (tmp_path / name).touch()

    def found(pattern):
        return [os.path.basename(path) for path in expand(str(tmp_path / pattern))]

    assert found("a-{008..010}.tar") == names[:3]
    assert found("{b,c}.tar") == ["b.tar", "c.tar"]
    assert found("*.tar") == names
    assert found(f"b.tar::{tmp_path}/a-{{009..010}}.tar") == ["b.tar", *names[1:3]]
    with pytest.raises(UserError, match=r"no shard .*a-011.tar"):
        found("a-{008..011}.tar")


def test_the_index_is_kept_and_made_anew_when_the_shard_changes(tmp_path, monkeypatch):
    path = make_tar(tmp_path / "a.tar", [("1.png", picture(1)), ("1.txt", b"x")])
    assert len(ShardDataset(path)) == 1
    assert (tmp_path / "a.tar.index.json").is_file()
    calls = []
    monkeypatch.setattr("trifocal.data.shards.index_tar", lambda p: calls.append(p) or index_tar(p))
    assert len(ShardDataset(path)) == 1
    assert not calls
    make_tar(path, [("1.png", picture(1)), ("1.txt", b"x"), ("2.png", picture(2)), ("2.txt", b"y")])
    assert len(ShardDataset(path)) == 2
    assert len(calls) == 1
    (tmp_path / "a.tar.index.json").write_text("not JSON")
    assert len(ShardDataset(path)) == 2
    assert len(calls) == 2


class Loaded:
    """Reads through the parent's dataset in a worker."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.data.sample(index, rng()).caption


def test_workers_share_open_files_safely(tmp_path):
    members = []
    for n in range(40):
        members += [(f"{n:03d}.png", picture(n % 7)), (f"{n:03d}.txt", f"caption {n}".encode())]
    data = ShardDataset(make_tar(tmp_path / "a.tar", members))
    data.sample(0, rng())
    loader = DataLoader(Loaded(data), batch_size=None, num_workers=2)
    assert list(loader) == [f"caption {n}" for n in range(40)]


def test_written_shards_read_back(tmp_path):
    items = []
    for n, extension in enumerate(("jpg", "png", "webp")):
        path = tmp_path / f"{n}.{extension}"
        path.write_bytes(picture(n, {"jpg": "JPEG"}.get(extension, extension.upper())))
        items.append(CaptionItem(f"id{n}", str(path), (f"first {n}", f"zweitens ü {n}")))
    paths = write_shards(items, tmp_path / "shards", per_shard=2)
    assert [path.name for path in paths] == ["00000.tar", "00001.tar"]
    first = [path.read_bytes() for path in paths]
    assert first == [p.read_bytes() for p in write_shards(items, tmp_path / "again", per_shard=2)]
    data = ShardDataset(str(tmp_path / "shards" / "*.tar"))
    assert len(data) == 3
    for n in range(3):
        assert {data.caption(n, rng(s)) for s in range(20)} == set(items[n].captions)
        assert data.sample(n, rng()).image.size == (10 + n, 8)
    gone = CaptionItem("gone", str(tmp_path / "gone.jpg"), ("x",))
    with pytest.raises(UserError, match=r"cannot read .*gone.jpg"):
        write_shards([gone], tmp_path / "shards", force=True)
    assert len(list((tmp_path / "shards").glob("*.tar"))) == 2


def test_files_of_the_webdataset_library(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="the webdataset library is not installed")
    path = str(tmp_path / "w.tar")
    with webdataset.TarWriter(path) as sink:
        for n in range(3):
            image = Image.new("RGB", (10 + n, 8))
            sink.write(
                {
                    "__key__": f"a/{n:06d}",
                    "jpg": image,
                    "txt": f"say {n}",
                    "json": {"n": n},
                    "cls": n,
                }
            )
    data = ShardDataset(path)
    assert [data.caption(n, rng()) for n in range(3)] == ["say 0", "say 1", "say 2"]
    assert data.sample(2, rng()).image.size == (12, 8)


def test_what_is_no_sample_is_counted(tmp_path):
    names = [
        *("good.jpg", "good.txt", "alone.jpg", "text.txt", "two.jpg", "two.png", "two.txt"),
        *("old.gif", "old.txt", "photo.v2.jpg", "photo.v2.txt", "good.mask.png", "._x.jpg"),
        *("twice.jpg", "twice.txt", "twice.txt", "a/photo.v2.jpe", "a/photo.v2.json"),
    ]
    jpeg = picture(1, "JPEG")
    members = [
        (name, b'{"caption": "x"}' if name[-3:] in ("txt", "son") else jpeg) for name in names
    ]
    path = make_tar(tmp_path / "a.tar", members)
    for _ in range(2):  # indexed, and from the kept index
        tally = Tally("", 0.9)
        data = ShardDataset(path, tally=tally)
        ids = [data.id(i) for i in range(len(data))]
        assert ids == ["a.tar/good", "a.tar/photo.v2", "a.tar/a/photo.v2"]
        assert tally.facts() == {
            "read": 8,
            "used": 3,
            "left_out": {
                "without a text": 1,
                "without a picture": 1,
                "with several pictures of one name": 1,
                "with a picture of a kind that is not read": 1,
                "with several texts of one name": 1,
            },
        }
    assert data.caption(2, rng()) == "x"
    with pytest.raises(UserError, match=r"5 of 8 entries .* without a text: a.tar/alone"):
        ShardDataset(path)


def test_a_byte_order_mark_is_no_part_of_a_caption(tmp_path):
    members = [("1.png", picture(1)), ("1.txt", b"\xef\xbb\xbfone")]
    members += [("2.png", picture(1)), ("2.json", b'\xef\xbb\xbf{"caption": "two"}')]
    data = ShardDataset(make_tar(tmp_path / "a.tar", members))
    assert [data.caption(n, rng()) for n in range(2)] == ["one", "two"]
