"""Runs of one federation side by side: what was set otherwise, and what came of it."""

import pytest
from fakes.run_journal import change, write
from fixtures import exported
from fixtures.exported import told
from fixtures.paths import ROOT

from federator.common import figures
from federator.results import history, measured

NAMES = ("2026-11-28-001", "2026-11-28-002")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    folder = tmp_path / "results" / "breast-cancer"
    first = write(folder / NAMES[0], rounds=3, failing=("birch", 2))
    second = write(folder / NAMES[1], rounds=5, failing=None, seed=2)
    for run in (first, second):
        change(run, lambda line: line.update(federation="breast-cancer"), event="start")
    change(second, lambda line: line.update(strategy="FedProx"), event="start")
    return first, second


def cells(text, name):
    """Return the cells of a row of the table."""
    (line,) = [line for line in text.splitlines() if line.split()[: len(name.split())] ==
               name.split()]  # fmt: skip
    return line.replace(name, "", 1).split()


def test_the_page_s_commands_show_what_differs_and_the_final_figures(runs):
    whole, each = exported.commands(ROOT / "docs" / "results.md", "compare")
    said = told(whole)
    assert said == told(each)
    assert cells(said, "strategy") == ["FedAvg", "FedProx"]
    assert cells(said, "last_round") == cells(said, "rounds run") == ["3", "5"]
    assert cells(said, "failures of sites") == ["1", "0"]
    assert cells(said, "state") == ["finished", "finished"]
    assert "local_epochs" not in said and "version of" not in said
    for place, run in enumerate(runs):
        journal = history.read(run)
        found = measured.figures(journal.view, journal.tests["federation"].pooled())["accuracy"]
        value, interval = cells(said, "Accuracy")[2 * place : 2 * place + 2]
        assert value == figures.number(found.value)
        assert interval == f"({figures.number(found.low)}–{figures.number(found.high)})"


def test_runs_that_differ_in_nothing_say_so(runs):
    said = told(f"compare {runs[0]} {runs[0]}")
    assert cells(said, "settings") == ["the", "same", "the", "same"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"federation": "lungs"}, "it is of another federation (lungs, not breast-cancer)"),
        ({"labels": ["a", "b"], "positive": "b"}, "it is with other labels, classes or targets"),
        ({"positive": "benign"}, "with another positive label (benign, not malignant)"),
        ({"task": "multilabel"}, "it is of another task (multilabel, not classification)"),
    ],
)
def test_what_measures_something_else_is_refused_in_words(runs, fields, words):
    change(runs[1], lambda line: line.update(fields), event="start")
    said = told("compare results/breast-cancer", status=2)
    assert f"{NAMES[1]} cannot be compared with {NAMES[0]}: " in said and words in said


def test_runs_on_other_test_sets_are_refused(tmp_path):
    write(tmp_path / "a", rounds=1, failing=None)
    write(
        tmp_path / "b", rounds=1, failing=None, sites={"alder": (260, 65, 82), "dogwood": (9,) * 3}
    )
    said = told(f"compare {tmp_path}", status=2)
    assert "their test sets differ (examples: alder 82, dogwood 9, not alder 82, birch 30" in said


def test_a_run_that_was_not_tested_is_shown_as_such(runs):
    untested = write(runs[0].with_name("2026-11-28-003"), rounds=1, tested=False, end=None)
    change(untested, lambda line: line.update(federation="breast-cancer"), event="start")
    said = told(f"compare {runs[0]} {untested}")
    assert "not tested at all sites" in said and cells(said, "state") == ["finished", "open"]


def test_one_run_is_too_few(runs):
    assert "fewer than two runs" in told(f"compare {runs[0]}", status=2)
    assert "is it a run's folder?" in told(f"compare {runs[0]} nowhere", status=1)
