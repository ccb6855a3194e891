"""The concept space: what its matrices are, and a support in it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trifocal.concepts.placed import Placed, Places, concept_frame
from trifocal.concepts.space import POWER, ConceptSpace, kept_length, powered, spectrum
from trifocal.concepts.support import Support, unit

WIDTH = 6


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def at(
    views: Tensor,
    labels: Tensor,
    concepts: Tensor | None,
    shrinkage: float,
    power: float = POWER,
    length: float = 0.0,
) -> Placed:
    data = Support(views, labels, None, None, None, int(labels.max()) + 1)
    return Places(concept_frame(data.features, concepts), data, shrinkage).at(power, length)


def concept_space(
    views: Tensor, labels: Tensor, concepts: Tensor | None, shrinkage: float
) -> ConceptSpace:
    return at(views, labels, concepts, shrinkage).space


# --- emphasis -----------------------------------------------------------------------------


def emphasis(concepts: Tensor, power: float = POWER) -> Tensor:
    """Return the metric as a symmetric matrix: its axes do not matter."""
    values, vectors = spectrum(concepts)
    return powered(values, vectors, power) @ vectors.T


def test_the_metric_is_the_fourth_root_of_the_covariance() -> None:
    axes, _ = torch.linalg.qr(draw(WIDTH, WIDTH))
    variances = torch.tensor([1.0, 0.5, 0.2, 0.1, 0.05, 0.0]).double()
    steps = axes.T * variances.sqrt()[:, None]
    concepts = 3 + torch.cat([steps, -steps])  # scatter is twice the variances, in these axes
    expected = (axes * (variances + 0.01).pow(0.25)) @ axes.T
    torch.testing.assert_close(emphasis(concepts), expected)


def test_repeating_concepts_changes_little() -> None:
    """What many concepts share is not counted many times over: sixteen-fold is doubled."""
    concepts = torch.eye(WIDTH, dtype=torch.float64)
    crowded = torch.cat([concepts, concepts[:1].repeat(15, 1)])
    crowded = torch.cat([crowded, -crowded])  # centered
    metric = emphasis(crowded)
    assert float(metric[0, 0] / metric[1, 1]) == pytest.approx(16**0.25, rel=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [WIDTH, 512])
@pytest.mark.parametrize("count", [1, 3, 5, 20])
def test_concepts_that_are_all_alike_emphasize_nothing(
    dtype: torch.dtype, width: int, count: int
) -> None:
    """Their scatter is rounding, which no eigenvalue decomposition has to cope with."""
    for seed in range(3):
        concepts = unit(draw(1, width, seed=seed)).to(dtype).expand(count, -1)
        metric = emphasis(concepts)
        torch.testing.assert_close(metric, metric[0, 0] * torch.eye(width, dtype=dtype))


def test_concepts_that_are_nearly_alike_keep_their_emphasis() -> None:
    """Only rounding is taken for nothing: scatter has no scale."""
    concepts = unit(unit(draw(1, WIDTH, seed=1)) + 1e-2 * draw(20, WIDTH))
    apart = concepts - concepts.mean(0)
    torch.testing.assert_close(emphasis(concepts), emphasis(100 * apart))


@pytest.mark.parametrize("count", [2, 4, 20])
def test_single_precision_is_near_double(count: int) -> None:
    """Directions that no concept has are noise in float32, and must not be magnified."""
    concepts = unit(draw(count, 64))
    torch.testing.assert_close(
        emphasis(concepts.float()).double(), emphasis(concepts), rtol=0, atol=1e-4
    )


# --- whitening ----------------------------------------------------------------------------


def within(points: Tensor, labels: Tensor, centers: Tensor | None = None) -> Tensor:
    """Return the (d, d) scatter of points within their classes."""
    if centers is None:
        centers = torch.stack([points[labels == label].mean(0) for label in labels.unique()])
    deviations = points - centers[labels]
    return deviations.T @ deviations


@pytest.mark.parametrize("with_concepts", [True, False])
def test_whitening_makes_the_scatter_within_classes_isotropic(with_concepts: bool) -> None:
    labels = torch.arange(3).repeat_interleave(40)
    stretch = torch.tensor([3.0, 1, 1, 0.5, 0.3, 0.2]).double()
    support = unit(draw(3, WIDTH)[labels] + draw(120, WIDTH, seed=1) * stretch)
    concepts = unit(draw(20, WIDTH)) if with_concepts else None
    scatters = []
    for shrinkage in (1e-9, 1.0):
        space = concept_space(support[:, None], labels, concepts, shrinkage)
        points = space(support)
        # Coordinates are of length one on average.
        assert float(points.pow(2).sum(1).mean()) == pytest.approx(1)
        scatters.append(within(points, labels))
    sphere = scatters[0].trace() / WIDTH * torch.eye(WIDTH).double()
    torch.testing.assert_close(scatters[0], sphere, rtol=0, atol=1e-5 * float(sphere[0, 0]))
    condition = torch.linalg.cond(scatters[1])
    before = unit((support - support.mean(0)) @ space.metric)
    assert 1.01 < float(condition) < float(torch.linalg.cond(within(before, labels)))


@pytest.mark.parametrize("shrinkage", [0.1, 1.0])
def test_shrinkage_is_in_mean_squared_deviations(shrinkage: float) -> None:
    labels = torch.arange(3).repeat_interleave(5)
    support = unit(draw(15, WIDTH))
    space = concept_space(support[:, None], labels, None, shrinkage)
    scatter = within(unit((support - support.mean(0)) @ space.metric), labels)
    expected = scatter * 15 / scatter.trace() + shrinkage * torch.eye(WIDTH).double()
    found = torch.linalg.inv(space.whitening @ space.whitening.T)
    torch.testing.assert_close(found / found.trace(), expected / expected.trace())


def test_one_image_and_one_view_a_class_tell_nothing_of_the_scatter() -> None:
    support = unit(draw(5, WIDTH))
    space = concept_space(support[:, None], torch.arange(5), unit(draw(20, WIDTH)), 1.0)
    assert torch.equal(space.whitening, torch.eye(WIDTH, dtype=torch.float64))
    rough = support.float()
    space = concept_space(rough[:, None] * 7, torch.arange(5), None, 1.0)
    assert torch.equal(space.whitening, torch.eye(WIDTH))


def test_views_tell_of_the_scatter_at_one_shot() -> None:
    labels = torch.arange(3)
    stretch = torch.tensor([1.0, 0.5, 0.2, 0.2, 0.1, 0.1]).double()
    views = unit(draw(3, 1, WIDTH) + 0.2 * draw(3, 50, WIDTH, seed=1) * stretch)
    support = unit(views.mean(1))
    space = concept_space(views, labels, unit(draw(20, WIDTH)), 1e-9)
    scatter = within(space(views.flatten(0, 1)), labels.repeat_interleave(50), space(support))
    sphere = scatter.trace() / WIDTH * torch.eye(WIDTH).double()
    torch.testing.assert_close(scatter, sphere, rtol=0, atol=1e-5 * float(sphere[0, 0]))


def test_uneven_classes_and_a_single_class() -> None:
    for labels in (torch.tensor([0, 1, 1, 1, 2, 2]), torch.zeros(6, dtype=torch.long)):
        support = unit(draw(6, WIDTH))
        space = concept_space(support[:, None], labels, None, 1.0)
        assert space(unit(draw(4, WIDTH))).isfinite().all()
        assert space(space.center[None]).abs().max() == 0  # the center is the origin


# --- powers and lengths -------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("length", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 3])
def test_a_placed_support_is_what_its_space_says_of_its_features(
    power: float, length: float, count: int
) -> None:
    """Coordinates that are stretched along axes are those of the metric."""
    views, labels = draw(12, count, WIDTH), torch.arange(12) % 3
    here = at(views, labels, unit(draw(20, WIDTH, seed=1)), 0.7, power, length)
    features = unit(views.mean(1))
    torch.testing.assert_close(here.space.bare(features), here.bare)
    torch.testing.assert_close(here.space.bare(unit(views.flatten(0, 1))), here.views)
    torch.testing.assert_close(here.space(features), here.points)
    for label, mean in enumerate(here.gaussians.means):
        torch.testing.assert_close(mean, here.points[labels == label].mean(0))
    assert float(here.bare.norm(dim=1).mean()) == pytest.approx(1, rel=0.1)


def test_without_a_power_concepts_do_not_matter() -> None:
    views, labels = draw(12, 1, WIDTH), torch.arange(12) % 3
    ours, raw = (
        at(views, labels, concepts, 1.0, 0.0).points
        for concepts in (unit(draw(20, WIDTH, seed=1)), None)
    )
    torch.testing.assert_close(torch.cdist(ours, ours), torch.cdist(raw, raw))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_length_is_raised_to_a_power(power: float) -> None:
    points = torch.cat([draw(5, WIDTH), torch.zeros(1, WIDTH).double()])
    kept = kept_length(points, power)
    torch.testing.assert_close(kept[:5].norm(dim=1), points[:5].norm(dim=1) ** power)
    torch.testing.assert_close(unit(kept), unit(points))
    assert not kept[5].any()
