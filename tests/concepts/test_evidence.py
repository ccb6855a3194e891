"""Evidence: names of what a picture shows, and not of what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from trifocal.concepts import evidence
from trifocal.concepts.evidence import FILE, Evidence
from trifocal.concepts.support import unit
from trifocal.errors import UserError


def pictures(count: int, seed: int, concepts: int = 12, noise: float = 0.5) -> tuple[Tensor, ...]:
    """Return features of pictures, which concepts each shows (one in ten), and the concepts."""
    generator = torch.Generator().manual_seed(seed)
    directions = unit(torch.randn(concepts, 32, generator=torch.Generator().manual_seed(99)))
    shown = torch.rand(count, concepts, generator=generator) < 0.1
    x = 2 * shown.float() @ directions + noise * torch.randn(count, 32, generator=generator) / 5
    return x + 0.3, shown, directions


def test_words_are_enough_where_one_of_them_wins() -> None:
    x, shown, words = pictures(400, 1)
    found = Evidence.from_words(words, 8.0).shown(x)
    assert float(shown[found].float().mean()) > 0.7  # one in ten by chance
    assert float(found[shown].float().mean()) > 0.2


def test_words_compete_at_the_models_scale() -> None:
    x, _, words = pictures(5, 1)
    asked = Evidence.from_words(3 * words, 20.0)(10 * x)
    torch.testing.assert_close(asked, (20 * unit(x) @ words.T).softmax(1))


def test_a_word_that_is_given_twice_shares_what_it_had() -> None:
    x, _, words = pictures(5, 1)
    once, twice = (Evidence.from_words(each, 20.0)(x) for each in (words, words.repeat(2, 1)))
    torch.testing.assert_close(twice[:, : len(words)], once / 2)


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


@given(st.integers(1, 40), st.integers(0, 50), st.floats(0.0, 1.0))
def test_no_more_words_are_named_than_there_is_probability_for(
    concepts: int, seed: int, least: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(7, 6, generator=generator)
    made = Evidence.from_words(torch.randn(concepts, 6, generator=generator), 100.0, least)
    assert made(x).isfinite().all()
    assert (made.shown(x).sum(1) * least <= 1 + 1e-5).all()


def test_files_keep_it(tmp_path: Path) -> None:
    assert Evidence.read(tmp_path) is None
    x, shown, concepts = pictures(200, 0)
    for made in (Evidence.from_words(concepts, 8.0), Evidence.from_named(x, shown)):
        made.write(tmp_path)
        read = Evidence.read(tmp_path)
        assert read is not None
        assert torch.equal(read(x), made(x))
        assert read.least == pytest.approx(made.least)
        assert (read.precision is None) == (made.precision is None)
        assert read.what == made.what


def test_evidence_from_before_words_competed_is_read(tmp_path: Path) -> None:
    x = torch.eye(4)
    tensors = {
        "directions": 3 * x[:2],
        "offsets": torch.zeros(2),
        "numbers": torch.tensor([2.5, -1.0]),
    }
    save_file(tensors, tmp_path / FILE)
    read = Evidence.read(tmp_path)
    assert read is not None
    assert read.shown(x).tolist() == [[True, False], [False, True], [False, False], [False, False]]
    assert read.what == "a concept is named from 2.5 standard deviations above background on"
