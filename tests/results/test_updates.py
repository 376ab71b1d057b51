"""What a person is told of updates: in the terminal, in the report, on its first screen."""

import io
import json

import pytest
from fakes import run_journal
from fixtures.report_pages import Page
from rich.console import Console

from federator.results import history, publication, report
from federator.results.findings import findings
from federator.results.terminal import RunProgress
from federator.runtime.server.settings import ServerSettings

WHY = "its norm is 9.87 times the median of all sites"


@pytest.fixture
def run(tmp_path):
    """A run in which birch's updates were too long in rounds 2 to 4, and then shortened."""
    folder = run_journal.write(tmp_path / "run", rounds=4, failing=None, baselines=False)

    def told(event):
        odd = event["round"] > 1
        for place, (site, part) in enumerate(event["sites"].items()):
            part["update"] = {"norm": 0.25 + place, "cosine": 0.5 - place / 2, "share": 0.3}
            if site == "birch" and event["round"] > 2:
                part["update"]["scale"] = 0.1013
        if odd:
            event["unusual"] = {"birch": WHY}

    run_journal.change(folder, told, event="round")
    return folder


def shown(folder):
    console = Console(file=io.StringIO(), width=200)
    with RunProgress(console) as progress:
        for line in (folder / "rounds.jsonl").read_text().splitlines():
            progress.show(json.loads(line))
    return console.file.getvalue().splitlines()


def test_the_terminal_shows_norm_and_direction_and_names_the_unusual(run):
    lines = [line for line in shown(run) if line.startswith("round 1") or "unusual" in line]
    norms = "alder 0.250 (cosine 0.50), birch 1.250 (cosine 0.00), cedar 2.250 (cosine -0.50)"
    assert lines == [
        f"round 1, norms of the updates: {norms}",
        f"round 2, site birch: unusual update: {WHY}; it counts as any other",
        f"round 3, site birch: unusual update: {WHY}; it was shortened to 0.1 of its length",
        f"round 4, site birch: unusual update: {WHY}; it was shortened to 0.1 of its length",
    ]


def test_an_update_that_the_strategy_leaves_out_is_told_as_that(run):
    run_journal.change(
        run, lambda e: e["sites"]["birch"]["update"].update(share=0), event="round", round=2
    )
    run_journal.change(run, lambda e: e["sites"]["birch"].pop("update"), event="round", round=3)
    (second, third, _) = [line for line in shown(run) if "unusual" in line]
    assert second.endswith("; it is not in the model")
    assert third.endswith("; it counts as any other")


def test_the_report_names_the_site_first_and_has_the_figures_of_each_round(run):
    (found,) = findings(history.read(run))
    assert found.sites == ("birch",)
    assert found.text.startswith(
        f"its update was unusual in rounds 2 to 4 (in the last of them, {WHY}"
    )
    page = Page(report.write(run))
    assert "its update was unusual in rounds 2 to 4" in page.text.partition("Learning curves")[0]
    assert "1.250 unusual" in " ".join(page.text.split()) or "1.250unusual" in page.text
    assert "× 0.1" in page.text


def test_no_figure_of_an_update_is_published_unless_those_of_sites_are(run):
    withheld = publication.redacted(run, ServerSettings("made-up", "run"))
    assert withheld.rounds["federation", 2].unusual == {
        "birch": "its norm is … times the median of all sites"
    }
    assert all(
        part.update is None for one in withheld.rounds.values() for part in one.sites.values()
    )
    whole = publication.redacted(run, ServerSettings("made-up", "run", publish_sites=True))
    assert whole.rounds["federation", 2].sites["birch"].update.norm == 1.25


def test_what_site_level_privacy_costs_and_covers_is_told_first(run):
    private = {"clip": 1.0, "noise": 4.0, "delta": 1e-5}
    run_journal.change(run, lambda event: event.update(site_privacy=private), event="start")
    run_journal.change(
        run, lambda event: event.update(epsilon=event["round"] * 1.25), event="round"
    )
    first = findings(history.read(run))[0].text
    assert "epsilon 5.000 at delta 1e-05 (clip 1, noise 4)" in first
    assert "does not cover what the coordinator receives" in first
    assert "round 2: epsilon 2.500 so far (whole sites)" in shown(run)
    withheld = publication.redacted(run, ServerSettings("made-up", "run"))
    assert withheld.rounds["federation", 4].epsilon == 5.0
