"""Rounds started and followed through a GitHub on this machine."""

import re
from pathlib import Path

import pytest
from fakes.github import (
    CUT,
    LOST,
    READER,
    REPOSITORY,
    WORKFLOW,
    job,
    moment,
    step,
    zipped,
)
from fixtures.dispatched import RUN, START, follow, order

from federator.errors import InputError, RunError
from federator.pipeline.github_errors import GitHubError, NotFoundError


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("asked", "ref", "inputs"),
    [
        ({"rounds": 3}, "main", {"rounds": "3", "mode": "resume"}),
        (
            {"rounds": 5, "epochs": 2, "fresh": True, "branch": "next"},
            "next",
            {"rounds": "5", "epochs": "2", "mode": "fresh"},
        ),
    ],
)
def test_rounds_from_the_order_to_the_report(hub, asked, ref, inputs):
    lines, error = follow(order(hub), **asked)
    assert error is None
    (sent,) = hub.orders
    request = sent["inputs"].pop("request")
    assert re.fullmatch("[0-9a-f]{16}", request)
    assert sent["ref"] == ref
    assert sent["inputs"] == {"federation": "tumours", **inputs}
    folder = Path.cwd() / "results" / "tumours" / f"dispatch-{RUN}"
    assert lines == [
        f"run {RUN}: https://github.example/{REPOSITORY}/actions/runs/{RUN}",
        "to follow it again: federator dispatch compose/tumours "
        f"--follow {RUN} --repository {REPOSITORY}",
        "rounds: Start the rounds",
        f"report: {folder} (report.html, rounds.jsonl)",
    ]
    assert (folder / "report.html").read_text() == "<p>0.97</p>"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("details", [False, None])
def test_the_run_is_found_among_others_by_its_title(hub, details):
    hub.details = details
    hub.titles = {5: "tumours (another)", RUN: "overwritten", 9: "tumours ()"}
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert lines[0].startswith(f"run {RUN}: ")


@pytest.mark.usefixtures("repository")
def test_a_run_that_does_not_appear(hub):
    hub.details, hub.shows_runs = False, False
    lines, error = follow(order(hub), rounds=3)
    assert not lines
    assert "no run appears for the order" in str(error)
    assert f"look at https://github.example/{REPOSITORY}/actions/workflows/{WORKFLOW}" in str(error)


@pytest.mark.usefixtures("repository")
def test_a_lost_answer_starts_no_second_run(hub):
    hub.trouble[START] = [LOST]
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert "looking whether the order arrived" in lines[0]
    assert len(hub.orders) == 1


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("answer", [CUT, (503, {}, "Unavailable")])
def test_an_order_that_did_not_arrive_is_left_to_the_user(hub, answer):
    hub.trouble[START] = [answer]
    _, error = follow(order(hub), rounds=3)
    assert "before you order them again" in str(error)
    assert not hub.orders
    assert hub.count("POST", "/dispatches") == 1


@pytest.mark.usefixtures("repository")
def test_a_network_that_goes_with_the_order(hub):
    hub.trouble[START] = [LOST]
    hub.trouble[f"GET /actions/workflows/{WORKFLOW}/runs"] = [CUT] * 100
    _, error = follow(order(hub, limit=0.05), rounds=3)
    assert "the rounds may have been started" in str(error)
    assert f"/actions/workflows/{WORKFLOW}" in str(error)


@pytest.mark.usefixtures("repository")
def test_what_a_run_waits_for_is_said_once(hub):
    ada = {"type": "User", "reviewer": {"login": "ada"}}
    hub.waits_for = [{"environment": {"name": "server"}, "reviewers": [ada], "wait_timer": 0}]
    steps = [step("Check out"), step("Start the rounds", "in_progress")]
    hub.moments = [
        moment("pending"),
        moment("pending"),
        moment("waiting", jobs=[job("rounds", "waiting")]),
        moment("waiting", jobs=[job("rounds", "waiting")]),
        moment("queued", jobs=[job("rounds", "queued")]),
        moment("in_progress", jobs=[job("rounds", "in_progress", steps=steps)]),
        moment(jobs=[job("rounds", steps=[step("Check out"), step("Start the rounds")])]),
    ]
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert [re.sub(":? https.*|self-hosted.*", "", line) for line in lines[2:-1]] == [
        "waits in the queue until a run before it has ended",
        "waits for the approval of ada to use server",
        "rounds: waits until a runner labelled ",
        "rounds: Check out",
        "rounds: Start the rounds",
    ]


