"""How sites differ: the test of homogeneity against SciPy, the worst site, and the page."""

import numpy as np
import pytest
from fakes import run_journal
from fixtures import report_pages
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from federator.results import history, report
from federator.results.site_differences import chi_square_tail, differences, homogeneity
from federator.results.tasks.base import Figure
from federator.results.tasks.intervals import Z
from federator.runtime.worker.tasks import regression


@given(st.floats(0, 400), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_the_tail_of_chi_square_is_that_of_scipy(x, freedom):
    assert chi_square_tail(x, freedom) == pytest.approx(chi2.sf(x, freedom), rel=1e-9, abs=1e-12)


def figure(value: float, error: float) -> Figure:
    return Figure(value, value - Z * error, value + Z * error)


def test_samples_of_one_value_are_rarely_told_apart_and_others_always():
    draw = np.random.default_rng(5)
    alike = [
        homogeneity([figure(draw.normal(0.8, 0.02), 0.02) for _ in range(5)]) for _ in range(400)
    ]
    told = np.mean([one.p < 0.05 for one in alike])
    assert 0.02 < told < 0.09  # 0.05 but for chance
    apart = homogeneity([figure(0.8, 0.02), figure(0.82, 0.02), figure(0.6, 0.02)])
    assert apart.p < 1e-6 and apart.share > 0.9 and apart.sites == 3


def test_without_two_intervals_there_is_no_test():
    assert homogeneity([figure(0.8, 0.02), Figure(0.7)]) is None
    assert homogeneity([Figure(None), figure(0.8, 0.02), Figure(0.5, 0.5, 0.5)]) is None


def test_the_report_names_the_worst_site_of_each_chief_figure(tmp_path):
    read = history.read(run_journal.write(tmp_path))
    found = differences(read)
    assert [one.title for one in found] == ["Accuracy", "F1"]
    figures = {
        site: read.view.figures(result.tables)["accuracy"].value
        for site, result in read.tests["federation"].sites.items()
    }
    worst = min(figures, key=figures.get)
    assert found[0].worst[0] == worst
    assert found[0].spread == pytest.approx(max(figures.values()) - min(figures.values()))
    assert found[0].test.sites == len(figures) and found[1].test is None  # F1 has no interval
    text = report_pages.Page(report.write(tmp_path)).text
    assert "How much the sites differ" in text
    assert f"{worst}: {figures[worst]:.3f}" in text and "not tested: no intervals" in text


def test_of_a_lower_is_better_figure_the_highest_is_the_worst(tmp_path):
    emit = run_journal.Writer(tmp_path)
    how = {
        "strategy": "FedAvg",
        "first_round": 1,
        "last_round": 1,
        "task": "regression",
        "ranges": [(20, 100)],
    }
    emit("start", run="r", federation="f", sites=["a", "b"], labels=["age"], **how)
    draw = np.random.default_rng(1)
    results = {}
    for site, error in {"a": 1.0, "b": 9.0}.items():
        truths = draw.normal(60, 12, (50, 1))
        tables = regression.count(truths, truths + draw.normal(0, error, (50, 1)), [(20, 100)])
        results[site] = {"tables": tables, "loss": 1.0, "examples": 50}
    emit("test", model="federation", round=1, sites=results)
    mae = differences(history.read(tmp_path))[0]
    assert mae.title == "MAE" and (mae.worst[0], mae.best[0]) == ("b", "a")
    assert mae.test.p < 0.001


def test_figures_of_single_sites_are_not_shown_where_they_are_withheld(tmp_path):
    run_journal.change(
        run_journal.write(tmp_path), lambda one: one.update(sites_withheld=True), event="start"
    )
    assert "How much the sites differ" not in report_pages.Page(report.write(tmp_path)).text
