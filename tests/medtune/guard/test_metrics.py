"""Rates and AUROC with their intervals, against other implementations."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medtune.guard.metrics import auroc, rate


def test_a_rate_has_wilsons_interval() -> None:
    found = rate("hits", np.array([True] * 9 + [False]))
    # Wilson (1927): (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n)
    z, p, n = 1.959964, 0.9, 10
    middle, margin = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found["hits"] == 0.9 and found["hits.n"] == 10
    assert found["hits.ci_low"] == pytest.approx((middle - margin) / (1 + z * z / n), abs=1e-6)
    assert found["hits.ci_high"] == pytest.approx((middle + margin) / (1 + z * z / n), abs=1e-6)


def test_a_rate_of_none_still_has_an_upper_end() -> None:
    found = rate("hits", np.zeros(50, dtype=bool))
    assert found["hits"] == found["hits.ci_low"] == 0
    assert found["hits.ci_high"] == pytest.approx(0.0713, abs=1e-4)


def test_auroc_is_that_of_scikit_learn_with_ties() -> None:
    generator = np.random.default_rng(0)
    positive, negative = generator.integers(3, 9, 40), generator.integers(0, 7, 60)
    labels = [1] * 40 + [0] * 60
    expected = roc_auc_score(labels, np.concatenate([positive, negative]))
    assert auroc("a", positive, negative)["a"] == pytest.approx(expected)


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    truth = 0.5 * (1 + math.erf(1.5 / 2))  # P(N(1.5, 1) > N(0, 1))
    held = 0
    for _ in range(400):
        found = auroc("a", generator.normal(1.5, 1, 60), generator.normal(0, 1, 60))
        held += found["a.ci_low"] < truth < found["a.ci_high"]
    assert 0.92 <= held / 400 <= 0.98


def test_where_nothing_overlaps_there_is_no_interval() -> None:
    found = auroc("a", np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    assert found["a"] == 1 and math.isnan(found["a.ci_low"])
