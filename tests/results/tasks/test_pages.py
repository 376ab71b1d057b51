"""The report of a regression and of a survival analysis: figures, charts, why one is missing."""

import re

import numpy as np
import pytest
from fakes.run_journal import Writer

from federator.results import history, report
from federator.results.comparison import compare
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.worker.tasks import regression, survival

SITES = {"north": 900, "south": 400, "east": 12}


def of_a_regression(random: np.random.Generator, size: int):
    truths = random.normal(60, 12, (size, 1))
    return regression.count(truths, truths + random.normal(1, 5, (size, 1)), [(20, 100)])


def of_a_survival_analysis(random: np.random.Generator, size: int):
    risks = random.normal(size=size)
    deaths, ends = random.exponential(40 * np.exp(-risks)), random.uniform(0, 90, size)
    return survival.count(np.minimum(deaths, ends), deaths <= ends, risks, 60.0)


def page(run, task: str, minimum: int, sites=SITES, **said) -> str:
    """Write the journal of a run that tested one model, and return its report."""
    random, emit = np.random.default_rng(1), Writer(run)
    how = {"strategy": "FedAvg", "first_round": 1, "last_round": 1, "task": task, "labels": []}
    emit("start", run=run.name, federation="made-up", sites=list(sites), **(how | said))
    count = of_a_regression if task == "regression" else of_a_survival_analysis
    forms, results = Task(task, 1).forms, {}
    for name, size in sites.items():
        made = {k: forms[k].release(one, minimum) for k, one in count(random, size).items()}
        results[name] = {
            "tables": {k: one for k, one in made.items() if one},
            "withheld": [k for k, one in made.items() if not one],
            "loss": 1.0,
            "examples": size,
        }
    for event in ("validation", "test"):
        emit(event, model="federation", round=1, sites=results)
    emit("end", state="finished", round=1, model_round=1, seconds=2.0)
    return report.write(run).read_text()


@pytest.mark.parametrize("minimum", [1, 5])
def test_a_regression(tmp_path, minimum):
    text = page(tmp_path / "r", "regression", minimum, labels=["age"], ranges=[[20, 100]])
    for shown in ("MAE", "RMSE", "R²", "Bias", "Lower limit", "Upper limit", "Slope", "Intercept"):
        assert f">{shown}<" in text
    assert "Federation, by test set: calibration" in text
    assert "Federation, by test set: agreement" in text
    assert "all sites, upper limit" in text
    # East's 12 patients give no bins of 5.
    assert ("“All sites” is without east: no calibration from there." in text) is (minimum == 5)
    (row,) = compare(history.read(tmp_path / "r"))
    assert row.figures["mae"].value == pytest.approx(4, abs=0.5)


def test_a_survival_analysis_with_fine_tables(tmp_path):
    text = page(tmp_path / "s", "survival", 0, horizon=60)
    (row,) = compare(history.read(tmp_path / "s"))
    assert row.figures["binned"].note in text
    assert row.figures["binned"].note.endswith("32 bins")
    assert f"{row.figures['binned'].value:.3f}" in text
    assert row.figures["log_rank"].note in text
    assert "Federation, by test set: all sites" in text
    assert "low risk, 95 % interval" in text
    assert "at the horizon (60)" in text


def test_a_survival_analysis_with_coarse_tables(tmp_path):
    sites = {"north": 900, "south": 400}
    text = page(tmp_path / "s", "survival", 5, sites, horizon=60)
    (row,) = compare(history.read(tmp_path / "s"))
    assert (row.figures["binned"].value, row.figures["low"].value is None) == (None, False)
    assert row.figures["binned"].note.endswith("2 bins: too few")
    assert row.figures["binned"].note in text  # beside the dash


def test_a_survival_analysis_with_withheld_tables(tmp_path):
    text = page(tmp_path / "s", "survival", 5, horizon=60)
    assert re.search("risks[a-z, ]* of the test set did not leave the site", text)
    (row,) = compare(history.read(tmp_path / "s"))
    for name in ("low", "high", "log_rank"):  # of the sites that gave their risks
        assert row.figures[name].without == ("east",)
    assert "without east" in text
