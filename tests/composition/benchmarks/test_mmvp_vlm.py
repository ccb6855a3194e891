"""MMVP-VLM: pairs by their numbers, the mean over nine patterns."""

from __future__ import annotations

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.mmvp_vlm import MmvpVlm
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

PATTERNS = (
    "Camera Perspective",
    "Color",
    "Orientation",
    "Presence",
    "Quantity",
    "Spatial",
    "State",
    "Structural Character",
    "Text",
)


def write(root, rows):
    lines = ["Question ID,Type,Statement", *(",".join(map(str, row)) for row in rows)]
    (root / "Questions.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path):
    """Each pattern has a pair that is won, `Color` one that is tied before it; the file is shuffled."""
    rows, number = [], 1
    for pattern in PATTERNS:
        for texts in [("of red", "red")] * (pattern == "Color") + [("red", "blue")]:
            rows += [(number + k, pattern, text) for k, text in enumerate(texts)]
            folder = tmp_path / "MLLM_VLM Images" / pattern
            paint(folder, "red", "blue", suffix=".jpg", size=32)
            (folder / "red.jpg").rename(folder / f"{number}.jpg")
            (folder / "blue.jpg").rename(folder / f"{number + 1}.jpg")
            number += 2
    write(tmp_path, sorted(rows, key=lambda row: str(row[0])))
    return tmp_path


def test_accuracies(root):
    benchmark = MmvpVlm()
    assert benchmark.check(root) == []
    items = benchmark.items(root)
    assert items.items[0].texts == ("a photo of red", "a photo of blue")
    assert [one.id for one in items.items] == [str(number) for number in range(1, 21, 2)]
    rows = benchmark.score(ColorModel(), items)
    image = find(rows, "mmvp_vlm", "mean", "image")
    assert image.value == pytest.approx((8 + 1 / 2) / 9)  # both statements choose the red one
    assert image.chance == pytest.approx(1 / 4)
    assert find(rows, "mmvp_vlm", "Color", "text").ties == 1
    assert find(rows, "mmvp_vlm", "all", "image").value == pytest.approx(9 / 10)


def test_no_mean_without_all_patterns(root):
    for file in (root / "MLLM_VLM Images" / "Text").iterdir():
        file.unlink()
    benchmark = MmvpVlm(available_only=True)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert "mean" not in {row.task for row in rows}


def test_a_statement_without_partner_is_refused(tmp_path):
    write(tmp_path, [(1, "Color", "red"), (2, "Color", "blue"), (4, "Color", "green")])
    with pytest.raises(UserError, match="entry 3 must have a partner, 4, of the same Type"):
        MmvpVlm().check(tmp_path)
    write(tmp_path, [("one", "Color", "red")])
    with pytest.raises(UserError, match="must have a number as Question ID"):
        MmvpVlm().check(tmp_path)
