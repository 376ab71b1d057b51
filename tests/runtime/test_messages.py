"""What a reply says, and replies that say nothing of sense."""

import pytest
from flwr.app import ConfigRecord, RecordDict

from federator.runtime import messages
from federator.runtime.notices import Notice
from federator.runtime.outcomes import Evaluation, Failure, Outcome

EXAMPLES = {"trainset": 3, "valset": 2, "testset": 1}
SCORES = {"bins": 2, "counts": [[1, 0], [0, 1]]}
WARNING = Notice("accuracy", "val", "", 0.958, 0.042)
OUTCOME = Outcome(
    EXAMPLES,
    {"val": Evaluation([[1, 0], [0, 1]], 0.5, 2, {"auc": 0.75}, SCORES)},
    (WARNING, Notice("unchanged")),
)


def test_an_outcome_is_read_as_it_was_written():
    record = ConfigRecord({"name": "north", **messages.numbers(OUTCOME)})
    assert messages.outcome_in(RecordDict({"site": record})) == OUTCOME


@pytest.mark.parametrize(
    "changed",
    [
        {"val.counts": []},
        {"val.counts": [1, 0, 0]},
        {"val.counts": [-1, 0, 0, 1]},
        {"val.counts": b"four"},
        {"val.loss": "low"},
        {"val.scores": []},
        {"num-examples": float("inf")},
        {"num-examples": "many"},
        {"warnings": ["{"]},
        {"warnings": ["[" * 100_000]},
    ],
)
def test_a_reply_of_another_form_is_a_failure(changed):
    record = ConfigRecord({**messages.numbers(OUTCOME), **changed})
    with pytest.raises(Failure, match="does not tell"):
        messages.outcome_in(RecordDict({"site": record}))


def test_a_reply_without_an_outcome_is_a_failure():
    for content in (RecordDict(), RecordDict({"site": ConfigRecord({"name": "north"})})):
        with pytest.raises(Failure):
            messages.outcome_in(content)
