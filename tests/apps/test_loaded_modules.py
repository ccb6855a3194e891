"""An app loads what it needs: counted where a command really runs, on a model that is not built in."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests import forked
from trifocal.clip import load_clip, save_pretrained

_RUN = str(Path(__file__).with_name("loading.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model in transformers' layout, pictures, and texts."""
    base = tmp_path_factory.mktemp("loaded")
    save_pretrained(load_clip("builtin"), base / "model")
    for color in ("red", "blue"):
        for number in range(4):
            path = base / "photos" / color / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.new("RGB", (40, 40), color)
            picture.putpixel((number, number), (0, 0, 0))
            picture.save(path)
    (base / "bank.txt").write_text("it rains\nthe sun shines\n")
    return base


def loaded(folder: Path, *commands: str) -> dict[str, list[str]]:
    """Return the modules of ours that commands load, by the part of the house they are in."""
    words = json.dumps([command.split() for command in commands])
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    done = forked.run([sys.executable, _RUN, words], cwd=folder, env={**os.environ, **cache})
    assert done.returncode == 0, done.stderr
    parts: dict[str, list[str]] = {}
    for name in json.loads(done.stdout.splitlines()[-1]):
        parts.setdefault(f"{name}.".split(".")[1], []).append(name)
    return parts


def test_explain_loads_regions_alone(folder: Path) -> None:
    found = loaded(folder, "explain photos/red/0.png --bank bank.txt --model model --device cpu")
    assert not found.keys() & {"world", "concepts", "composition", "evaluate", "train", "losses"}
    assert sum(map(len, found.values())) <= 90, found


def test_classify_loads_concepts_alone(folder: Path) -> None:
    found = loaded(
        folder,
        "classify fit photos --out fitted --model model --device cpu",
        "classify predict fitted photos --device cpu --top 1",
    )
    assert not found.keys() & {"world", "regions", "composition", "train", "losses"}
    assert sum(map(len, found.values())) <= 145, found
