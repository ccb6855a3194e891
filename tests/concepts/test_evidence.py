"""Evidence: names of what a picture shows, and not of what it does not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trifocal.concepts import evidence
from trifocal.concepts.evidence import Evidence
from trifocal.concepts.support import unit
from trifocal.errors import UserError


def pictures(count: int, seed: int, concepts: int = 12, noise: float = 0.5) -> tuple[Tensor, ...]:
    """Return features of pictures, which concepts each shows (one in ten), and the concepts."""
    generator = torch.Generator().manual_seed(seed)
    directions = unit(torch.randn(concepts, 32, generator=torch.Generator().manual_seed(99)))
    shown = torch.rand(count, concepts, generator=generator) < 0.1
    x = 2 * shown.float() @ directions + noise * torch.randn(count, 32, generator=generator) / 5
    return x + 0.3, shown, directions


def test_a_background_is_enough_where_scores_tell() -> None:
    background, _, concepts = pictures(200, 0)
    x, shown, _ = pictures(400, 1)
    found = Evidence.from_background(concepts, background).shown(x)
    assert float(shown[found].float().mean()) > 0.7  # one in ten by chance
    assert float(found[shown].float().mean()) > 0.4


def test_pictures_with_the_concept_do_not_spoil_its_background() -> None:
    background, _, concepts = pictures(60, 0)
    many = torch.cat([background, background[:14] + 3 * concepts[0]])
    before, after = (
        Evidence.from_background(concepts, each)(background)[:, 0].std()
        for each in (background, many)
    )
    assert 0.5 < float(after / before) < 1.5


def test_more_concepts_ask_for_more() -> None:
    x = torch.randn(50, 8)
    few, many = (Evidence.from_background(torch.randn(n, 8), x).least for n in (10, 2000))
    assert few == pytest.approx(2.326, abs=1e-3)  # a tenth of a false name expected among ten
    assert many == pytest.approx(3.891, abs=1e-3)
    assert Evidence.from_background(torch.randn(1, 8), x).least == pytest.approx(1.282, abs=1e-3)


def test_a_single_background_picture_gives_numbers() -> None:
    found = Evidence.from_background(torch.randn(3, 8), torch.randn(1, 8))(torch.randn(2, 8))
    assert found.isfinite().all()


def test_names_learned_from_named_pictures_are_right_as_often_as_wanted() -> None:
    x, shown, _ = pictures(800, 0, noise=1.5)
    new, truth, _ = pictures(2000, 1, noise=1.5)
    for wanted in (0.7, 0.9):
        made = Evidence.from_named(x, shown, wanted)
        assert made.precision == pytest.approx(wanted, abs=0.01)
        named = made.shown(new)
        assert named.sum() > 200
        assert float(truth[named].float().mean()) == pytest.approx(wanted, abs=0.07)


def test_each_picture_is_asked_of_a_regression_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed form of leave-one-out against leaving one out."""
    x, shown, _ = pictures(25, 3, concepts=3)
    monkeypatch.setattr(evidence, "_RIDGES", (0.1,))
    asked: list[Tensor] = []

    def keep(scores: Tensor, truth: Tensor, precision: float) -> tuple[float, float]:
        asked.append(scores)
        return 0.5, precision

    monkeypatch.setattr(evidence, "_threshold", keep)
    x = x.double()
    shown[:4] = True  # every concept often enough
    made = Evidence.from_named(x, shown)
    rows, truth = unit(x), shown.double()
    scale = torch.linalg.svdvals(rows - rows.mean(0)).pow(2).mean() * 0.1
    for row in (0, 7, 24):
        rest = torch.arange(25) != row
        # An intercept that is not shrunk: one more column, penalized by nothing.
        columns = torch.cat([rows - rows.mean(0), torch.ones(25, 1)], 1).double()
        penalty = scale * torch.eye(33, dtype=torch.float64)
        penalty[-1, -1] = 0
        a = columns[rest]
        weights = torch.linalg.solve(a.T @ a + penalty, a.T @ truth[rest])
        torch.testing.assert_close(asked[0][row], columns[row] @ weights, rtol=1e-6, atol=1e-8)
    fitted = columns @ torch.linalg.solve(columns.T @ columns + penalty, columns.T @ truth)
    torch.testing.assert_close(made(x), fitted, rtol=1e-6, atol=1e-8)


def test_a_concept_that_hardly_any_picture_shows_is_never_named() -> None:
    x, shown, _ = pictures(300, 0)
    shown[:, 5] = False
    shown[:2, 5] = True
    made = Evidence.from_named(x, shown)
    assert not made.shown(x)[:, 5].any()
    assert made(x).isfinite().all()


def test_what_cannot_be_told_is_said() -> None:
    x, shown, _ = pictures(40, 0)
    with pytest.raises(UserError, match="3 pictures or more"):
        Evidence.from_named(x, torch.zeros_like(shown))
    random = torch.rand(40, 12, generator=torch.Generator().manual_seed(1)) < 0.2
    with pytest.raises(UserError, match="100 % of names"):
        Evidence.from_named(torch.zeros(40, 4) + torch.eye(4)[0], random, 1.0)


@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 50))
def test_any_background_gives_finite_scores(count: int, concepts: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator)
    made = Evidence.from_background(torch.randn(concepts, 6, generator=generator), x)
    assert made(x).isfinite().all()
    assert math.isfinite(made.least)


def test_files_keep_it(tmp_path: Path) -> None:
    assert Evidence.read(tmp_path) is None
    x, shown, concepts = pictures(200, 0)
    for made in (Evidence.from_background(concepts, x), Evidence.from_named(x, shown)):
        made.write(tmp_path)
        read = Evidence.read(tmp_path)
        assert read is not None
        assert torch.equal(read(x), made(x))
        assert read.least == pytest.approx(made.least)
        assert (read.precision is None) == (made.precision is None)
        assert read.what == made.what
