"""Waiting is told as waiting: for whom, and until when."""

from datetime import UTC, datetime

import pytest

from federator.runtime.server import waiting
from federator.runtime.server.waiting import WaitingNotice


@pytest.fixture
def clock(monkeypatch):
    """Sets the time, in seconds."""
    now = [100.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])

    def set_to(seconds):
        now[0] = 100.0 + seconds

    return set_to


def looked(clock, wait, *looks):
    for seconds, sites in looks:
        clock(seconds)
        wait.look(sites)


def test_a_wait_is_told_once_until_it_is_for_others(clock):
    told = []
    wait = WaitingNotice(lambda *what: told.append(what), 0.0)
    looked(clock, wait, (0, "ab"), (14, "ab"))
    assert told == []
    looked(clock, wait, (15, "ba"), (40, "ab"), (41, "b"), (55, "b"))
    until = datetime(1970, 1, 1, tzinfo=UTC)
    assert told == [(["a", "b"], until)]
    looked(clock, wait, (56, "b"), (99, "b"))
    assert told == [(["a", "b"], until), (["b"], until)]


def test_that_nobody_has_answered_yet_is_told_later(clock):
    told = []
    wait = WaitingNotice(lambda *what: told.append(what), 0.0, "ab")
    looked(clock, wait, (0, "ab"), (59, "ab"))
    assert told == []
    looked(clock, wait, (60, "ab"), (61, "b"), (76, "b"))
    assert [sites for sites, _ in told] == [["a", "b"], ["b"]]
