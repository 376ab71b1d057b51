"""Calibration of binned scores: against scikit-learn, and where it is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from federator.results.tasks.base import Shown
from federator.results.tasks.calibration import calibration, chart

BINS = 32


def binned(having: np.ndarray, scores: np.ndarray) -> list[list[int]]:
    at = np.minimum((scores * BINS).astype(int), BINS - 1)
    return [np.bincount(at[having == k], minlength=BINS).tolist() for k in (0, 1)]


@given(st.integers(0, 2**31), st.floats(-1.5, 1.5), st.floats(0.4, 2.5))
@settings(max_examples=25, deadline=None)
def test_the_line_is_that_of_scikit_learn(seed, intercept, slope):
    draw = np.random.default_rng(seed)
    middle = (draw.integers(0, BINS, 600) + 0.5) / BINS
    logit = np.log(middle / (1 - middle))
    having = (draw.random(600) < 1 / (1 + np.exp(-(intercept + slope * logit)))).astype(int)
    found = calibration(binned(having, middle))
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(logit[:, None], having)
    assert found.slope == pytest.approx(model.coef_[0, 0], abs=1e-4)
    assert found.intercept == pytest.approx(model.intercept_[0], abs=1e-4)


@given(st.integers(0, 2**31), st.integers(20, 500))
@settings(max_examples=25, deadline=None)
def test_the_error_is_that_of_the_scores_within_half_a_bin(seed, n):
    draw = np.random.default_rng(seed)
    scores = draw.random(n)
    having = (draw.random(n) < scores**2).astype(int)
    at = (scores * 8).astype(int)
    exact = sum(
        abs(having[at == b].mean() - scores[at == b].mean()) * (at == b).sum() / n
        for b in np.unique(at)
    )
    assert calibration(binned(having, scores)).error == pytest.approx(exact, abs=0.5 / BINS)


def test_too_extreme_scores_have_a_slope_below_one():
    draw = np.random.default_rng(3)
    truth = draw.random(4000)
    having = (draw.random(4000) < truth).astype(int)
    logit = np.log(truth / (1 - truth))
    extreme = calibration(binned(having, 1 / (1 + np.exp(-3 * logit))))
    honest = calibration(binned(having, truth))
    assert extreme.slope < 0.6 < 0.9 < honest.slope < 1.1
    assert honest.error < 0.04 < 0.1 < extreme.error


@pytest.mark.parametrize(
    "scores",
    [
        [[0, 3, 0, 0], [0, 0, 0, 0]],
        [[9, 0, 0, 0], [0, 0, 0, 9]],
        [[0, 0, 4, 0], [0, 0, 7, 0]],
    ],
)
def test_where_there_is_no_line_there_is_an_error_only(scores):
    found = calibration(scores)
    assert (found.slope, found.intercept) == (None, None)
    assert 0 <= found.error <= 1


def test_without_scores_there_is_no_calibration_and_no_chart():
    assert calibration(None) is None
    assert calibration([[0, 0], [0, 0]]) is None
    assert chart("x", "scores.0", {"Federation": Shown({}, None)}) is None
