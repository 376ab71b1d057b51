"""What is told of a run: each event once, and no figure of a site."""

import json
import time
from typing import get_args

import pytest
from fakes.run_journal import Writer

from federator.federation.parts import Sinks
from federator.runtime.control import process as control
from federator.runtime.control.server_paths import add_path_options, server_paths
from federator.runtime.control.telling import Teller
from federator.runtime.keys import expiry
from federator.runtime.notify import outbox
from federator.runtime.notify.notices import EVENTS, RunNotices
from federator.runtime.notify.outbox import MOST, Outbox
from federator.runtime.notify.settings import NotifySettings
from federator.runtime.options import Parser
from federator.runtime.server.settings import ServerSettings

SITES = ["north", "south", "west"]
WEBHOOK = NotifySettings(webhook=True)


def parts(**ok):
    return {
        site: {"ok": True, "examples": 4711} if fine else {"ok": False, "reason": "4711 rows"}
        for site, fine in ok.items()
    }


def start(emit, **more):
    emit("start", run="2026-11-28-001", federation="tumours", first_round=1, last_round=3,
         strategy="FedAvg", sites=SITES, labels=[], **more)  # fmt: skip


def night(emit):
    """A run in which two sites drop out in the night, and come back."""
    start(emit)
    for site in SITES:
        emit("site", site=site, state="joined", examples={"trainset": 4711})
    emit("round", model="federation", round=1, seconds=1.0, sites=parts(north=1, south=1, west=1))
    emit("round", model="federation", round=2, seconds=1.0, sites=parts(north=1, south=0, west=0))
    emit("site", site="south", state="missing", reason="it did not connect")
    emit("paused", sites=["south", "west"], until="2026-11-28T09:00:00+00:00", step="round 3",
         needed=1, reasons={})  # fmt: skip
    emit("paused", sites=["south"], until="2026-11-28T09:00:00+00:00", step="round 3", needed=1)
    emit("site", site="south", state="joined")
    emit("resumed", step="round 3", seconds=120.0)
    emit("round", model="federation", round=3, seconds=1.0, sites=parts(north=1, south=1, west=1))
    emit("round", model="north", round=1, seconds=1.0, sites=parts(north=0))
    emit("end", state="finished", round=3)


TOLD = [
    "site south dropped out; it failed in round 2",
    "site west dropped out; it failed in round 2",
    "round 2 had 1 sites and needs 2",
    "site south is back; it has joined",
    "enough sites are there again: the run goes on with round 3",
    "site west is back; it delivered in round 3",
    "run 2026-11-28-001 has finished after round 3",
]


@pytest.fixture
def emit(tmp_path):
    return Writer(tmp_path / "runs" / "2026-11-28-001")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "notices").mkdir()
    return tmp_path / "notices"


def teller(emit, folder, settings=WEBHOOK, quorum=2, reasons=False):
    return Teller(emit.path.parents[1], Outbox(folder), settings, "tumours", quorum, reasons)


def waiting(folder, sink="webhook"):
    return [outbox.read(path) for path in Outbox(folder).waiting(sink)]


def test_each_event_of_a_night_is_told_once(emit, folder):
    tell = teller(emit, folder)
    night(emit)
    for _ in range(3):
        tell.look()
    told = waiting(folder)
    assert [one.text for one in told] == TOLD
    assert {(one.federation, one.run) for one in told} == {("tumours", "2026-11-28-001")}
    kinds = ["site", "site", "quorum", "site", "quorum", "site", "end"]
    assert [one.event for one in told] == kinds


def test_a_pause_is_told_once_with_whom_it_waits_for(emit):
    start(emit)
    for _ in range(2):
        emit("paused", sites=["south"], until="2026-11-28T09:00:00+00:00", step="round 1", needed=1)
    notices = RunNotices(2, False)
    lines = map(json.loads, emit.path.read_text().splitlines())
    (told,) = [notice for line in lines for notice in notices.take(line)]
    assert "the run is paused: round 1 needs 1 of south; it waits until 2026-11-28T09" in told.text


