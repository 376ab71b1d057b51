"""What a person sees of a run while it goes on, on a terminal and without one."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from fakes import run_journal
from rich.console import Console

from federator.results import terminal
from federator.results.terminal import RunProgress


@pytest.fixture
def events(tmp_path):
    run_journal.write(tmp_path, rounds=4)
    return [json.loads(line) for line in (tmp_path / "rounds.jsonl").read_text().splitlines()]


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; ``now`` is the time in seconds."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(terminal, "time", made)
    return made


def test_without_a_terminal_it_is_plain_lines(events):
    console = Console(file=io.StringIO(), width=80)
    with RunProgress(console) as shown:
        for event in events:
            shown.show(event)
    lines = console.file.getvalue().splitlines()
    assert lines[0].endswith("sites alder, birch, cedar")
    assert lines[1] == "site alder: joined (train 260, val 65, test 82)"
    after = [line for line in lines if line.startswith("after round")]
    assert [line.split(",")[0] for line in after] == [
        f"after round {number:>3}" for number in range(5)
    ]
    assert "\x1b" not in console.file.getvalue()


def failed(event, reason):
    """Return a round's event in which a site failed, and the exception behind that."""
    exception = {
        "event": "exception",
        "site": "alder",
        "text": "RuntimeError: two\n\tlines [of it]",
        "log": "/results/logs/alder.worker.log",
    }
    return {**event, "sites": {"alder": {"ok": False, "reason": reason}}}, exception


EXPLAINED = [
    "    site alder: RuntimeError: two",
    "        lines [of it]",
    "    full text: /results/logs/alder.worker.log",
]


def test_an_exception_is_shown_after_the_failure_that_it_explains(events):
    console = Console(file=io.StringIO(), width=80)
    round_, exception = failed(next(e for e in events if e["event"] == "round"), "it broke")
    with RunProgress(console) as shown:
        shown.show(round_)
        shown.show(exception)
    lines = console.file.getvalue().splitlines()
    assert lines == ["round 1, site alder: failed (it broke)", *EXPLAINED]


def test_an_exception_is_shown_even_if_the_failure_is_told_as_the_runs_end(events):
    console = Console(file=io.StringIO(), width=80)
    round_, exception = failed(next(e for e in events if e["event"] == "round"), "it broke")
    with RunProgress(console) as shown:
        for event in (round_, exception):
            shown.show(event)
        shown.show({"event": "end", "state": "failed", "reason": "alder: it broke"})
    assert console.file.getvalue().splitlines() == EXPLAINED


