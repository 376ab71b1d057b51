"""The status of a workflow run in words: its steps, what it waits for, and how it ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from federator.errors import Problem
from federator.pipeline.github_models import Approval, Job, Run

_NOT_YET = ("queued", "pending", "waiting", "requested")
_NOT_FAILED = (None, "success", "skipped", "neutral")
_ENDINGS = {
    "failure": "failed",
    "cancelled": "was cancelled",
    "timed_out": "ran out of time",
    "startup_failure": "could not start, as its workflow file is wrong",
}


@dataclass(frozen=True)
class Update:
    """A status update: lines to show, and how many of the steps known so far have ended."""

    lines: tuple[str, ...]
    done: int = 0
    steps: int = 0


def describe(run: Run, jobs: Sequence[Job], approvals: Sequence[Approval]) -> Update:
    """Return the steps that have begun, in their order, and what the run waits for."""
    steps = [step for job in jobs for step in job.steps]
    done = sum(step.status == "completed" for step in steps)
    lines = (*_begun(jobs), *_waits(run, jobs, approvals))
    return Update(lines, done, len(steps))


def failures(run: Run, jobs: Sequence[Job]) -> list[Problem]:
    """Return how and where a run failed; nothing if it succeeded."""
    if run.conclusion == "success":
        return []
    what = f"run {run.id} {_ENDINGS.get(run.conclusion or '', f'ended as {run.conclusion}')}"
    found = []
    for job in (job for job in jobs if job.conclusion not in _NOT_FAILED):
        bad = [f", step {step.name}" for step in job.steps if step.conclusion not in _NOT_FAILED]
        place = f"{what}: job {job.name}{''.join(bad[:1])}"
        found.append(Problem(place, hint=f"see {job.html_url or run.html_url}"))
    if run.conclusion == "cancelled" and not any(_begun(jobs)):
        found = [Problem(f"{what} before it began", hint="a later one may have taken its place")]
    return found or [Problem(what, hint=f"see {run.html_url}")]


def _begun(jobs: Sequence[Job]) -> Iterator[str]:
    for job in jobs:
        for step in job.steps:
            # One that is left out never begins.
            if step.status not in _NOT_YET and step.conclusion != "skipped":
                yield f"{job.name}: {step.name}"


def _waits(run: Run, jobs: Sequence[Job], approvals: Sequence[Approval]) -> Iterator[str]:
    states = {run.status, *(job.status for job in jobs)}
    if "waiting" in states and not approvals:
        yield f"waits for an approval: {run.html_url}"
    for approval in approvals:
        name = approval.environment.name
        if approval.reviewers:
            who = " or ".join(approval.approvers)
            you = ", and you may give it" if approval.current_user_can_approve else ""
            yield f"waits for the approval of {who} to use {name}{you}: {run.html_url}"
        else:
            yield f"waits until {name} may be used ({approval.wait_timer} min): {run.html_url}"
    if "pending" in states:
        yield "waits in the queue until a run before it has ended"
    for job in jobs:
        # While another job is at work it may wait for that one instead.
        if job.status == "queued" and not states & {"in_progress", "pending", "waiting"}:
            labels = ", ".join(job.labels)
            yield f"{job.name}: waits until a runner labelled {labels} is on, and idle"
