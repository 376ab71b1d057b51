"""Where a run stands, as the terminal, a program and a notebook's cell show it."""

import json
from datetime import timedelta

import pytest
from fakes.run_journal import Writer
from fixtures.command_line import call
from fixtures.small_notebook import federate

from federator.results.progress import status

START = {
    "run": "2026-03-02-001", "federation": "tumours", "first_round": 1, "last_round": 10,
    "strategy": "FedAvg", "sites": ["north", "south"], "labels": ["a", "b"],
}  # fmt: skip
SIZES = {"trainset": 40, "valset": 10, "testset": 10}
OK = {"ok": True, "examples": 40, "seconds": 3.0}
FAILED = {"ok": False, "reason": "the connection to the site was lost"}


@pytest.fixture
def write(tmp_path):
    """A journal of a run that has started, and whose sites have joined."""
    write = Writer(tmp_path / "results" / "tumours" / "2026-03-02-001")
    write("start", **START)
    for site in ("north", "south"):
        write("site", site=site, state="joined", examples=SIZES)
    return write


def test_rounds_are_counted_and_their_end_is_estimated(write):
    for number in (1, 2):
        sites = {"north": OK, "south": OK}
        write("round", after=10, model="federation", round=number, seconds=10.0, sites=sites)
    standing = status.read(write.path.parent)
    assert (standing.state, standing.round, standing.last) == ("running", 2, 10)
    assert standing.ends == write.time + timedelta(seconds=80)
    assert standing.headline.startswith("tumours 2026-03-02-001: running, round 2 of 10, rounds")
    lines = list(status.lines(standing))
    assert lines[1] == "site north: joined, round 2 in 3.0 s"
    assert lines[3].startswith("the journal has no end yet; its last entry was written ")


def test_who_is_waited_for_is_told_until_something_comes(write):
    until = (write.time + timedelta(minutes=5)).isoformat(timespec="seconds")
    write("waiting", sites=["south"], until=until)
    standing = status.read(write.path.parent)
    assert standing.waiting == ["south"] and "waiting for south until" in standing.headline
    told = json.loads(status.as_json(standing))
    assert told["waiting"] == {"sites": ["south"], "until": until}
    write("round", model="federation", round=1, seconds=9.0, sites={"north": OK, "south": FAILED})
    standing = status.read(write.path.parent)
    assert standing.waiting == [] and standing.until is None
    assert standing.sites["south"].state == "failed"
    assert standing.failures == [
        "round 1, site south: failed (the connection to the site was lost)"
    ]


def test_a_run_that_went_on_after_a_crash_is_read(write):
    write("round", model="federation", round=1, seconds=9.0, sites={"north": OK, "south": OK})
    with write.path.open("a") as file:
        file.write('{"event": "round", "model\n')
    write("start", **{**START, "first_round": 2})
    write("site", site="north", state="restarted", reason="its link ended with status 1")
    standing = status.read(write.path.parent)
    assert (standing.state, standing.round) == ("running", 1)
    assert standing.failures == ["site north: restarted (its link ended with status 1)"]
    write("end", state="stopped", reason="stopped by hand")
    standing = status.read(write.path.parent)
    assert (standing.state, standing.reason) == ("stopped", "stopped by hand")
    assert not any("no end" in line for line in status.lines(standing))


def test_each_site_alone_is_another_part_of_the_run(write):
    write("round", model="federation", round=10, seconds=9.0, sites={"north": OK, "south": OK})
    write("round", model="north", round=1, seconds=2.0, sites={"north": OK})
    write("round", after=0, model="south", round=1, seconds=2.0, sites={"south": OK})
    standing = status.read(write.path.parent)
    assert standing.alone and "round 1 of 10, each site alone" in standing.headline


def test_the_command_shows_the_last_run_of_a_federation(tmp_path, write):
    read = federate(tmp_path)
    done = call("status", read.folder)
    assert done.exit_code == 0 and "site south: joined" in done.output
    told = json.loads(call("status", write.path.parent, "--json").output)
    assert told["sites"]["north"]["examples"] == SIZES and told["waiting"] is None


def test_that_there_is_no_run_is_told(tmp_path):
    read = federate(tmp_path)
    done = call("status", read.folder)
    assert done.exit_code == 1 and "there is no run in" in done.output
    assert "server's container only" in call("status").output


def test_a_pause_says_for_how_many_of_whom_and_moves_the_end(write):
    sites = {"north": OK, "south": OK}
    write("round", after=10, model="federation", round=1, seconds=10.0, sites=sites)
    until = write.time + timedelta(hours=12)
    write("paused", step="round 2", sites=["north", "south"], needed=1, until=until.isoformat(),
          reasons={"south": "the connection to the site was lost"})  # fmt: skip
    write("site", site="north", state="joined", examples=SIZES)
    standing = status.read(write.path.parent)
    assert (standing.state, standing.waiting) == ("paused", ["south"]), "north has come back"
    assert ": paused, round 1 of 10, waiting for south until " in standing.headline
    told = json.loads(status.as_json(standing))
    assert told["state"] == "paused" and told["ends"] is None
    assert told["waiting"] == {"sites": ["south"], "until": until.isoformat(timespec="seconds")}
    lost = "site south: waited for (the connection to the site was lost), round 1 in 3.0 s"
    assert lost in list(status.lines(standing))
    write("resumed", after=3600, step="round 2", seconds=3600.0)
    standing = status.read(write.path.parent)
    assert (standing.state, standing.until, standing.waiting) == ("running", None, [])
    write("round", after=10, model="federation", round=2, seconds=10.0, sites=sites)
    standing = status.read(write.path.parent)
    assert standing.ends - write.time < timedelta(seconds=100), "the pause took no round's time"
