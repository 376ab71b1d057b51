"""Rounds in the running server, stopped before any site has joined.

How rounds are trained, stopped and gone on with is tested with containers.
"""

import time

import pytest
from fixtures.deployment import deploy

from federator.errors import RunError
from federator.runtime.control import schedule


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """A server that waits for a site."""
    with deploy(tmp_path_factory.mktemp("deployment"), ["north"]) as deployed:
        yield deployed


def test_rounds_can_be_stopped_and_only_one_at_a_time_started(deployment):
    rounds = deployment.begin("rounds", "--rounds", "50", "--epochs", "2")
    while not list(deployment.paths.runs.glob("*/rounds.jsonl")):
        assert rounds.poll() is None
        time.sleep(0.05)
    with pytest.raises(RunError, match="rounds are running"):
        schedule.plan(deployment.paths)
    rounds.terminate()
    assert rounds.wait(60) == 143
    (start,) = deployment.events("start")
    assert (start["first_round"], start["last_round"], start["local_epochs"]) == (1, 50, 2)
    assert deployment.events("end")[-1]["state"] == "stopped"


def test_rounds_are_stopped_from_elsewhere_even_as_they_start(deployment, monkeypatch):
    rounds = deployment.begin("rounds", "--rounds", "50")
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "_STARTING", 50.0)  # however busy the machine is
        assert schedule.stop(deployment.paths)
    assert rounds.wait(60) == 143
    monkeypatch.setattr(schedule, "_STARTING", 0.0)
    assert not schedule.stop(deployment.paths)
