"""Intervals against SciPy, and against a computation of DeLong's variance pair by pair."""

import numpy as np
import pytest
from scipy import stats

from federator.results.tasks.intervals import of_area, of_mean, student

RNG = np.random.default_rng(5)


def test_students_quantiles_are_right_for_every_number_of_values():
    for freedom in (*range(1, 60), 100, 1000, 10**6):
        assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=3e-5)


@pytest.mark.parametrize("n", [2, 3, 5, 12, 400])
def test_the_interval_of_a_mean_is_that_of_a_t_test(n):
    values = RNG.normal(3, 2, n)
    found = of_mean(n, values.sum(), np.square(values).sum())
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean(), abs=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_values_that_are_all_the_same_and_single_ones():
    assert (found := of_mean(10, 1.0, 0.1)).low == found.high == found.value
    assert (found := of_mean(1, 0.5, 0.25)).value == 0.5 and found.low is None
    assert of_mean(0, 0, 0).value is None


@pytest.mark.parametrize("sizes", [(2, 2), (30, 12), (5, 200)])
def test_the_interval_of_an_area_is_delongs_on_the_logits_scale(sizes):
    rng = np.random.default_rng(2)
    lacking, having = rng.integers(0, 6, sizes[0]), rng.integers(1, 8, sizes[1])
    lacking[0], having[0] = 4, 3  # at least one pair is in the wrong order, and one in the right
    lacking[1], having[1] = 0, 6
    pairs = (having[:, None] > lacking) + 0.5 * (having[:, None] == lacking)
    area = pairs.mean()
    spread = np.var(pairs.mean(1), ddof=1) / sizes[1] + np.var(pairs.mean(0), ddof=1) / sizes[0]
    within = stats.norm.ppf(0.975) * np.sqrt(spread) / (area * (1 - area))
    binned = [np.bincount(group, minlength=8).tolist() for group in (lacking, having)]
    expected = 1 / (1 + np.exp(-(np.log(area / (1 - area)) + np.array([-within, within]))))
    assert of_area(binned) == pytest.approx(tuple(expected), abs=1e-9)


@pytest.mark.parametrize(
    "scores", [[[0, 0], [3, 4]], [[1, 0], [2, 2]], [[5, 0], [0, 5]], [[0, 5], [5, 0]]]
)
def test_an_area_whose_variance_is_not_known_has_no_interval(scores):
    assert of_area(scores) is None
