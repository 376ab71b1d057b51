"""A run in words."""

import re

import pytest
from fakes.github import job, moment, step

from federator.pipeline.github_models import Approval, Job, Run
from federator.pipeline.run_status import describe, failures

PAGE = "https://github.example/runs/7"


def told(status="completed", conclusion="success", jobs=(), approvals=()):
    state, given = moment(status, conclusion, jobs)
    run = Run.model_validate({"id": 7, "html_url": PAGE, **state})
    waits = [Approval.model_validate(one) for one in approvals]
    return run, [Job.model_validate(one) for one in given], waits


def test_steps_that_have_begun():
    steps = [
        step("Check out"),
        step("Left out", conclusion="skipped"),
        step("Start the rounds", "in_progress"),
        step("Upload", "queued"),
    ]
    heard = describe(*told("in_progress", jobs=[job("rounds", "in_progress", steps=steps)]))
    assert heard.lines == ("rounds: Check out", "rounds: Start the rounds")
    assert (heard.done, heard.steps) == (2, 4)


ADA = {"type": "User", "reviewer": {"login": "ada", "name": "Ada"}}
TEAM = {"type": "Team", "reviewer": {"name": "operators", "slug": "operators"}}
SERVER = {"environment": {"id": 1, "name": "server"}, "wait_timer": 0}


@pytest.mark.parametrize(
    ("status", "jobs", "approvals", "line"),
    [
        ("pending", [], [], "waits in the queue until a run before it has ended"),
        ("in_progress", [job("rounds", "pending")], [], "waits in the queue until"),
        (
            "queued",
            [job("rounds", "queued")],
            [],
            "rounds: waits until a runner .* self-hosted, fed",
        ),
        ("waiting", [job("rounds", "waiting")], [], f"waits for an approval: {PAGE}"),
        (
            "waiting",
            [job("rounds", "waiting")],
            [SERVER | {"reviewers": [ADA, TEAM], "current_user_can_approve": False}],
            f"waits for the approval of ada or operators to use server: {PAGE}",
        ),
        (
            "waiting",
            [job("rounds", "waiting")],
            [SERVER | {"reviewers": [ADA], "current_user_can_approve": True}],
            f"approval of ada to use server, and you may give it: {PAGE}",
        ),
        (
            "waiting",
            [job("rounds", "waiting")],
            [SERVER | {"reviewers": [], "wait_timer": 30}],
            r"waits until server may be used \(30 min\)",
        ),
    ],
)
def test_waits(status, jobs, approvals, line):
    (heard,) = describe(*told(status, jobs=jobs, approvals=approvals)).lines
    assert re.search(line, heard)


def test_a_job_behind_another_waits_for_no_runner():
    jobs = [job("check", "in_progress"), job("rounds", "queued")]
    assert describe(*told("in_progress", jobs=jobs)).lines == ()


STEPS = [step("Check out"), step("Start the rounds", conclusion="failure"), step("Upload")]


@pytest.mark.parametrize(
    ("conclusion", "jobs", "words"),
    [
        ("success", [job("rounds")], []),
        (
            "failure",
            [job("check"), job("rounds", conclusion="failure", steps=STEPS)],
            ["run 7 failed: job rounds, step Start the rounds", "see https://github.example/jobs/"],
        ),
        ("failure", [job("rounds", conclusion="failure")], ["run 7 failed: job rounds\n"]),
        (
            "cancelled",
            [job("rounds", conclusion="cancelled", steps=STEPS)],
            ["run 7 was cancelled: job rounds, step Start the rounds"],
        ),
        (
            "cancelled",
            [],
            ["was cancelled before it began", "a later one may have taken its place"],
        ),
        ("timed_out", [], ["run 7 ran out of time", PAGE]),
        ("startup_failure", [], ["could not start, as its workflow file is wrong", PAGE]),
        ("stale", [], ["run 7 ended as stale"]),
    ],
)
def test_how_a_run_ended(conclusion, jobs, words):
    run, given, _ = told(conclusion=conclusion, jobs=jobs)
    text = "\n".join(map(str, failures(run, given)))
    assert bool(text) == bool(words)
    assert all(word in text for word in words)


def test_a_name_does_not_steer_the_terminal():
    jobs = [job("ro\x1b[2Junds", "in_progress", steps=[step("one\ntwo\x07")])]
    assert describe(*told("in_progress", jobs=jobs)).lines == ("ro[2Junds: onetwo",)