def test_no_figure_of_a_site_is_told_unless_it_may_be(emit, folder, tmp_path):
    night(emit)
    emit("end", state="failed", reason="north: 4711 rows")
    (tmp_path / "open").mkdir()
    for reasons, place in ((False, folder), (True, tmp_path / "open")):
        journal = emit.path.read_bytes()
        emit.path.write_bytes(b"")
        tell = teller(emit, place, reasons=reasons)
        emit.path.write_bytes(journal)
        tell.look()
    assert "4711" not in repr(waiting(folder))
    assert "failed in round 2 (4711 rows)" in repr(waiting(tmp_path / "open"))


def test_what_was_there_before_a_restart_is_not_told_again(emit, folder):
    night(emit)
    tell = teller(emit, folder)
    tell.look()
    assert waiting(folder) == []
    emit("start", run="x", federation="tumours", sites=SITES)
    emit("end", state="stopped", reason="by hand")
    tell.look()
    assert [one.text for one in waiting(folder)] == ["run x has been stopped"]


def test_a_line_that_is_not_whole_yet_and_one_of_another_version_end_nothing(emit, folder):
    tell = teller(emit, folder)
    start(emit)
    emit("round", model="federation", round=1)
    emit("of another version")
    emit.path.open("a").write("not JSON\n[1]\n")
    whole = json.dumps({"event": "end", "state": "failed"})
    emit.path.open("a").write(whole)
    tell.look()
    assert waiting(folder) == []
    emit.path.open("a").write("\n")
    tell.look()
    assert [one.text for one in waiting(folder)] == ["run 2026-11-28-001 has failed"]


def test_only_what_is_asked_for_is_told_and_to_each_sink(emit, folder):
    read = NotifySettings.read(
        '{"webhook": true, "events": ["end"],'
        ' "mail": {"server": "m", "sender": "a@b", "to": ["c@d"], "user": ""}}'
    )
    assert NotifySettings.read(read.write()) == read
    tell = teller(emit, folder, read)
    night(emit)
    tell.look()
    for sink in ("webhook", "mail"):
        assert [one.event for one in waiting(folder, sink)] == ["end"]


def test_a_key_that_ends_soon_is_told_once_and_logged_each_day(emit, folder):
    start(emit)
    tell = teller(emit, folder)
    for days in (29, 28):
        text = f"the server's certificate ends in {days} days, on 2026-12-27: renew it"
        assert list(tell.warn([text])) == [text]
    assert [one.event for one in waiting(folder)] == ["expiry"]


def test_a_full_outbox_or_disk_ends_nothing_and_is_logged_once(emit, folder, caplog):
    for number in range(MOST):
        (folder / f"{number:04d}.webhook.json").touch()
    tell = teller(emit, folder)
    night(emit)
    tell.look()
    assert len(list(folder.iterdir())) == MOST
    assert caplog.text.count("too many notices wait") == 1
    emit("end", state="finished")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    tell.look()
    assert len(caplog.records) == 1  # the same complaint, until something was written again


def test_the_server_s_own_process_tells_what_happens(emit, folder, monkeypatch):
    """As `serve` begins it: from the settings in its container to the outbox."""
    runs = emit.path.parents[1]
    settings = ServerSettings("runs", "", tuple(SITES), quorum=2, notify=WEBHOOK.write())
    settings.write(folder.parent / "federation.json")
    arguments = ["--results", runs.parent, "--federation", folder.parent / "federation.json"]
    parser = Parser()
    add_path_options(parser)
    paths = server_paths(parser.parse_args([*map(str, arguments), f"--outbox={folder}"]))
    warning = "your key 2026 ends in 3 days, on 2026-12-01: federator key add"
    monkeypatch.setattr(expiry, "at_server", lambda *_: iter([warning]))
    control._tell_people(paths)
    night(emit)
    deadline = time.monotonic() + 30
    while len(waiting(folder)) < len(TOLD) + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sorted(one.text for one in waiting(folder)) == sorted([*TOLD, warning])


def test_the_events_are_those_of_the_federation_file():
    annotation = Sinks.model_fields["events"].annotation
    assert get_args(get_args(annotation)[0]) == EVENTS
    assert tuple(Sinks.model_fields["events"].default) == EVENTS
