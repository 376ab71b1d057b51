"""A journal is read as it is found: unfinished, cut off, resumed, with failures in it."""

import json
from pathlib import Path

import pytest
from fakes import run_journal

from federator.errors import RunError
from federator.results import history
from federator.runtime.server import journal

HALF = '{"event": "round", "time": "2026-03-02T09:3'


def _lines(run: Path) -> list[str]:
    return (run / journal.FILE).read_text().splitlines(keepends=True)


def _write(run: Path, *lines: str) -> history.Journal:
    (run / journal.FILE).write_text("".join(lines))
    return history.read(run)


def _start(first: int, last: int, **fields: object) -> str:
    line = {
        "event": "start", "time": "2026-03-03T10:00:00Z", "run": "x", "federation": "y",
        "first_round": first, "last_round": last, "strategy": "FedAvg", "sites": ["alder"],
        "labels": ["a", "b"],
    }  # fmt: skip
    return json.dumps(line | fields) + "\n"


def _evaluation(event: str, model: str, number: int, **sites: object) -> str:
    line = {"event": event, "time": "2026-03-03T11:00:00Z", "model": model, "round": number}
    return json.dumps(line | {"sites": sites}) + "\n"


def _result(counts: list[list[int]], **fields: object) -> dict[str, object]:
    return {
        "tables": {"confusion": counts},
        "loss": 0.5,
        "examples": sum(map(sum, counts)),
        **fields,
    }


def test_a_finished_run(tmp_path: Path) -> None:
    read = history.read(run_journal.write(tmp_path, rounds=4))
    assert read.state == "finished"
    assert read.sites == list(run_journal.SITES)
    assert [done.round for done in read.trained()] == [1, 2, 3, 4]
    assert [done.round for done in read.curve("federation")] == [0, 1, 2, 3, 4]
    assert list(read.tests) == ["federation", *run_journal.SITES]
    assert read.examples()["cedar"] == {"trainset": 38, "valset": 11, "testset": 14}
    assert read.positive == 1
    assert read.unreadable == 0


def test_every_prefix_of_a_journal_is_read(tmp_path: Path) -> None:
    lines = _lines(run_journal.write(tmp_path, rounds=2))
    for length in range(1, len(lines)):
        read = _write(tmp_path, *lines[:length])
        assert (read.state, read.unreadable) == ("open", 0)


def test_a_last_line_cut_in_the_middle_is_left_out(tmp_path: Path) -> None:
    lines = _lines(run_journal.write(tmp_path, rounds=3, end=None))
    read = _write(tmp_path, *lines, HALF)
    assert (read.state, read.unreadable) == ("open", 1)
    assert len(read.trained()) == 3


def test_a_start_may_follow_half_a_line(tmp_path: Path) -> None:
    lines = _lines(run_journal.write(tmp_path, rounds=3, end=None))
    read = _write(tmp_path, *lines, HALF, _start(4, 6))
    assert (len(read.starts), read.start.last_round, read.unreadable) == (2, 6, 1)


def test_a_reason_that_looks_like_an_event_stays_a_reason(tmp_path: Path) -> None:
    reason = 'said {"event": "end"}'
    read = history.read(run_journal.write(tmp_path, rounds=1, end="failed", reason=reason))
    assert read.end is not None and read.end.reason == reason
    assert read.unreadable == 0


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    read = _write(tmp_path, _start(1, 1, weather="fair"), '{"event": "weather", "rain": 3}\n')
    assert (read.unreadable, read.start.last_round) == (0, 1)


@pytest.mark.parametrize("line", ["{}", "[1]", "\x00\x00", '{"event": "round"}', "null"])
def test_lines_that_are_no_events_are_counted(tmp_path: Path, line: str) -> None:
    assert _write(tmp_path, _start(1, 1), line + "\n", "\n").unreadable == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "cannot be read"), ("", "not started"), ("{\n", "not started")],
    ids=["none", "empty", "broken"],
)
def test_no_run_is_an_error(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / journal.FILE).write_text(text)
    with pytest.raises(RunError, match=says):
        history.read(tmp_path)


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    lines = _lines(run_journal.write(tmp_path, rounds=3, end="failed", reason="no power"))
    read = _write(tmp_path, *lines, _start(4, 8))
    assert (read.state, read.start.last_round) == ("open", 8)
    assert [done.round for done in read.trained()] == [1, 2, 3]
    assert read.tests["federation"].round == 3


def test_rounds_that_are_done_again_replace_the_old_ones(tmp_path: Path) -> None:
    lines = _lines(run_journal.write(tmp_path, rounds=5, end="failed", reason="no power"))
    read = _write(tmp_path, *lines, _start(3, 5))
    assert [done.round for done in read.trained()] == [1, 2]
    assert [done.round for done in read.curve("federation")] == [0, 1, 2]
    assert "federation" not in read.tests
    assert len(read.trained("alder")) == 5, "a site alone starts at the beginning anyway"


