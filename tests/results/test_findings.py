"""What a person must know of a run before its figures."""

import re

import pytest
from fakes import run_journal

from federator.results import history, publication, report
from federator.results.findings import findings, rounds
from federator.runtime.server.settings import ServerSettings


def changed(run, change, **only):
    """Change the events of a journal that have the values of ``only``; read it."""
    run_journal.change(run, change, **only)
    return history.read(run)


@pytest.fixture
def run(tmp_path):
    """A run that went well."""
    return run_journal.write(tmp_path / "run", rounds=6, failing=None)


def told(read):
    return [str(finding) for finding in findings(read)]


def test_of_a_run_that_went_well_there_is_nothing(run):
    assert told(history.read(run)) == []
    assert "To know before the figures" not in report.write(run).read_text()


def worse(event):
    for result in event["sites"].values():
        half = result["examples"] // 2
        result["loss"] = 3.25
        result["tables"] = {"confusion": [[half, result["examples"] - half], [0, 0]]}


def test_a_final_model_that_is_worse_than_the_first_is_told(run):
    read = changed(run, worse, event="validation", round=6, model="federation")
    (text,) = told(read)
    assert text.startswith("The final model (round 6) is worse than the first one: validation loss")
    assert "→ 3.250, accuracy 0." in text and "→ 0.490, at the same 3 sites." in text
    assert "`select: best` would have chosen round 5 (loss 0." in text
    page = report.write(run).read_text()
    assert "To know before the figures" in page.partition('id="test"')[0]
    assert "is worse than the first one" in page.partition('id="test"')[0]
    assert "is worse than the first one" in publication.summary(read)


def test_it_is_compared_at_the_sites_that_measured_both(run):
    """Without cedar, on whose patients alone the final model is worse, it is better."""

    def elsewhere(event):
        result = event["sites"]["cedar"]
        result["loss"] = 90.0

    (text,) = told(changed(run, elsewhere, event="validation", round=6, model="federation"))
    assert "at the same 3 sites" in text
    read = changed(run, lambda e: e["sites"].pop("cedar", 0), event="validation", round=0)
    assert told(read) == []


def test_no_round_better_than_the_first_is_told(run):
    (text,) = told(changed(run, lambda end: end.update(model_round=0), event="end"))
    assert text == "No round was better than the first model, which is the final one."


def test_what_sites_warn_of_alike_is_told_once(run):
    emit = run_journal.Writer(run)
    for site, reason in [("alder", "odd"), ("birch", "odd"), ("alder", "odd"), ("cedar", "<b>")]:
        emit("site", site=site, state="warned", reason=reason)
    assert told(history.read(run)) == ["alder, birch: odd", "cedar: <b>"]
    page = report.write(run).read_text().partition('id="test"')[0]
    assert "<strong>alder, birch:</strong> odd" in page
    assert "&lt;b&gt;" in page


def test_figures_in_a_warning_stay_with_the_other_figures_of_single_sites(run):
    reason = "test returned an accuracy of 0.831, the counts of the 65 examples say 7.9e-01"
    run_journal.Writer(run)("site", site="alder", state="warned", reason=reason)
    (text,) = told(publication.redacted(run, ServerSettings("made-up", "run")))
    assert text == "alder: test returned an accuracy of …, the counts of the … examples say …"
    allowed = ServerSettings("made-up", "run", publish_sites=True)
    assert told(publication.redacted(run, allowed)) == [f"alder: {reason}"]


def test_where_the_final_model_was_not_tested_is_told(run):
    def lost(event):
        event["sites"].pop("birch")
        event["missing"] = {"birch": "the connection to the site was lost"}

    (text,) = told(changed(run, lost, event="test", model="federation"))
    assert text == "The final model was not tested at birch: the connection to the site was lost."


def test_rounds_that_were_not_compared_are_told(run):
    emit = run_journal.Writer(run)
    emit("selection", round=6, sites=["alder", "cedar"], compared=[0, 1, 6],
         left_out={"2": "not measured at cedar", "3": "not measured at cedar"})  # fmt: skip
    (text,) = told(history.read(run))
    assert text == (
        "`select: best` compared rounds at alder, cedar only, and left out "
        "rounds 2 to 3: not measured at cedar."
    )


