"""The survey in words and tables, and what of it may be published."""

from dataclasses import asdict

import pytest
from fakes.run_journal import Writer, write
from fixtures.surveys import surveyed, table
from rich.console import Console

from federator.results import history, publication, report, survey
from federator.results.findings import findings
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.survey.finding import Finding


@pytest.fixture
def run(tmp_path):
    """Write a journal with a survey of three sites, of which one tells nothing."""
    told = {
        name: asdict(surveyed(*vars(table(seed)).values()))
        for seed, name in enumerate(("alder", "birch"))
    }
    odd = Finding.of("unit", ("birch",), "column 3 (from 0): values are about 10 times larger")
    folder = write(tmp_path / "run", rounds=1)
    Writer(folder)("survey", sites={**told, "cedar": None}, findings=[asdict(odd)])
    return folder


def test_findings_stand_on_the_reports_first_screen_with_their_remedy(run):
    page = report.write(run).read_text()
    first = page[: page.index("<nav")]
    assert "<strong>birch:</strong> unit: column 3 (from 0): values are about 10 times" in first
    assert "Convert the column into the unit" in first
    assert findings(history.read(run))[0].sites == ("birch",)


def test_the_table_has_a_column_for_each_site_that_told(run):
    shown = survey.rows(history.read(run))
    assert [row.site for row in shown] == ["alder", "birch"]
    assert "benign" in shown[0].examples["train"] and shown[0].inputs == "float32 (8)"
    assert shown[0].missing == "none" and len(shown[0].channels) == 8
    console = Console(width=120, record=True)
    console.print(survey.table(history.read(run)))
    text = console.export_text()
    assert "alder" in text and "cedar" not in text


def test_the_terminal_names_who_told_nothing(run):
    told = history.read(run).survey
    assert next(survey.lines(told)) == (
        "survey of the data of 2 sites (cedar: nothing told): 1 finding"
    )


def test_no_figure_of_a_site_is_published(run):
    settings = ServerSettings("made-up", str(run))
    journal = publication.redacted(run, settings)
    assert journal.survey.sites == {"alder": None, "birch": None, "cedar": None}
    (found,) = journal.survey.findings
    assert found.text == "column … (from …): values are about … times larger"
    assert survey.rows(journal) == []
