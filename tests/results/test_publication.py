"""What of a run may leave the server: no figure of a single site, unless that is allowed."""

import json
import os
import re

import numpy as np
import pytest
from fakes import proven_run
from fakes.run_journal import SITES, Writer, result, write
from fixtures.published import streamed
from fixtures.report_pages import Page

from federator.errors import RunError
from federator.results import history, publication
from federator.results.comparison import compare
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.settings import ServerSettings

WITHHELD = ServerSettings("made-up", "run")
FIGURES = {
    *("trainset", "valset", "testset", "examples", "seconds", "loss"),
    *("bytes_down", "bytes_up", "bytes_known"),
}
ALLOWED = ServerSettings("made-up", "run", publish_model=True, publish_sites=True)


@pytest.fixture
def run(tmp_path):
    """A run that has finished, with its model."""
    folder = write(tmp_path / "2026-03-02-001")
    (folder / "manifest.json").write_text("{}\n")
    (folder / "model.safetensors").write_text("the model")
    return folder


def test_what_leaves_when_nothing_is_allowed(run, monkeypatch):
    left = streamed(run, WITHHELD, monkeypatch)
    names = {"summary.md", "report/rounds.jsonl", "report/report.html", "report/manifest.json"}
    assert left.keys() == names


def test_the_report_that_leaves_says_so_and_has_no_empty_sections(run, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text(streamed(run, WITHHELD, monkeypatch)["report/report.html"])
    read = Page(page)
    assert "those of single sites stay on the server" in read.text
    assert "Federation, all sites" in read.text and "Learning curves" in read.text
    for absent in ("At each site", "Every round", "All rounds together", "No baselines", "alone"):
        assert absent not in read.text.partition("How to read this")[0], absent
    assert 'href="#data"' not in read.html and 'id="data"' not in read.html


def test_what_leaves_when_all_is_allowed(run, monkeypatch):
    left = streamed(run, ALLOWED, monkeypatch)
    assert left["model/model.safetensors"] == "the model"
    assert left["report/rounds.jsonl"].splitlines() == (
        (run / "rounds.jsonl").read_text().splitlines()
    )
    assert "alder alone" in left["report/report.html"] and "| alder |" in left["summary.md"]


def test_of_a_run_that_was_stopped_no_earlier_model_leaves(tmp_path, monkeypatch):
    folder = write(tmp_path / "run", end="stopped", reason="by hand")
    (folder / "model.safetensors").write_text("of an earlier start")
    left = streamed(folder, ALLOWED, monkeypatch)
    assert left.keys() == {"summary.md", "report/rounds.jsonl", "report/report.html"}
    assert "**Stopped after round 12.**" in left["summary.md"] and "by hand" in left["summary.md"]


def test_no_receipt_is_published_unless_figures_of_sites_may_be(tmp_path):
    """A few counts can be guessed from their hash; and who ordered a run is a person."""
    folder = proven_run.write(tmp_path)
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    kinds = {line["event"] for line in lines if publication.public(line, WITHHELD)}
    assert "receipt" not in kinds and {"start", "site", "validation", "end"} <= kinds
    assert "by" not in publication.public({**lines[0], "by": "Jane Doe"}, WITHHELD)
    assert [publication.public(line, ALLOWED) for line in lines] == lines


def test_no_figure_of_a_single_site_leaves(run):
    """Every figure of a site is made unmistakable, and looked for in what leaves."""
    lines = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    marks = []

    def marked(part):
        for name in FIGURES & part.keys():
            marks.append(7_000_001 + 13 * len(marks))
            part[name] = marks[-1]

    for line in lines:
        if line["event"] == "site":
            marked(line["examples"])
        elif line["event"] != "start":
            for part in line.get("sites", {}).values():
                marked(part)
    (run / "rounds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(marks) > 400
    told = publication.redacted(run, WITHHELD)
    kept = re.findall(r"[\d.]+", repr([told.rounds, told.states, told.tests, told.validations]))
    assert not {float(number) for number in kept if number.strip(".")} & set(marks)


def test_models_of_single_sites_stay(run):
    told = publication.redacted(run, WITHHELD)
    assert told.tests.keys() == {FEDERATION}
    assert {model for model, _ in told.rounds} == {FEDERATION}


def test_the_federations_figures_are_those_of_the_whole_journal(run):
    whole, told = history.read(run), publication.redacted(run, WITHHELD)
    (ours,) = compare(told)
    assert ours.figures == compare(whole)[0].figures
    assert ours.result.examples == compare(whole)[0].result.examples
    for mine, theirs in zip(told.curve(FEDERATION), whole.curve(FEDERATION), strict=True):
        assert mine.pooled().loss == pytest.approx(theirs.pooled().loss)


def test_together_with_nobody_is_alone(tmp_path):
    """Of one site, the figures of all together are its own: they stay."""
    folder = write(tmp_path / "run", sites={"alder": SITES["alder"]}, failing=None, baselines=False)
    told = publication.redacted(folder, WITHHELD)
    assert not told.tests and not told.validations
    assert "No model has been tested." in publication.summary(told)


def test_a_failing_site_is_named_with_its_reason(run):
    told = publication.redacted(run, WITHHELD)
    part = told.rounds[FEDERATION, 5].sites["birch"]
    assert (part.ok, part.examples) == (False, 0)
    assert part.reason == "ValueError in task.py, line 31 (cell 5)"


def test_a_summary_tells_of_this_start_alone(tmp_path):
    folder = tmp_path / "run"
    write(folder, rounds=3, baselines=False, failing=None)
    more = Writer(folder)
    start = json.loads((folder / "rounds.jsonl").read_text().splitlines()[0])
    fields = {name: start[name] for name in start if name not in ("event", "time")}
    more("start", 9999, **{**fields, "first_round": 4, "last_round": 4})
    more("site", site="cedar", state="outdated", reason="it has to take its new `compose` file")
    text = publication.summary(history.read(folder))
    assert "rounds 4 to 4" in text and "**Not ended after round 3.**" in text
    assert "\n| 3 | " in text and "\n| 2 | " not in text
    assert "```text\ncedar: outdated (it has to take its new `compose` file)\n```" in text


def test_what_a_site_says_stays_text(tmp_path):
    folder = write(tmp_path / "run", end="failed", reason="```\n<img src=x>\n::error::no")
    text = publication.summary(history.read(folder))
    assert "````text\n```\n<img src=x>\n::error::no\n````" in text


def test_a_line_cut_in_the_middle_is_passed_over(run):
    with (run / "rounds.jsonl").open("a") as lines:
        lines.write('{"event": "validat')
    assert publication.redacted(run, WITHHELD).state == "finished"


def test_the_run_last_written_to_is_the_latest(tmp_path):
    for folder, written in (("2026-03-01-001", 200), ("2026-03-02-001", 100)):
        os.utime(write(tmp_path / folder) / "rounds.jsonl", (written, written))
    assert history.latest(tmp_path).name == "2026-03-01-001"
    with pytest.raises(RunError, match="there is no run"):
        history.latest(tmp_path / "2026-03-01-001")


def test_one_sites_numbers_are_not_among_those_of_all():
    random = np.random.default_rng(3)
    sites = {"alder": result(random, 40, 0.9), "birch": result(random, 30, 0.8)}
    event = {"event": "test", "time": "2026-03-02T09:30:00Z", "model": FEDERATION, "round": 3}
    shown = publication.public({**event, "sites": sites}, WITHHELD)
    assert list(shown["sites"]) == ["all sites"]
    assert shown["sites"]["all sites"]["examples"] == 70


def test_how_many_numbers_of_a_site_were_clipped_stays():
    masked = {"attempts": 1, "sites": ["alder"], "quantum": 6e-8, "bound": 64.0}
    event = {"event": "round", "time": "2026-03-02T09:30:00Z", "model": FEDERATION, "round": 1}
    event |= {"seconds": 1.0, "sites": {}, "masked": {**masked, "saturated": {"alder": 7}}}
    assert publication.public(event, WITHHELD)["masked"] == masked
    assert publication.public(event, ALLOWED) == event


def test_what_this_version_does_not_know_stays_on_the_server():
    at = {"time": "2026-03-02T09:30:00Z"}
    odd = {"event": "survey", **at, "sites": {"alder": {"patients": 12}}}
    assert publication.public(odd, WITHHELD) is None
    assert publication.public(odd, ALLOWED) == odd
    joined = {"event": "site", **at, "site": "alder", "state": "joined", "patients": 12}
    assert "patients" not in publication.public(joined, WITHHELD)
