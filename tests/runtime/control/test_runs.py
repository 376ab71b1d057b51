"""Following a run by its journal."""

import time
from contextlib import suppress

import pytest
from fixtures.rehearsals import events

from federator.errors import RunError
from federator.runtime.control import runs
from federator.runtime.control.control_api import RunState
from federator.runtime.control.runs import Follower, had_baselines
from federator.runtime.server.journal import End, Start, append, now


@pytest.fixture
def follower(tmp_path):
    made = Follower(tmp_path)
    made.run_id = 7
    return made


@pytest.mark.parametrize(
    ("said", "asked", "kept"),
    [
        ([], "stopped", ["stopped"]),
        ([], "failed", ["failed"]),
        (["failed"], "stopped", ["failed", "stopped"]),
        (["failed"], "failed", ["failed"]),
        (["stopped"], "stopped", ["stopped"]),
        (["finished"], "stopped", ["finished"]),
    ],
    ids=lambda states: "-".join(states) if isinstance(states, list) else states,
)
def test_a_run_that_is_stopped_ends_so_whatever_broke_meanwhile(
    tmp_path, follower, said, asked, kept
):
    for state in said:
        append(tmp_path, End(time=now(), state=state, reason="the sites are lost", flower_run=7))
    with suppress(RunError):
        follower.wait(0.2)
    follower.close(asked, "the run was stopped")
    assert [event["state"] for event in events(tmp_path, "end")] == kept


class Standing:
    """A SuperLink that says how run 7 stands."""

    def __init__(self, status, details=""):
        self._runs = {} if status is None else {7: RunState(status, details)}

    def states(self):
        return self._runs


def asked(follower, monkeypatch, status, after, details=""):
    now = time.monotonic() + after
    monkeypatch.setattr(runs.time, "monotonic", lambda: now)
    follower.check(Standing(status, details))


@pytest.mark.parametrize("status", ["pending", "starting"])
def test_a_run_that_does_not_begin_is_told(follower, monkeypatch, status):
    asked(follower, monkeypatch, status, 60)
    with pytest.raises(RunError, match=f"has not begun within 120 s, but is still {status}"):
        asked(follower, monkeypatch, status, 300)


def test_a_run_that_goes_on_is_waited_for(follower, monkeypatch):
    asked(follower, monkeypatch, "running", 7200)


@pytest.mark.parametrize("status", [None, "finished"])
def test_a_run_that_ended_without_a_word_is_told(follower, monkeypatch, status):
    with pytest.raises(RunError, match="ended without a word"):
        asked(follower, monkeypatch, status, 60)


def test_what_the_superlink_knows_of_its_end_is_told(follower, monkeypatch):
    with pytest.raises(RunError, match="without a word: no heartbeat: see the logs"):
        asked(follower, monkeypatch, "finished", 60, "no heartbeat")


def test_a_run_that_is_gone_on_with_keeps_its_baselines(tmp_path):
    assert not had_baselines(tmp_path)
    for wanted in (False, True):
        plan = {"first_round": 1, "last_round": 2, "labels": ["benign", "malignant"]}
        named = {"run": "one", "federation": "tumours", "strategy": "FedAvg", "sites": ["north"]}
        append(tmp_path, Start(time=now(), baselines=wanted, **named, **plan))
        assert had_baselines(tmp_path) is wanted
