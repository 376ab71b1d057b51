"""Waiting is told as waiting: for whom, and until when."""

from datetime import UTC, datetime

import pytest

from federator.runtime.server.aggregation.contribution import Contribution
from federator.runtime.server.journal import Round
from federator.runtime.server.waits import waiting
from federator.runtime.server.waits.waiting import WaitingNotice, patience


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


def took(model="federation", **sites):
    """Return a round in which each site took so many seconds; None: it failed."""
    parts = {
        site: Contribution(
            ok=seconds is not None, reason=None if seconds else "late", seconds=seconds
        )
        for site, seconds in sites.items()
    }
    return Round(
        time="2026-03-02T09:30:00+00:00", model=model, round=1, seconds=3600.0, sites=parts
    )


FIRST, SECOND = took(north=100.0, south=40.0), took(north=90.0, south=200.0)


@pytest.mark.parametrize(
    ("rounds", "times", "seconds"),
    [
        ([FIRST, SECOND], None, 7200.0),  # nothing is to be measured
        ([FIRST], 3.0, 7200.0),  # one round says too little
        ([FIRST, took("north", north=1.0)], 3.0, 7200.0),  # nor does a site alone
        ([FIRST, SECOND], 3.0, 600.0),  # by the slowest site
        ([FIRST, took(north=None, south=50.0)], 3.0, 300.0),  # not by one that did not come
        ([FIRST, took(north=None, south=None)], 3.0, 7200.0),
        ([FIRST, SECOND], 100.0, 7200.0),  # at the most
        ([took(north=1.0), took(north=2.0)], 3.0, 60.0),  # a moment is no measure
    ],
)
def test_a_round_waits_by_how_long_earlier_ones_took(rounds, times, seconds):
    assert patience(rounds, 7200.0, times) == seconds
