"""scikit-learn's own checks of an estimator, on the adapter over two heads that need no texts."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from trifocal.api.head_classifier import HeadClassifier

_REASONS = {
    "check_no_attributes_set_in_init": "the head's settings are kept together: their names are the "
    "head's, and the head may change",
}


def expected_failures(estimator: Any) -> dict[str, str]:
    return _REASONS


@pytest.mark.filterwarnings("ignore:Estimator HeadClassifier does not inherit")
@parametrize_with_checks(
    [HeadClassifier("gda"), HeadClassifier("linear-probe")],
    expected_failed_checks=expected_failures,
)
def test_it_has_the_manners_of_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)
