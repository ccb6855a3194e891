"""JSON read entry by entry: the same values as `json`, and a sentence for what is not JSON."""

from __future__ import annotations

import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.data import json_stream
from trifocal.data.json_stream import json_file, json_list, json_mapping
from trifocal.errors import UserError

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("stream") / "content.json"


@settings(max_examples=50)
@given(st.lists(plain), st.integers(1, 7), st.sampled_from([None, 1]), st.booleans())
def test_lists_in_windows_of_any_size(file, content, window, indent, ascii):
    file.write_text(json.dumps(content, indent=indent, ensure_ascii=ascii), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", window)
        assert list(json_list(file)) == content
        assert json_file(file) == content


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=4), plain), st.integers(1, 7))
def test_mappings_in_windows_of_any_size(file, content, window):
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", window)
        assert dict(json_mapping(file)) == content


def test_a_number_at_the_edge_of_a_window_is_whole(file, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", 3)
    file.write_text("[1234567, 89]")
    assert list(json_list(file)) == [1234567, 89]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', "must hold a JSON list"),
        ("", "must hold a JSON list"),
        ("[1, 2", "is not JSON at character 5"),
        ("[1 2]", "is not JSON at character 3"),
        ("[1, ]", "is not JSON at character 4"),
        ('[{"a": }]', "is not JSON"),
        ("[1] 2", "more after its end"),
        ("[" * 100_000, "too deeply nested"),
    ],
)
def test_what_is_not_a_list(file, content, message):
    file.write_text(content)
    with pytest.raises(UserError, match=message):
        list(json_list(file))


def test_what_is_not_a_mapping(file):
    file.write_text("[]")
    with pytest.raises(UserError, match="must hold one JSON object"):
        list(json_mapping(file))
    file.write_text("{1: 2}")
    with pytest.raises(UserError, match="a key expected"):
        list(json_mapping(file))


def test_what_is_not_text(file):
    file.write_bytes(b'["\xff\xfe"]')
    with pytest.raises(UserError, match="not UTF-8"):
        list(json_list(file))


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        list(json_list(tmp_path / "none.json"))


def test_a_zip_of_one(tmp_path):
    path = tmp_path / "a.json.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/a.json", "[1, 2]")
        archive.writestr("__MACOSX/folder/._a.json", "junk")
    assert list(json_list(path)) == [1, 2]


def test_a_zip_of_two_or_none(tmp_path):
    path = tmp_path / "a.zip"
    for names in ((), ("a.json", "b.json")):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "[]")
        with pytest.raises(UserError, match=f"holds {len(names)} JSON files"):
            list(json_list(path))


def test_a_damaged_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", json.dumps(list(range(1000))))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        list(json_list(path))


def test_sizes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "MAX_BYTES", 1000)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(["x" * 2000]))
    with pytest.raises(UserError, match="larger than"):
        list(json_list(path))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "a.json")
    with pytest.raises(UserError, match="unpacks to more than"):
        list(json_list(tmp_path / "a.zip"))
