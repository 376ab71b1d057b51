"""Epsilon and delta of a run, by site and for the model, where people look."""

import io
import json
import math

import pytest
from fakes import run_journal
from fixtures.published import streamed
from fixtures.report_pages import Page
from rich.console import Console

from federator.results import history, publication, report
from federator.results.findings import findings
from federator.results.privacy import spent
from federator.results.terminal import RunProgress
from federator.runtime.protocol.evaluation.noise import spread
from federator.runtime.server.settings import ServerSettings

BY_RECORD = "epsilon=8.0 delta=1e-05 clip=1.0 noise=1.1 unit=record"
SPENT = {"alder": (0.5, 0.0), "birch": (2.5, 0.4), "cedar": (1.5, 0.4)}


@pytest.fixture
def private(tmp_path):
    """Return a function that writes a run with differential privacy."""

    def made(settings=BY_RECORD, spent=SPENT, **more):
        run = run_journal.write(tmp_path / "run", rounds=2, end=None)
        run_journal.change(run, lambda line: line.update(privacy=settings), event="start")
        for event in ("validation", "test"):
            run_journal.change(run, _noised, event=event)
        emit = run_journal.Writer(run)
        for share in (0.5, 1.0):
            for site, (training, evaluations) in spent.items():
                account = {"training": share * training, "evaluations": share * evaluations}
                emit("privacy", site=site, delta=1e-5, sample_rate=0.1, **account, **more)
        emit("round", model="federation", round=2, seconds=1.0, sites={})
        return run

    return made


def _noised(line):
    for result in line["sites"].values():
        result.update(loss=None, noise=0.4, withheld=["scores.0", "scores.1"])
        result["tables"].pop("scores.1", None)


def test_the_model_has_the_epsilon_of_the_site_that_spent_most(private):
    journal = history.read(private())
    most = spent.largest(journal)
    assert (most.site, most.epsilon, most.delta) == ("birch", 2.9, 1e-5)
    first, *rest = spent.sentences(journal)
    assert first.startswith("Differential privacy: epsilon 2.90, delta 1e-05 for the model")
    assert f"at most {math.exp(2.9):.3g}-fold. With k records of a patient: k times" in first
    assert not rest


def test_where_patients_are_hidden_no_factor_for_their_records_is_told(private):
    text = next(spent.sentences(history.read(private(BY_RECORD.replace("record", "patient")))))
    assert "one patient was used" in text
    assert "k times" not in text


def test_training_without_privacy_is_told(private):
    texts = list(spent.sentences(history.read(private(plain=True))))
    assert "alder, birch, cedar: the same data were also trained on without" in texts[1]


def test_privacy_that_no_site_tells_of_is_no_privacy(private):
    journal = history.read(private(spent={}))
    assert list(spent.sentences(journal)) == [
        "Differential privacy was asked for, and no site has told what it has spent."
    ]


def test_a_run_without_privacy_says_nothing_of_it(tmp_path):
    run = run_journal.write(tmp_path / "run", rounds=2)
    journal = history.read(run)
    assert list(spent.sentences(journal)) == spent.rows(journal) == []
    assert "ifferential privacy" not in Page(report.write(run)).text.replace(
        "or adds noise (differential privacy)", ""
    )


def test_report_and_summary_have_each_sites_and_what_is_not_covered(private):
    run = private()
    page = Page(report.write(run)).text
    summary = publication.summary(history.read(run))
    for text in (page, summary):
        for shown in ("2.50", "0.40", "2.90", "1e-05", "0.50", "1.90"):
            assert shown in text
        for each in spent.UNCOVERED:
            assert each in text
    for each in (*spent.COVERED, spent.KEPT):
        assert each in page


def test_noise_is_told_and_intervals_contain_it(private):
    journal = history.read(private())
    told = [str(one) for one in findings(journal) if "noise" in one.text]
    assert told and f"within {spread(0.4)} of the true ones" in told[0]
    assert not any("min_cell_count" in str(one) for one in findings(journal))
    exact = journal.tests["federation"].sites["birch"].model_copy(update={"noise": None})
    noised = journal.tests["federation"].sites["birch"]
    figures = [journal.view.figures(one.tables, one.limits)["accuracy"] for one in (noised, exact)]
    assert figures[0].low < figures[1].low < figures[1].high < figures[0].high


def test_the_terminal_says_after_each_round_what_was_spent(private):
    console = Console(file=io.StringIO(), width=200)
    with RunProgress(console) as shown:
        for line in (private() / "rounds.jsonl").read_text().splitlines():
            shown.show(json.loads(line))
    said = [line for line in console.file.getvalue().splitlines() if "privacy" in line]
    assert said == ["after round   2, privacy: epsilon 2.90 at most (birch), delta 1e-05"]


def test_of_single_sites_nothing_is_published_but_the_largest(private):
    run = private()
    journal = publication.redacted(run, ServerSettings("made-up", "run"))
    assert [(row.site, row.epsilon) for row in spent.rows(journal)] == [("all sites", 2.9)]
    assert journal.privacy["all sites"].sample_rate is None


def test_of_all_that_sites_said_of_their_budgets_one_line_is_published(private, monkeypatch):
    """The epsilon of each answer would tell the sample rate, and that the size of a site's set."""
    run = private()
    left = streamed(run, ServerSettings("made-up", "run"), monkeypatch)["report/rounds.jsonl"]
    known, shown = (
        [one for line in text.splitlines() if (one := json.loads(line))["event"] == "privacy"]
        for text in ((run / "rounds.jsonl").read_text(), left)
    )
    assert len(known) > 1
    assert [one["training"] + one["evaluations"] for one in shown] == [2.9]
