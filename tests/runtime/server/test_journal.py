"""The journal: events are written and read by the same classes."""

import json

from federator.runtime.server.journal import End, Round, append, events, has_ended, now


def trained(number):
    return Round(time=now(), model="federation", round=number, seconds=1.0, sites={})


def test_events_are_lines_with_a_time(tmp_path):
    append(tmp_path, trained(1))
    append(tmp_path, End(time=now(), state="finished"))
    assert [event.round for event in events(tmp_path, Round)] == [1]
    last = json.loads((tmp_path / "rounds.jsonl").read_text().splitlines()[-1])
    assert last["time"].endswith("+00:00")


def test_a_journal_line_that_a_crash_cut_off_is_taken_out(tmp_path):
    append(tmp_path, trained(1))
    with (tmp_path / "rounds.jsonl").open("ab") as journal:
        journal.write(b'{"event": "rou')
    append(tmp_path, trained(2))
    assert [event.round for event in events(tmp_path, Round)] == [1, 2]


def test_a_journal_is_read_while_its_last_line_is_being_written(tmp_path):
    assert not has_ended(tmp_path)
    append(tmp_path, trained(1))
    with (tmp_path / "rounds.jsonl").open("ab") as journal:
        journal.write(b'{"event": "end", "sta')
    assert not has_ended(tmp_path)
    assert [event.round for event in events(tmp_path, Round)] == [1]
    append(tmp_path, End(time=now(), state="finished"))
    assert has_ended(tmp_path)
    append(tmp_path, trained(2))
    assert not has_ended(tmp_path)
