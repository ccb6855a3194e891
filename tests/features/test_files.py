"""Files of features from elsewhere: what is read, and that nothing else is opened."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from trifocal.errors import UserError
from trifocal.features.files import NamedFeatures, read_feature_file, read_named_features


def parts(**changed: Tensor) -> dict[str, Tensor]:
    whole = {
        "train1": torch.eye(3, 4).half(),
        "train1_label": torch.tensor([0, 1, 2], dtype=torch.int32),
        "test": torch.ones(2, 4),
        "test_label": torch.tensor([2, 0]),
        "note": torch.zeros(1),
    }
    return {**whole, **changed}


def write(file: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, file)
    return file


def test_parts_are_read_in_float32(tmp_path: Path) -> None:
    read = read_feature_file(write(tmp_path / "a.safetensors", parts()))
    assert list(read) == ["test", "train1"]
    features, labels = read["train1"]
    assert features.dtype == torch.float32
    assert torch.equal(features, torch.eye(3, 4))
    assert labels.dtype == torch.long
    assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train1_label": torch.tensor([0, 1])}, "train1_label"),
        ({"train1_label": torch.tensor([0.0, 1, 2])}, "integers"),
        ({"train1_label": torch.tensor([0, 1, -1])}, "from 0 on"),
        ({"train1": torch.zeros(3, 2, 4)}, "rows of features"),
        ({"train1": torch.zeros(3, 4, dtype=torch.int32)}, "rows of features"),
        ({"train1": torch.full((3, 4), torch.nan)}, "not finite"),
        ({"train1": torch.ones(3, 5)}, "several widths"),
        ({"train2": torch.ones(3, 4)}, "no train2_label"),
    ],
)
def test_other_layouts(tmp_path: Path, changed: dict[str, Tensor], said: str) -> None:
    file = write(tmp_path / "a.safetensors", parts(**changed))
    with pytest.raises(UserError, match=said):
        read_feature_file(file)


def test_a_file_without_support(tmp_path: Path) -> None:
    file = write(tmp_path / "a.safetensors", {"image": torch.ones(2, 4)})
    with pytest.raises(UserError, match=r"no train1, train2, \.\.\. \(it has image\)"):
        read_feature_file(file)


class Harm:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("harmed", "w")


@pytest.mark.parametrize("name", ["keys_16shots.pt", "a.pkl", "a.npy", "renamed.safetensors"])
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_pickles_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    if kind == "torch":
        torch.save({"train1": Harm()}, file)
    else:
        file.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(UserError, match="is a pickle"):
        read_feature_file(file)
    assert not (tmp_path / "harmed").exists()


def test_missing_and_damaged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no feature file"):
        read_feature_file(tmp_path / "a.safetensors")
    file = write(tmp_path / "a.safetensors", parts())
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(UserError, match="no whole safetensors file"):
        read_feature_file(file)
    file.write_bytes(b"")
    with pytest.raises(UserError, match="no whole safetensors file"):
        read_feature_file(file)


# Texts


def test_texts_and_their_names(tmp_path: Path) -> None:
    tensors = {"colors": torch.eye(2, 3).half(), "shapes": torch.ones(3, 3)}
    file = write(tmp_path / "text.safetensors", tensors)
    (tmp_path / "colors_names.json").write_text(json.dumps(["red", "blue"]))
    read = read_named_features(file, ["colors", "shapes"])
    assert read.names == ("red", "blue", "shapes 0", "shapes 1", "shapes 2")
    assert torch.equal(read.features, torch.cat([torch.eye(2, 3), torch.ones(3, 3)]))


@pytest.mark.parametrize("content", ['["red"]', '["red", 3]', '{"red": 1}', "[red", "[" * 99999])
def test_bad_names(tmp_path: Path, content: str) -> None:
    file = write(tmp_path / "text.safetensors", {"colors": torch.eye(2, 3)})
    (tmp_path / "colors_names.json").write_text(content)
    with pytest.raises(UserError, match=r"colors_names\.json"):
        read_named_features(file, ["colors"])


def test_bad_keys(tmp_path: Path) -> None:
    file = write(tmp_path / "text.safetensors", {"a": torch.ones(1, 3), "b": torch.ones(1, 4)})
    with pytest.raises(UserError, match="has no 'c'"):
        read_named_features(file, ["c"])
    with pytest.raises(UserError, match="cannot stand in one list"):
        read_named_features(file, ["a", "b"])
    with pytest.raises(UserError, match="cannot stand in one list"):
        read_named_features(file, [])
    with pytest.raises(ValueError, match="2 names for 1 features"):
        NamedFeatures(torch.ones(1, 3), ("a", "b"))
