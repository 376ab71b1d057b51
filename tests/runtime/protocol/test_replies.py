"""What a reply says, and replies that say nothing of sense."""

import json

import pytest
from flwr.app import ConfigRecord, Error, RecordDict
from flwr.common.constant import ErrorCode

from federator.runtime.protocol import replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import OF_SERVERS, REASONS, Evaluation, Failure, Outcome

POLICY = Policy(Task("classification", 2), frozenset({"auc"}), 0)
EXAMPLES = {"trainset": 3, "valset": 2, "testset": 1}
TABLES = {"confusion": [[1, 0], [0, 1]], "scores.1": [[1, 0], [0, 1]]}
WARNING = Notice("accuracy", "val", "", 0.958, 0.042)
OUTCOME = Outcome(
    EXAMPLES,
    {"val": Evaluation(TABLES, 0.5, 2, {"auc": 0.75})},
    (WARNING, Notice("unchanged")),
)


def test_an_outcome_is_read_as_it_was_written():
    record = ConfigRecord({"name": "north", **replies.numbers(OUTCOME)})
    assert replies.outcome_in(RecordDict({"site": record}), ("val",), POLICY) == OUTCOME


def answered(changed):
    kept = {**replies.numbers(OUTCOME), **changed}
    record = ConfigRecord({name: value for name, value in kept.items() if value is not None})
    return replies.outcome_in(RecordDict({"site": record}), ("val",), POLICY)


@pytest.mark.parametrize(
    "changed",
    [
        {"val.table.confusion": None},
        {"val.table.confusion": []},
        {"val.table.confusion": [1, 0, 0]},
        {"val.table.confusion": [-1, 0, 0, 1]},
        {"val.table.confusion": [1, 0, 0, 0, 0, 0, 0, 0, 1]},
        {"val.table.confusion": [2**62] * 4},
        {"val.table.confusion": [1, 1, 1, 1]},
        {"val.table.confusion": b"four"},
        {"val.table.confusion": [1.0, 0.5, 0.0, 1.0]},
        {"val.loss": None},
        {"val.loss": "low"},
        {"val.loss": [1.0]},
        {"val.loss": float("nan")},
        {"val.loss": -1e308},
        {"val.loss": True},
        {"val.metric.auc": float("inf")},
        {"val.metric.auc": [0.5]},
        {"val.table.scores.1": []},
        {"val.table.scores.1": [1, 0, 0, 0, 1, 0]},
        {"val.table.scores.1": [0, 1] + [0] * 253 + [1]},
        {"val.table.scores.1": [2, 0, 0, 0]},
        {"num-examples": None},
        {"num-examples": -9},
        {"num-examples": 2**53},
        {"num-examples": 3.0},
        {"num-examples": float("inf")},
        {"num-examples": "many"},
    ],
    ids=lambda changed: repr(changed)[:40],
)
def test_a_reply_of_another_form_is_the_site_s_failure(changed):
    with pytest.raises(Failure, match="the server rejected what the site sent: "):
        answered(changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"val.metric.<img src=x onerror=alert(1)>": 1.0},
        {"warnings": ["{"]},
        {"warnings": ["[" * 10_000]},
        {"warnings": 5},
        {"test.table.confusion": [1]},
        {"other": "x" * 10_000},
    ],
    ids=lambda changed: repr(changed)[:40],
)
def test_what_was_not_asked_for_is_not_taken_in(changed):
    found = answered(changed)
    assert found.evaluations == OUTCOME.evaluations
    assert not found.warnings or found.warnings == OUTCOME.warnings


def test_a_reply_without_an_outcome_is_a_failure():
    for content in (RecordDict(), RecordDict({"site": ConfigRecord({"name": "north"})})):
        with pytest.raises(Failure):
            replies.outcome_in(content, (), POLICY)


def told(failure, site="north"):
    return replies.read_failure(Error(2023, json.dumps([site, failure.write()])))


@pytest.mark.parametrize("reason", REASONS)
def test_no_site_has_the_server_s_words(reason):
    site, failure = told(Failure(reason, "KeyError"))
    assert site == "north"
    assert failure.reason == ("unknown" if reason in OF_SERVERS else reason)


def test_a_link_s_own_words_are_short_and_of_one_line():
    _, failure = told(Failure("refused", "a\x1b[31m\n" + "\0" * 40 + "b" * 9000), "no\nrth")
    assert str(failure).startswith("the site refused the instruction: a [31m bbb")
    assert len(str(failure)) < 400
    assert told(Failure("late"), "no\nrth" + "x" * 99)[0] == "no rth" + "x" * 57 + "…"


@pytest.mark.parametrize(
    "reason",
    [None, "", "[", "[" * 10_000, "[1]", "[1, 2, 3]", "5", '["north", 5]', "\0", "{}",
     json.dumps(["north", "[" * 10_000]), json.dumps([["north"], Failure("late").write()])],
    ids=lambda text: repr(text)[:20],
)  # fmt: skip
def test_an_error_of_another_form_is_told_as_one_that_is_not_told(reason):
    site, failure = replies.read_failure(Error(2023, reason))
    assert site in ("", "north")
    assert failure.reason in ("unknown", "late")


def test_what_is_no_message_at_all_is_the_site_s_failure():
    error = Error(ErrorCode.MESSAGE_UNAVAILABLE, f"object 5: {replies.NO_MESSAGE}")
    assert replies.read_failure(error)[1].reason == "rejected"
    assert replies.read_failure(Error(ErrorCode.MESSAGE_UNAVAILABLE, "gone"))[1].reason == "lost"
