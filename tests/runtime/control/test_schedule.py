"""Rounds in the running server, stopped before any site has joined.

How rounds are trained, stopped and gone on with is tested with containers.
"""

import json
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


def wait_until(look):
    while not look():
        time.sleep(0.05)


def test_rounds_can_be_stopped_and_only_one_at_a_time_started(deployment):
    rounds = deployment.begin_rounds("--rounds", "50", "--epochs", "2")
    wait_until(lambda: list(deployment.paths.runs.glob("*/rounds.jsonl")))
    assert rounds.poll() is None
    with pytest.raises(RunError, match="rounds are running"):
        schedule.ordered(deployment.paths)
    said = deployment.give_order(status=1)
    assert "order 1: rounds 1 to 50 of run" in said and "is open: wait for its end" in said
    rounds.terminate()  # who only follows them
    assert rounds.wait(60) == 130
    assert schedule.stop(deployment.paths)
    (start,) = deployment.events("start")
    assert (start["first_round"], start["last_round"], start["local_epochs"]) == (1, 50, 2)
    assert deployment.events("end")[-1]["state"] == "stopped"


def test_rounds_are_stopped_from_elsewhere_even_as_they_start(deployment, monkeypatch):
    rounds = deployment.begin_rounds("--rounds", "50")
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "_STARTING", 50.0)  # however busy the machine is
        assert schedule.stop(deployment.paths)
    assert rounds.wait(60) in (1, 143), "143 if it had not begun with them"
    assert not schedule.is_running(deployment.paths)
    monkeypatch.setattr(schedule, "_STARTING", 0.0)
    assert not schedule.stop(deployment.paths)


def test_rounds_that_nobody_ordered_are_not_begun(deployment):
    deployment.give_order("--stop")  # that of an earlier test
    assert deployment.give_order("--stop") == "no order is open\n"
    with pytest.raises(RunError, match="no rounds are ordered") as told:
        schedule.ordered(deployment.paths)
    assert "federator rounds compose/tumours --rounds 3" in told.value.problems[0].hint


def test_rounds_end_when_their_order_is_stopped(deployment):
    rounds = deployment.begin_rounds("--rounds", "50")
    which = schedule.ordered(deployment.paths).order
    wait_until((deployment.paths.runs / which.run / "rounds.jsonl").exists)
    assert deployment.give_order("--stop") == f"stopped {which}\n"
    assert rounds.wait(60) == 1
    assert deployment.events("end")[-1]["state"] == "stopped"


def test_only_what_the_server_had_begun_is_resumed(deployment):
    deployment.give_order("--rounds", "2")
    assert schedule.unfinished(deployment.paths) is None, "ordered, not begun"
    number = schedule.ordered(deployment.paths).order.number
    deployment.paths.order.write_text(json.dumps({"order": number - 1}))
    assert schedule.unfinished(deployment.paths) is None, "that of another order"
    deployment.paths.order.write_text(json.dumps({"order": number}))
    assert schedule.unfinished(deployment.paths).order.last_round == 2
    deployment.give_order("--stop")
    assert schedule.unfinished(deployment.paths) is None
    deployment.paths.order.unlink()