def bars(events, clock, *, round_takes, start_takes=0.0):
    """Return what stands beside the bar after each event."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    told = []
    with RunProgress(console) as shown:
        clock.now += start_takes
        for event in events:
            if event["event"] == "round":
                clock.now += round_takes
                event = {**event, "seconds": round_takes}
            shown.show(event)
            (task,) = shown._bar.tasks
            beside = shown._bar.columns[-1].render(task).plain
            told.append((task.description, task.completed, task.total, beside))
    return list(dict.fromkeys(told))


def test_a_round_that_not_every_site_measured_is_told_and_none_is_a_dash(events):
    console = Console(file=io.StringIO(), width=80)
    with RunProgress(console) as shown:
        for event in events:
            if event["event"] == "validation" and event["model"] == "federation":
                if event["round"] == 1:
                    event["missing"] = {"birch": event["sites"].pop("birch") and "lost"}
                if event["round"] == 2:
                    event["sites"]["birch"]["loss"] = None
                if event["round"] == 3:
                    event["sites"]["birch"]["tables"] = {"confusion": [[1]]}
            shown.show(event)
    after = [line for line in console.file.getvalue().splitlines() if line.startswith("after")]
    assert ["without birch" in line for line in after] == [False, True, False, True, False]
    assert "loss –, accuracy 0." in after[2]


def test_where_no_site_tells_a_loss_there_is_none_in_the_line(events):
    console = Console(file=io.StringIO(), width=80)
    with RunProgress(console) as shown:
        for event in events:
            if event["event"] == "validation":
                for one in event["sites"].values():
                    one["loss"] = None
            shown.show(event)
    after = [line for line in console.file.getvalue().splitlines() if line.startswith("after")]
    assert after and all("validation: accuracy" in line for line in after)


def test_on_a_terminal_a_bar_tells_how_far_each_part_is(events, clock):
    told = bars(events, clock, round_takes=1.5)
    assert told[:3] == [
        ("federation", 0, 4, ""),
        ("federation", 1, 4, "about 4 s left"),
        ("federation", 2, 4, "about 3 s left"),
    ]
    (first, *_) = [left for what, _, _, left in told if what == "each site alone"]
    assert first == "about 4 s left", "its first round took time, too"


def test_the_estimate_counts_rounds_and_not_what_was_waited_before_them(events, clock):
    told = bars(events, clock, round_takes=60.0, start_takes=600.0)
    assert ("federation", 1, 4, "about 3 min left") in told


def test_the_estimate_goes_down_as_time_passes(events, clock):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with RunProgress(console) as shown:
        shown.show(events[0])
        shown.show({**next(e for e in events if e["event"] == "round"), "seconds": 40.0})
        (task,) = shown._bar.tasks
        column = shown._bar.columns[-1]
        assert column.render(task).plain == "about 2 min left"
        clock.now += 60
        assert column.render(task).plain == "about 60 s left"
        clock.now += 90
        assert column.render(task).plain == "", "it takes longer than the rounds before"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, ""), (5, "about 5 s"), (95, "about 2 min"), (1203, "about 20 min"), (9000, "2.5 h")],
)
def test_how_long_it_takes_is_told_in_a_unit_that_fits(seconds, text):
    assert text in terminal.left(seconds)


def said(*events):
    console = Console(file=io.StringIO(), width=200)
    with RunProgress(console) as shown:
        for event in events:
            shown.show(event)
    return console.file.getvalue().splitlines()


def test_what_is_waited_for_is_told():
    soon = datetime.now(UTC).replace(microsecond=0)
    for sites, names in (["south", "west"], "south, west"), ([], "sites"):
        *_, line = said({"event": "waiting", "sites": sites, "until": soon.isoformat()})
        assert line.startswith(f"waiting for {names} until {soon.astimezone():%H:%M} ")
    later = soon + timedelta(days=3)
    *_, line = said({"event": "waiting", "sites": [], "until": later.isoformat()})
    assert f"until {later.astimezone():%Y-%m-%d %H:%M}" in line


def test_a_pause_is_told_with_its_sites_and_moves_the_end(events):
    until = (datetime.now(UTC) + timedelta(hours=12)).replace(microsecond=0)
    paused = {
        "event": "paused", "step": "round 7", "sites": ["north", "south"], "needed": 1,
        "until": until.isoformat(), "reasons": {"north": "it is gone"},
    }  # fmt: skip
    resumed = {"event": "resumed", "step": "round 7", "seconds": 120.0}
    first, reason, last = said(paused, resumed)
    assert first.startswith("paused (round 7): waiting for 1 of north, south until ")
    assert reason == "    site north: it is gone"
    assert last == "going on (round 7) after a pause of 2 min"
    start = next(event for event in events if event["event"] == "start")
    done = {
        "event": "round", "model": "federation", "round": start["first_round"], "seconds": 10.0,
        "time": start["time"], "sites": {"north": {"ok": True}},
    }  # fmt: skip
    with RunProgress(Console(file=io.StringIO())) as progress:
        progress.show(start)
        progress.show(done)
        (task,) = progress._bar.tasks
        before = task.fields["ends"]
        progress.show(resumed)
        assert task.fields["ends"] == pytest.approx(before + 120.0)


def failing(events, reason):
    start = next(event for event in events if event["event"] == "start")
    sites = {"north": {"ok": False, "reason": "it is gone"}, "south": {"ok": True}}
    told = {"event": "round", "model": "federation", "round": 1, "seconds": 1, "sites": sites}
    lost = told | {"time": start["time"]}
    return said(start, lost, {"event": "end", "state": "failed", "reason": reason})[1:]


def test_a_failure_that_ends_the_run_is_said_once(events):
    assert failing(events, "round 1: 0 of 1 sites delivered (north: it is gone)") == []
    assert failing(events, "no room") == ["round 1, site north: failed (it is gone)"]


def test_what_ends_soon_is_told_as_a_run_starts(events):
    start = next(event for event in events if event["event"] == "start")
    assert said({**start, "warnings": ["your key ends in 5 days"]})[1:] == [
        "your key ends in 5 days"
    ]
