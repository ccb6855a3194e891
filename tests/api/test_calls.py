"""The jobs of the command line as functions: `train`, `evaluate`, `classify`, `explain`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

import trifocal
from trifocal.apps.classify.answers import Guess
from trifocal.cli import main
from trifocal.clip import Clip
from trifocal.data.pairs import Pairs
from trifocal.errors import UserError

SETTINGS: dict[str, Any] = {
    "batch_size": 2, "workers": 0, "schedule": {"steps": 2}, "method": {"name": "finetune"},
}  # fmt: skip


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


class Own(Dataset):
    """A dataset as people write them: tensors, and several captions."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, list[str]]:
        return torch.full((3, 40, 40), index / 4), [f"shade {index}", f"gray {index}"]


@pytest.mark.parametrize("form", ["list", "dataset", "tables"])
def test_own_data_trains(photo: Path, tmp_path: Path, form: str) -> None:
    data: Any = {
        "list": [(photo, "noise"), (str(photo), ["noise", "a carpet"])],
        "dataset": Own(),
        "tables": [{"image": Image.open(photo), "caption": "noise"}] * 3,
    }[form]
    outcome = trifocal.train(data=data, name=form, output=str(tmp_path), **SETTINGS)
    assert outcome.step == 2
    trained = trifocal.load(outcome.folder)
    assert not torch.equal(trained.encode_text("noise"), trifocal.load().encode_text("noise"))
    again = trifocal.train(data=data, name=form, output=str(tmp_path), **SETTINGS)
    assert again.step == 2  # it was finished
    recipe = str(outcome.folder / "recipe.yaml")
    with pytest.raises(UserError, match="which a program hands over"):
        trifocal.train(recipe, name="other", output=str(tmp_path))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ((pair for pair in ()), "of type generator; give a list of pairs"),
        ([("a.jpg",)], r"item 0 of data is of type tuple"),
        ([("a.jpg", 3)], "item 0 of data: the text is of type int"),
        ([{"image": "a.jpg", "label": 1}], "has the keys image, label"),
    ],
)
def test_data_without_pairs(data: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        Pairs(data)


def test_what_a_recipe_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data is empty"):
        trifocal.train(data=[], output=str(tmp_path))
    with pytest.raises(UserError, match="batch_szie"):
        trifocal.train(batch_szie=3)
    with pytest.raises(UserError, match="cannot find the recipe 'no-such'"):
        trifocal.train("no-such")


def test_packages_are_called_as_their_functions() -> None:
    import trifocal.evaluate.runner
    import trifocal.train.engine

    for name in ("train", "evaluate", "search"):  # whether they were imported before or not
        found = getattr(trifocal, name)
        assert found is sys.modules[f"trifocal.{name}"]
        assert callable(found)
        assert inspect.ismodule(found)


def test_benchmarks_over_models(tiny_clip: Clip) -> None:
    with pytest.raises(UserError, match=r"no benchmark 'wrold'.*'world'"):
        trifocal.evaluate(tiny_clip, "wrold")
    with pytest.raises(UserError, match="no benchmark has a setting 'limti'"):
        trifocal.evaluate("builtin", "world", limti=3)


def test_classes_by_their_names(photo: Path) -> None:
    found = trifocal.classify(photo, ["a dog", "noise", "a cat"], top=2)
    assert len(found) == 2
    assert isinstance(found[0], Guess)
    assert found[0].probability >= found[1].probability
    several = trifocal.classify([photo, Image.open(photo)], ["a dog", "noise"])
    assert [len(one) for one in several] == [2, 2]
    assert sum(guess.probability for guess in several[0]) == pytest.approx(1, abs=1e-5)
    with pytest.raises(TypeError, match="class names as texts"):
        trifocal.classify(photo, [])


def test_classes_by_a_fitted_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, shade in (("dark", 10), ("light", 240)):
        for number in range(3):
            path = tmp_path / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (48, 48), (shade + number,) * 3).save(path)
    fitted = str(tmp_path / "fitted")
    words = ["classify", "fit", str(tmp_path / "photos"), "--method", "gda", "--views", "0"]
    assert main([*words, "--out", fitted, "--quiet"]) == 0
    array = np.full((50, 70, 3), 12, np.uint8)
    assert trifocal.classify(array, fitted)[0].label == "dark"
    paths = sorted((tmp_path / "photos").rglob("*.png"))
    assert [best[0].label for best in trifocal.classify(paths, fitted)] == ["dark"] * 3 + [
        "light"
    ] * 3


def test_explanations_of_a_region(photo: Path) -> None:
    bank = ["somebody lives here", "it rains", "the sun shines"]
    found = trifocal.explain(photo, bank, (5, 5, 20, 20), top=2)
    assert [one.rank for one in found] == [1, 2]
    same = trifocal.explain(np.asarray(Image.open(photo)), bank, [[5, 5, 20, 20]], top=2)
    assert [one.text for one in same] == [one.text for one in found]
    corners = trifocal.explain(photo, bank, (5, 5, 25, 25), top=2, box_format="xyxy")
    assert corners == found
    with pytest.raises(UserError, match="give left, top, width and height"):
        trifocal.explain(photo, bank, (5, 5, 20))
    with pytest.raises(UserError, match="the bank is empty"):
        trifocal.explain(photo, [])
    with pytest.raises(TypeError, match="one picture"):
        trifocal.explain([photo], bank)
