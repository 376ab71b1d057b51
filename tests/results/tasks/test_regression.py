"""Figures of a regression are those of scikit-learn on the pooled sets, or of their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference
from sklearn.linear_model import LinearRegression

from federator.results.tasks.base import Shown
from federator.results.tasks.regression import RegressionView, summarise
from federator.runtime.protocol.evaluation import tables, tasks
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.worker.tasks.regression import count

AGES = (20.0, 100.0)
AGE = Task("regression", 1)


def site(seed: int, size: int, targets: int = 1):
    """Return truths and predictions (N, T) of a site whose model is off by some years."""
    random = np.random.default_rng(seed)
    truths = random.normal(60, 12, (size, targets))
    return truths, 5 + 0.9 * truths + random.normal(0, 4 + targets, (size, targets))


def view(*targets: str) -> RegressionView:
    task = Task("regression", len(targets))
    return RegressionView(EvaluationSettings(task, targets, ranges=(AGES,) * len(targets)))


def pooled(sites, minimum: int = 0, targets: int = 1, ranges=AGES):
    """Return the sums of what the sites let out."""
    forms, found = Task("regression", targets).forms, {}
    for truths, predictions in sites:
        for name, table in count(truths, predictions, [ranges] * targets).items():
            table = forms[name].read(table)
            if (released := forms[name].release(table, minimum)) is not None:
                found.setdefault(name, []).append(released)
    return {name: tables.add(each) for name, each in found.items()}


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 80), min_size=3, max_size=3), seed=st.integers(0, 2**20))
def test_figures_over_sites_are_those_of_the_pooled_sets(sizes: list[int], seed: int) -> None:
    sites = [site(seed + number, size) for number, size in enumerate(sizes)]
    truth, guess = (np.concatenate([one[k] for one in sites])[:, 0] for k in (0, 1))
    found = view("age").figures(pooled(sites))
    if len(truth) < 2:
        assert found["r2"].value is None
        return
    errors = guess - truth
    line = LinearRegression().fit(guess[:, None], truth)
    expected = {
        "mae": reference.mean_absolute_error(truth, guess),
        "rmse": reference.root_mean_squared_error(truth, guess),
        "r2": reference.r2_score(truth, guess),
        "bias": errors.mean(),
        "lower": errors.mean() - stats.norm.ppf(0.975) * errors.std(ddof=1),
        "upper": errors.mean() + stats.norm.ppf(0.975) * errors.std(ddof=1),
        "slope": line.coef_[0],
        "intercept": line.intercept_,
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_intervals_are_those_of_a_mean_by_students_t() -> None:
    truths, predictions = site(3, 40)
    errors = (predictions - truths)[:, 0]
    found = view("age").figures(pooled([(truths, predictions)]))
    for name, values in {"mae": abs(errors), "bias": errors}.items():
        low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-3)
    half = stats.t.ppf(0.975, 39) * errors.std(ddof=1) * np.sqrt(3 / 40)
    assert found["upper"].high - found["upper"].value == pytest.approx(half, rel=1e-3)
    assert found["lower"].value - found["lower"].low == pytest.approx(half, rel=1e-3)


def test_several_targets_have_figures_of_their_own_and_a_mean_r2() -> None:
    sites = [site(seed, size, 3) for seed, size in ((1, 30), (2, 7), (3, 0))]
    truth, guess = (np.concatenate([one[k] for one in sites]) for k in (0, 1))
    shown = view("edv", "esv", "mass")
    sums = pooled(sites, targets=3)
    assert shown.figures(sums)["r2"].value == pytest.approx(reference.r2_score(truth, guess))
    assert shown.figures(sums)["mae"].value is None  # the targets have units of their own
    for k, name in enumerate(shown.settings.names):
        mae = reference.mean_absolute_error(truth[:, k], guess[:, k])
        assert shown.parts(sums)[name]["mae"].value == pytest.approx(mae, rel=1e-9)
    assert not view("age").parts(sums)


def test_a_truth_that_was_not_measured_is_left_out_of_its_target() -> None:
    truths, predictions = site(5, 20, 2)
    truths[::3, 1] = np.nan
    sums = pooled([(truths, predictions)], targets=2)
    known = ~np.isnan(truths[:, 1])
    assert (sums["errors.0"][0][0], sums["errors.1"][0][0]) == (20, known.sum())
    mae = reference.mean_absolute_error(truths[known, 1], predictions[known, 1])
    found = view("edv", "esv").parts(sums)
    assert found["esv"]["mae"].value == pytest.approx(mae, rel=1e-9)


@pytest.mark.parametrize(
    ("mean", "spread", "ranges"), [(7.4, 0.05, (6.8, 7.8)), (2000.0, 8.0, (1900.0, 2100.0))]
)
def test_six_digits_of_the_sums_are_enough_far_from_zero(mean, spread, ranges) -> None:
    """Of a pH or a year: the squares of values far from 0 would leave no digit of their spread."""
    random = np.random.default_rng(7)
    truths = random.normal(mean, spread, (300, 1))
    guesses = truths + random.normal(0, spread / 2, (300, 1))
    (form,) = {k: f for k, f in AGE.forms.items() if k.startswith("errors")}.values()
    (sums,) = form.round_sums(count(truths, guesses, [ranges])["errors.0"], 6)
    found = summarise(sums, tasks.middle(*ranges))
    line = LinearRegression().fit(guesses, truths[:, 0])
    assert found["r2"].value == pytest.approx(reference.r2_score(truths, guesses), abs=1e-4)
    assert found["slope"].value == pytest.approx(line.coef_[0], abs=1e-4)
    assert found["intercept"].value == pytest.approx(line.intercept_, abs=1e-4 * mean)


def test_rounded_sums_of_one_value_are_no_spread() -> None:
    same = np.full((6, 1), 61.7123456)
    (form,) = {k: f for k, f in AGE.forms.items() if k.startswith("errors")}.values()
    (sums,) = form.round_sums(count(same, same + 2.3456789, [AGES])["errors.0"], 6)
    found = summarise(sums, tasks.middle(*AGES))
    assert (found["r2"].value, found["slope"].value) == (None, None)


def test_what_is_undefined_is_a_dash() -> None:
    same = np.full((6, 1), 61.3)
    found = view("age").figures(pooled([(same, same + 2)]))
    assert (found["r2"].value, found["slope"].value, found["intercept"].value) == (None, None, None)
    assert (found["mae"].value, found["bias"].low, found["bias"].high) == pytest.approx((2, 2, 2))
    assert all(figure.value is None for figure in view("age").figures({}).values())
    assert summarise([1, 2, 4, 2, 60, 3600, 62, 3844, 3720], 0)["lower"].value is None


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    minimum=st.integers(1, 12),
    seed=st.integers(0, 2**20),
)
def test_no_count_below_the_minimum_leaves(sizes: list[int], minimum: int, seed: int) -> None:
    for number, size in enumerate(sizes):
        for name, table in pooled([site(seed + number, size, 2)], minimum, 2).items():
            counts = table[0][:1] if name.startswith("errors") else table[0]
            assert all(n == 0 or n >= minimum for n in counts)


def test_bins_hold_predictions_and_those_outside_of_the_range() -> None:
    guess = np.array([[-400.0], [20.0], [59.9], [60.0], [99.9], [100.0], [4e6]])
    counts = count(guess, guess, [AGES])["calibration.0"][0]
    assert (counts[0], counts[15], counts[16], counts[31]) == (2, 1, 1, 3)


def test_charts_show_calibration_and_agreement() -> None:
    a, b = ([site(seed, 60)] for seed in (1, 2))
    shown = {"north": Shown(pooled(a), 0), "all sites": Shown(pooled(a + b), None)}
    calibration, agreement = view("age").charts("Federation", shown)
    assert (calibration.title, agreement.title) == (
        "Federation: calibration",
        "Federation: agreement",
    )
    names = [line.series.name for line in calibration.lines]
    assert names == ["north", "all sites", "as predicted"]
    names = [line.series.name for line in agreement.lines]
    assert names[2:] == [f"all sites, {one}" for one in ("lower limit", "bias", "upper limit")]
    two = {"north": Shown(pooled([site(3, 50, 2)], targets=2), 0)}
    assert [chart.title for chart in view("edv", "esv").charts("F", two)][
        2
    ] == "F: calibration, esv"
    assert not view("age").charts("Federation", {"north": Shown({}, 0)})