@pytest.mark.usefixtures("repository")
def test_who_approves_may_be_hidden(hub):
    hub.moments = [moment("waiting"), moment()]
    path = f"GET /actions/runs/{RUN}/pending_deployments"
    hub.trouble[path] = [(403, {}, "Resource not accessible by personal access token")]
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert any(line.startswith("waits for an approval: https://") for line in lines)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("conclusion", ["failure", "cancelled"])
def test_a_run_that_fails_is_an_error_and_its_report_is_kept(hub, conclusion):
    steps = [step("Check out"), step("Start the rounds", conclusion=conclusion)]
    hub.moments = [
        moment(conclusion=conclusion, jobs=[job("rounds", "completed", conclusion, steps)])
    ]
    lines, error = follow(order(hub), rounds=3)
    assert isinstance(error, RunError)
    assert "job rounds, step Start the rounds\n    see https://" in str(error)
    assert lines[-1].startswith("report: ")


@pytest.mark.usefixtures("repository")
def test_no_report(hub):
    hub.report = None
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert lines[-1] == f"run {RUN} has no report"
    assert not Path("results").exists()


@pytest.mark.usefixtures("repository")
def test_a_bad_report_does_not_hide_that_the_run_failed(hub):
    hub.moments, hub.report = [moment(conclusion="timed_out")], zipped({"../../x": "out"})
    _, error = follow(order(hub), rounds=3)
    assert f"run {RUN} ran out of time" in str(error)
    assert "the zip holds '../../x': nothing was written" in str(error)
    assert not Path("results").exists()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("answer", [CUT, (502, {}, "Bad gateway")])
def test_a_network_that_comes_back(hub, caplog, answer):
    hub.moments = [moment("in_progress"), moment()]
    hub.trouble[f"GET /actions/runs/{RUN}/jobs"] = [answer, answer]
    _, error = follow(order(hub), rounds=3)
    assert error is None
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all("trying again in 0 s" in line for line in said)


@pytest.mark.usefixtures("repository")
def test_a_network_that_stays_away_and_the_way_back(hub):
    hub.moments = [moment("in_progress"), moment()]
    hub.trouble[f"GET /actions/runs/{RUN}/jobs"] = [CUT] * 100
    _, error = follow(order(hub, limit=0.05), rounds=3)
    assert error.exit_code == 1
    assert f"run {RUN} continues\n    to follow it again: federator dispatch" in str(error)
    hub.trouble.clear()
    lines, error = follow(order(hub), follow=RUN)
    assert error is None
    assert lines[-1].startswith("report: ")
    assert len(hub.orders) == 1


@pytest.mark.usefixtures("repository")
def test_a_report_that_does_not_come_through(hub):
    hub.trouble["storage"] = [10]
    _, error = follow(order(hub), rounds=3)
    assert "the line to localhost broke" in str(error)
    assert f"run {RUN} has ended\n    to follow it again" in str(error)
    assert follow(order(hub), follow=RUN)[1] is None


@pytest.mark.usefixtures("repository")
def test_a_run_that_is_deleted(hub):
    hub.moments = [moment("in_progress")]
    events = (ordered := order(hub)).events(rounds=3)
    with pytest.raises(NotFoundError, match=f"has no run {RUN}") as raised, ordered.resumable():
        for _ in range(3):
            next(events)
        hub.titles.clear()
        next(events)
    assert "follow it again" not in str(raised.value)


@pytest.mark.usefixtures("repository")
def test_what_is_refused_starts_nothing(hub):
    for token, words in ((READER, "actions: write"), ("ghp_stale", "does not accept the token")):
        _, error = follow(order(hub, token=token), rounds=3)
        assert isinstance(error, GitHubError)
        assert words in str(error)
        assert "ordered" not in str(error)
    assert not hub.orders


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("asked", [{}, {"rounds": 3, "follow": 7}])
def test_either_rounds_or_a_run(hub, asked):
    _, error = follow(order(hub), **asked)
    assert isinstance(error, InputError)
    assert not hub.asked
