"""The shipped base checkpoint: small, documented, unchanged, and like a real CLIP."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from trifocal.clip import load_clip
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.evaluate.summary import summarize
from trifocal.world import draw, make_scene

BASE = Path(str(files("trifocal.world") / "base"))
IMAGE = [-0.036286, 0.008648, -0.238185, 0.068467]
TEXT = [-0.002571, 0.050122, -0.220932, -0.119717]
RECIPES = Path(__file__).resolve().parents[2] / "src" / "trifocal" / "recipes" / "world"
STAGES = {"pretrain": 3000, "pretrain-order": 1450}


@pytest.mark.parametrize("stage", STAGES)
def test_its_origin_lies_beside_it(stage: str) -> None:
    assert (BASE / f"{stage}.yaml").read_text() == (RECIPES / f"{stage}.yaml").read_text()
    log = [json.loads(line) for line in (BASE / f"{stage}.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == STAGES[stage]
    losses = [line["loss"] for line in log if line["event"] == "train"]
    assert losses[-1] < 1 < losses[0]


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in BASE.iterdir()) <= 8 * 2**20


def test_golden_embeddings() -> None:
    """Guards against silent drift of weights, preprocessing, tokenizer or towers."""
    clip = load_clip("builtin")
    pixels = clip.preprocess(draw(make_scene(7, 3, "test"), 256))[None]
    with torch.no_grad():
        image = clip.encode_image(pixels).pooled[0, :4]
        text = clip.encode_text(["A red ball left of a small blue cup."]).pooled[0, :4]
    # The picture's pixels may differ a little between versions of Pillow.
    torch.testing.assert_close(image, torch.tensor(IMAGE), atol=5e-3, rtol=0)
    torch.testing.assert_close(text, torch.tensor(TEXT), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_it_names_things_and_is_near_chance_on_swaps() -> None:
    rows = world_suite(load_clip("builtin"), split="test")
    found = {(row.benchmark, row.task): row.value for row in rows if row.metric in ("acc", "acc1")}
    assert found["world/kinds", "zeroshot_classification"] > 0.9
    assert found["world/colors", "zeroshot_classification"] > 0.9
    assert 0.45 < found["world/composition", "swap"] < 0.57
    assert 0.45 < found["world/composition", "replace_rel"] < 0.57
    assert summarize(rows)["retrieval"] > 0.15
    shipped = [json.loads(line) for line in (BASE / "metrics.jsonl").read_text().splitlines()]
    for row in shipped:
        if row["metric"] in ("acc", "acc1"):
            assert found[row["benchmark"], row["task"]] == pytest.approx(row["value"], abs=0.01)
