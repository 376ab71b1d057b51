"""What a person sees of a run while it goes on, on a terminal and without one."""

import io
import json

import made_up_run
import pytest
from rich.console import Console

from federator import progress
from federator.progress import RunProgress


@pytest.fixture
def events(tmp_path):
    made_up_run.write(tmp_path, rounds=4)
    return [json.loads(line) for line in (tmp_path / "rounds.jsonl").read_text().splitlines()]


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; ``now`` is the time in seconds."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(progress, "time", made)
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


def test_on_a_terminal_a_bar_tells_how_far_each_part_is(events, clock):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    bars = []
    with RunProgress(console) as shown:
        for event in events:
            clock.now += 1.5 if event["event"] == "round" else 0
            shown.show(event)
            (task,) = shown._bar.tasks
            bars.append((task.description, task.completed, task.total, task.fields["left"]))
    told = list(dict.fromkeys(bars))
    assert told[:3] == [
        ("federation", 0, 4, ""),
        ("federation", 1, 4, "about 4 s left"),
        ("federation", 2, 4, "about 3 s left"),
    ]
    (first, *_) = [left for what, _, _, left in told if what == "each site alone"]
    assert first != "about 0 s left", "its first round took time, too"
