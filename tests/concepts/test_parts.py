"""The space of parts: what views of one picture differ in counts less."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trifocal.concepts import ConceptMap
from trifocal.concepts.parts import parts_metric
from trifocal.concepts.support import unit
from trifocal.errors import UserError


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views(pictures: int = 12, count: int = 5, width: int = 6) -> Tensor:
    """Return views that differ from their pictures along the first axis above all."""
    spread = torch.tensor([3.0, *(0.1,) * (width - 1)], dtype=torch.float64)
    return unit(drawn(pictures, 1, width) + spread * drawn(pictures, count, width, seed=1))


def test_the_metric_is_the_inverse_fourth_root_of_what_views_differ_in() -> None:
    given = views()
    deviations = (given - given.mean(1, keepdim=True)).flatten(0, 1)
    scatter = deviations.T @ deviations
    largest = torch.linalg.matrix_norm(scatter, 2)
    expected = torch.linalg.inv(scatter / largest + 1e-2 * torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.matrix_power(parts_metric(given), 4), expected)


def test_where_views_differ_most_counts_least() -> None:
    lengths = parts_metric(views()).norm(dim=1)
    assert int(lengths.argmin()) == 0
    assert lengths[0] < 0.6 * lengths[1:].min()


def test_it_turns_with_the_features() -> None:
    given = views()
    turn = torch.linalg.qr(drawn(6, 6, seed=2))[0]
    torch.testing.assert_close(parts_metric(given @ turn), turn.T @ parts_metric(given) @ turn)


def test_it_knows_no_order_of_pictures_or_views() -> None:
    given = views()
    torch.testing.assert_close(parts_metric(given.flip(0).flip(1)), parts_metric(given))


@pytest.mark.parametrize("given", [views(count=1), views()[:, :1].repeat(1, 4, 1)])
def test_one_view_or_equal_ones_show_no_parts(given: Tensor) -> None:
    with pytest.raises(UserError, match="--views 10"):
        parts_metric(given)


def test_views_that_differ_alike_in_all_directions_leave_raw_features() -> None:
    axes = torch.eye(4, dtype=torch.float64)
    given = torch.stack([axes, -axes], 1).flatten(0, 1)[None]  # every axis, to both sides
    metric = parts_metric(given)
    torch.testing.assert_close(metric, metric[0, 0] * axes)


def test_a_nuisance_within_pictures_misleads_the_map_less_in_the_space_of_parts() -> None:
    labels = torch.arange(4)
    classes = torch.eye(12, dtype=torch.float64)[:4]
    nuisance = torch.eye(12, dtype=torch.float64)[8:]

    def shown(count: int, seed: int) -> Tensor:
        """Return views of a picture of each class, whose parts are large or small by chance."""
        amounts = 3 * drawn(4, count, 4, seed=seed)
        return classes[:, None] + amounts @ nuisance + 0.05 * drawn(4, count, 12, seed=seed + 1)

    support, asked = shown(3, 10), shown(200, 20).transpose(0, 1).flatten(0, 1)
    right = {}
    for metric in ("concepts", "parts"):
        head = ConceptMap(metric=metric, visual="raw")
        head.fit(support, labels, None, drawn(9, 12))
        right[metric] = float((head.predict(asked) == labels.repeat(200)).double().mean())
    assert right["parts"] > right["concepts"] + 0.05


def test_its_reasons_add_up_and_bear_names() -> None:
    labels = torch.arange(4).repeat_interleave(3)
    head = ConceptMap(metric="parts").fit(views(), labels, None, unit(drawn(9, 6, seed=3)))
    told = head.explain(views()[:3, 0])
    for one in told:
        assert sum(term.value for term in one.terms) == pytest.approx(one.logit)
    assert any(term.kind == "concept" for one in told for term in one.terms)


def test_features_of_single_views_are_refused() -> None:
    with pytest.raises(UserError, match="several views"):
        ConceptMap(metric="parts").fit(drawn(4, 6), [0, 0, 1, 1], None, drawn(9, 6))