@pytest.mark.parametrize(
    "result",
    [
        {"tables": {"confusion": [[1, 2, 3], [4, 5, 6]]}},
        {"tables": {"confusion": [[1]]}},
        {"tables": {"confusion": []}},
        {"tables": {"confusion": [[1, -2], [3, 4]]}},
        {"tables": {"confusion": [[9, 0, 0], [0, 9, 0], [0, 0, 9]]}},
        {"tables": {"confusion": [[1, 2], [3, 4]], "unknown": [[1]]}},
        {"tables": {"confusion": [[9, 3], [1, 9]], "scores.1": [[1] * 7] * 2}},
        {"tables": {"confusion": [[9, 3], [1, 9]], "scores.1": [[1, 2], [3, 4]]}},
        {"tables": {"confusion": [[9, 3], [1, 9]], "scores.1": [[], []]}},
        {"tables": {"confusion": [[9, 3], [1, 9]], "scores.1": [[1, 2]]}},
    ],
)
def test_a_matrix_of_other_labels_is_left_out_and_told(run, result):
    for event in ("validation", "test"):
        changed(run, lambda told: told["sites"]["birch"].update(result), event=event, round=6,
                model="federation")  # fmt: skip
    read = history.read(run)
    task = "(classification, benign, malignant)"
    assert told(read) == [f"Figures of birch were left out: they do not fit the task {task}."]
    report.write(run)
    report.comparison_table(read)
    publication.summary(publication.redacted(run, ServerSettings("made-up", "run")))


@pytest.mark.parametrize(
    "change",
    [
        {"loss": None},
        {"loss": float("nan")},
        {"metrics": {"own": float("inf")}},
    ],
)
def test_a_number_that_is_none_is_a_dash_and_no_traceback(run, change):
    for event in ("validation", "test"):
        changed(run, lambda told: told["sites"].get("birch", {}).update(change), event=event)
    read = history.read(run)
    assert read.misfits == set()
    page = report.write(run).read_text().partition("<body>")[2]
    assert not re.search(r"\b(nan|None|inf)\b", page)
    report.comparison_table(read)
    assert "| nan |" not in publication.summary(read)


def test_a_site_without_examples_in_a_set_has_no_figures_there(run):
    for event in ("validation", "test"):
        changed(run, lambda told: told["sites"].pop("birch", None), event=event)
    read = history.read(run)
    report.write(run)
    report.comparison_table(read)
    assert all("birch" not in each.sites for each in read.curve("federation"))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([3], "round 3"), ([1, 2, 3, 7], "rounds 1 to 3, 7"), ([9, 0], "rounds 0, 9")],
)
def test_rounds_in_words(numbers, words):
    assert rounds(numbers) == words


def test_what_ends_soon_is_told_first(run):
    read = changed(run, lambda start: start.update(warnings=["your key ends"]), event="start")
    assert told(read) == ["your key ends"]
    assert "your key ends" in publication.summary(read)


def test_steps_that_secure_aggregation_clipped_are_told(run):
    site = next(iter(history.read(run).sites))
    made = {"attempts": 1, "sites": ["a", "b", site], "quantum": 6e-8, "bound": 64.0}
    how = {"model": "federation"}
    changed(run, lambda event: event.update(masked=made), event="round", **how)
    changed(run, lambda event: event.update(encoding="masked"), event="start")
    assert told(history.read(run)) == []
    page = report.write(run).read_text()
    assert "the server learned the sum of the sites’ updates" in page
    assert "secure aggregation excludes them" in page or history.read(run).start.baselines

    for number in (2, 3):
        clipped = {**made, "saturated": {site: 7}}
        how = {"model": "federation", "round": number}
        changed(run, lambda event, made=clipped: event.update(masked=made), event="round", **how)
    (text,) = told(history.read(run))
    assert text.startswith(f"{site}: secure aggregation clipped the largest steps")
    assert "rounds 2 to 3" in text
