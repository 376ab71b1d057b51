"""A journal is followed as it grows: line by line, over a stop, and into the next run."""

import json

from fakes import run_journal
from fakes.run_journal import Writer

from federator.results import history
from federator.results.watch.following import Following

START = {
    "run": "1", "federation": "tumours", "first_round": 1, "last_round": 4, "strategy": "FedAvg",
    "sites": ["north", "south"], "labels": ["a", "b"],
}  # fmt: skip
PART = {"ok": True, "examples": 40, "seconds": 3.0, "bytes_down": 100, "bytes_up": 60}
LOST = {"ok": False, "reason": "the connection was lost", "bytes_down": 100}


def a_round(number: int, **sites: dict) -> dict:
    sites = sites or {"north": PART, "south": PART}
    return {"model": "federation", "round": number, "seconds": 3.5, "sites": sites}


def test_what_is_added_is_taken_in_once(tmp_path):
    following = Following(tmp_path, True)
    assert not following.look() and following.run is None and following.journal is None
    write = Writer(tmp_path / "1")
    write("start", **START)
    assert following.look() and not following.look()
    write("round", **a_round(1))
    write("round", **a_round(2))
    assert following.look() and following.standing.round == 2
    assert [one.round for one in following.journal.trained()] == [1, 2]
    assert (following.traffic.down, following.traffic.up) == (400, 240)


def test_a_line_that_is_being_written_is_waited_for(tmp_path):
    write = Writer(tmp_path / "1")
    write("start", **START)
    following = Following(tmp_path, True)
    assert following.look()
    line = json.dumps({"event": "round", "time": write.time.isoformat(), **a_round(1)})
    with write.path.open("a") as file:
        file.write(line[:50])
        file.flush()
        assert not following.look()
        file.write(f"{line[50:]}\n")
    assert following.look() and following.standing.round == 1


def test_a_run_that_goes_on_and_the_next_one_are_followed(tmp_path):
    write = Writer(tmp_path / "1")
    write("start", **START)
    write("round", **a_round(1))
    write("end", state="stopped")
    following = Following(tmp_path, True)
    following.look()
    assert following.standing.state == "stopped"
    write("start", **{**START, "first_round": 2})
    assert following.look() and following.standing.state == "running"
    anew = Writer(tmp_path / "2")
    anew("start", **{**START, "run": "2"})
    assert following.look() and following.run == tmp_path / "2"
    assert following.standing.run == "2" and following.journal.trained() == []
    anew.path.unlink()
    write("round", **a_round(2))
    assert following.look() and following.standing.round == 2


def test_a_journal_that_was_written_anew_is_read_anew(tmp_path):
    write = Writer(tmp_path / "1")
    write("start", **START)
    write("round", **a_round(1))
    following = Following(tmp_path / "1", True)
    following.look()
    write.path.unlink()
    assert following.look() and following.run is None
    Writer(tmp_path / "1")("start", **START)
    assert following.look() and following.standing.round == 0


def test_it_comes_to_the_same_as_reading_it_at_the_end(tmp_path):
    run = run_journal.write(tmp_path / "1")
    following = Following(run, True)
    following.look()
    whole = history.read(run)
    for name in ("rounds", "validations", "tests", "state", "last", "sites"):
        assert getattr(following.journal, name) == getattr(whole, name)


def test_lines_that_are_none_are_passed_over(tmp_path):
    write = Writer(tmp_path / "1")
    write("start", **START)
    with write.path.open("a") as file:
        file.write('nothing\n{"event": "unheard-of"}\n[1]\n\n{"event": "round", "mod\n')
    write("round", **a_round(1))
    following = Following(tmp_path, True)
    assert following.look() and following.standing.round == 1


def test_a_round_at_one_site_adds_no_traffic_where_sites_are_withheld(tmp_path):
    write = Writer(tmp_path / "1")
    write("start", **START)
    write("round", **a_round(1))
    write("round", **a_round(2, north=PART, south=LOST))
    withheld, all_ = Following(tmp_path, False), Following(tmp_path, True)
    for following in (withheld, all_):
        following.look()
    assert (withheld.traffic.down, withheld.traffic.up) == (200, 120)
    assert (all_.traffic.down, all_.traffic.up) == (400, 180)