def test_sites_that_come_and_go(tmp_path: Path) -> None:
    site = {"event": "site", "time": "2026-03-03T10:00:01Z", "state": "joined"}
    read = _write(
        tmp_path,
        _start(1, 2, sites=["alder", "birch"]),
        _start(3, 4, sites=["birch", "cedar"]),
        json.dumps(site | {"site": "dogwood"}) + "\n",
        json.dumps(site | {"site": "(unknown)", "state": "refused"}) + "\n",
    )
    assert read.sites == ["birch", "cedar", "alder", "dogwood"]


@pytest.mark.parametrize(
    ("labels", "positive", "index"),
    [(["a", "b"], "a", 0), (["a", "b"], None, 1), (["a", "b", "c"], None, None)],
)
def test_the_positive_label(
    tmp_path: Path, labels: list[str], positive: str | None, index: int | None
) -> None:
    assert _write(tmp_path, _start(1, 1, labels=labels, positive=positive)).positive == index


def test_sites_are_pooled_by_their_counts(tmp_path: Path) -> None:
    sites = {
        "alder": _result([[8, 2], [1, 9]], loss=0.2, metrics={"dice": 0.9, "own": 1}),
        "birch": _result([[3, 1], [1, 0]], loss=0.7, metrics={"dice": 0.4}),
    }
    read = _write(tmp_path, _start(1, 1), _evaluation("test", "federation", 1, **sites))
    pooled = read.tests["federation"].pooled()
    assert pooled is not None
    assert pooled.tables["confusion"] == [[11, 3], [2, 9]]
    assert pooled.examples == 25
    assert pooled.loss == pytest.approx((0.2 * 20 + 0.7 * 5) / 25)
    assert pooled.metrics == {"dice": pytest.approx((0.9 * 20 + 0.4 * 5) / 25)}


def test_scores_are_pooled_at_the_coarsest_and_only_if_all_have_some(tmp_path: Path) -> None:
    counts = [[5, 5], [5, 5]]
    fine = {"confusion": counts, "scores.1": [[1, 2, 3, 4], [4, 3, 2, 1]]}
    coarse = {"confusion": counts, "scores.1": [[5, 5], [4, 6]]}
    both = {"a": _result(counts, tables=fine), "b": _result(counts, tables=coarse)}
    one = {"a": _result(counts, tables=fine), "b": _result(counts)}
    read = _write(
        tmp_path,
        _start(1, 1),
        _evaluation("test", "federation", 1, **both),
        _evaluation("test", "a", 1, **one),
    )
    pooled, half = (read.tests[model].pooled() for model in ("federation", "a"))
    assert pooled is not None
    assert pooled.tables["scores.1"] == [[8, 12], [11, 9]]
    assert half is not None and "scores.1" not in half.tables


def test_counts_are_pooled_only_if_all_sites_with_examples_have_some(tmp_path: Path) -> None:
    none = [[0, 0], [0, 0]]
    made_up = {**_result(none, loss=0.7, metrics={"mae": 4.0}), "tables": {}, "examples": 10}
    sites = {"a": _result([[8, 2], [1, 9]], loss=0.1, metrics={"mae": 1.0}), "b": made_up}
    empty = {**sites, "b": _result(none)}
    read = _write(
        tmp_path,
        _start(1, 1),
        _evaluation("test", "federation", 1, **sites),
        _evaluation("test", "a", 1, **empty),
    )
    pooled, whole = (read.tests[model].pooled() for model in ("federation", "a"))
    assert pooled is not None and whole is not None
    assert pooled.tables == {}
    assert pooled.examples == 30
    assert pooled.loss == pytest.approx(0.3)
    assert pooled.metrics == {"mae": pytest.approx(2.0)}
    assert whole.tables["confusion"] == [[8, 2], [1, 9]]


def test_metrics_pool_as_the_federation_file_says(tmp_path: Path) -> None:
    line = json.loads(
        _evaluation(
            "test",
            "federation",
            1,
            alder=_result([[8, 2], [1, 9]], metrics={"dice": 0.9, "lesions": 7, "worst": 2}),
            birch=_result([[3, 1], [1, 0]], metrics={"dice": 0.4, "lesions": 5, "worst": 9}),
        )
    )
    line["pooling"] = {"lesions": "sum", "worst": "max"}
    read = _write(tmp_path, _start(1, 1, task="other", labels=[]), json.dumps(line) + "\n")
    assert read.misfits == {"alder", "birch"}  # counts are none of this task's
    for site in line["sites"].values():
        site["tables"] = {}
    read = _write(tmp_path, _start(1, 1, task="other", labels=[]), json.dumps(line) + "\n")
    pooled = read.tests["federation"].pooled()
    assert pooled is not None
    expected = {"dice": pytest.approx((0.9 * 20 + 0.4 * 5) / 25), "lesions": 12, "worst": 9}
    assert pooled.metrics == expected


def test_nothing_to_pool(tmp_path: Path) -> None:
    read = _write(tmp_path, _start(1, 1), _evaluation("test", "federation", 1))
    assert read.tests["federation"].pooled() is None
