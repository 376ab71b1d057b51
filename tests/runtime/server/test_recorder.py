"""What is written of the sites' answers."""

import pytest
from fixtures.rehearsals import events

from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.server.exchange import Answer
from federator.runtime.server.recorder import Recorder

SIZES = {"trainset": 3, "valset": 1, "testset": 1}
LOST, LEAKED = Failure("lost"), Failure("exception", "KeyError", "task.py", 7)


@pytest.fixture
def record(tmp_path):
    return Recorder(tmp_path, None)


def test_a_site_is_written_down_when_what_it_says_is_new(record, tmp_path):
    joined, failed = Answer("north", 0.1, Outcome(SIZES)), Answer("north", 0.1, failure=LEAKED)
    for answer in (joined, failed, failed, joined):
        record.write_site(answer)
    told = events(tmp_path, "site")
    assert [event["state"] for event in told] == ["joined", "failed", "joined"]
    assert told[0]["examples"] == SIZES
    assert told[1]["reason"] == "KeyError in task.py, line 7"


def test_a_site_that_was_lost_and_is_back_is_written_down_again(record, tmp_path):
    joined = Answer("north", 0.1, Outcome(SIZES))
    record.write_site(joined)
    record.write_round("federation", 1, {"north": Answer("north", 9.0, failure=LOST)}, 9.5)
    record.write_site(joined)
    assert [event["state"] for event in events(tmp_path, "site")] == ["joined", "joined"]


def test_of_a_round_each_site_has_what_it_did_or_why_not(record, tmp_path):
    done = Answer("north", 1.23456, Outcome(SIZES), None, None, 10, 20, 30)
    record.write_round(
        "federation", 4, {"north": done, "south": Answer("south", 9.0, failure=LOST)}, 9.5
    )
    (event,) = events(tmp_path, "round")
    assert (event["model"], event["round"], event["seconds"]) == ("federation", 4, 9.5)
    assert event["sites"]["north"] == {
        "ok": True, "examples": 3, "seconds": 1.235,
        "bytes_down": 10, "bytes_up": 20, "bytes_known": 30,
    }  # fmt: skip
    assert event["sites"]["south"]["reason"] == "the connection to the site was lost"


def test_an_evaluation_has_those_sites_that_made_it(record, tmp_path):
    evaluation = Evaluation({"confusion": [[1, 0], [1, 1]]}, 0.5, 3)
    answers = {
        "north": Answer("north", 1.0, Outcome(SIZES, {"val": evaluation})),
        "south": Answer("south", 1.0, Outcome(SIZES)),
        "west": Answer("west", 1.0, failure=LOST),
    }
    record.write_evaluation("validation", "federation", 4, answers, "val")
    (event,) = events(tmp_path, "validation")
    told = {"tables": {"confusion": [[1, 0], [1, 1]]}, "loss": 0.5, "examples": 3, "metrics": {}}
    assert event["sites"] == {"north": told}


def test_forged_instructions_that_a_site_refused_are_a_warning(record, tmp_path):
    record.warn({"north": Answer("north", 1.0, Outcome(SIZES), forged=2)})
    (event,) = events(tmp_path, "site")
    assert event["state"] == "warned"
    assert "refused 2 instruction(s) that you had not signed" in event["reason"]


def test_what_a_site_warns_of_is_written_once(record, tmp_path, caplog):
    for value in (0.9, 0.8):
        warnings = (Notice("accuracy", "val", "", value, 0.1), Notice("unchanged"))
        record.warn({"north": Answer("north", 1.0, Outcome(SIZES, {}, warnings))})
    record.warn({"south": Answer("south", 1.0, Outcome(SIZES, {}, (Notice("unchanged"),)))})
    told = [(event["site"], event["state"], event["reason"]) for event in events(tmp_path, "site")]
    assert [(site, state) for site, state, _ in told] == [("north", "warned")] * 2 + [
        ("south", "warned")
    ]
    assert "test says an accuracy of 0.9, the counts say 0.1 (validation set)" in told[0][2]
    assert "train changed no weight" in told[2][2]
    assert "site south: train changed no weight" in caplog.text
