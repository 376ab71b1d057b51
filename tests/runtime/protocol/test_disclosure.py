"""What may leave a site, and what does not whatever the worker says."""

import json
from dataclasses import asdict

import pytest

from federator.runtime.protocol.disclosure import Policy, filter_failure, filter_outcome, vet_scores
from federator.runtime.protocol.evaluation.labels import COLUMNS
from federator.runtime.protocol.outcomes import OF_LINKS, OF_SERVERS, Failure

EXAMPLES = {"trainset": 10, "valset": 4, "testset": 4}
GOOD = {"counts": [[2, 0], [1, 1]], "loss": 0.5, "examples": 4, "metrics": {}, "scores": None}
POLICY = Policy(labels=2, metrics=frozenset({"dice"}), min_cell_count=1)


def answer(**changes):
    return {"examples": EXAMPLES, "evaluations": {"val": {**GOOD, **changes}}}


def test_counts_and_a_loss_leave():
    outcome = filter_outcome(answer(), ("val",), POLICY)
    assert outcome.examples == EXAMPLES
    assert outcome.evaluations["val"].counts == [[2, 0], [1, 1]]
    assert outcome.evaluations["val"].loss == 0.5


def test_declared_numbers_leave_and_others_do_not():
    outcome = filter_outcome(answer(metrics={"dice": 0.7, "mrn": 123456.0}), ("val",), POLICY)
    assert outcome.evaluations["val"].metrics == {"dice": 0.7}


def test_what_is_added_to_an_answer_stays_behind():
    told = answer(rows=[[1, 2, 3]])
    told["patients"] = ["Jane Doe"]
    told["evaluations"]["extra"] = GOOD
    told["examples"] = {**EXAMPLES, "names": "Jane Doe"}
    assert "Jane" not in str(asdict(filter_outcome(told, ("val",), POLICY)))
    assert set(filter_outcome(told, ("val",), POLICY).evaluations) == {"val"}


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": "Jane Doe"},
        {"counts": [[1, 2, 3], [1, 2, 3]]},
        {"counts": [[1.5, 2], [3, 4]]},
        {"counts": [[-1, 2], [3, 4]]},
        {"counts": [[True, 2], [3, 4]]},
        {"counts": [[2**60, 2], [3, 4]]},
        {"loss": "Jane Doe"},
        {"loss": [0.1, 0.2]},
        {"loss": float("nan")},
        {"loss": 10**400},
        {"loss": -1e31},
        {"scores": "Jane Doe"},
        {"metrics": {"dice": [1.0, 2.0]}},
    ],
)
def test_what_is_not_of_its_declared_form_is_withheld(changes):
    with pytest.raises(Failure) as caught:
        filter_outcome(answer(**changes), ("val",), POLICY)
    assert caught.value.reason == "withheld"
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("examples", [None, {}, {"trainset": "Jane"}, {**EXAMPLES, "valset": -1}])
def test_set_sizes_are_counts(examples):
    with pytest.raises(Failure):
        filter_outcome({"examples": examples, "evaluations": {}}, (), POLICY)


COUNTS = [[6, 0], [0, 7]]


def test_scores_are_made_as_coarse_as_the_site_wants():
    scores = {"bins": 4, "counts": [[5, 1, 0, 0], [0, 0, 1, 6]]}
    assert vet_scores(scores, COUNTS, POLICY) == scores
    five = Policy(labels=2, min_cell_count=5)
    assert vet_scores(scores, COUNTS, five) == {"bins": 2, "counts": [[6, 0], [0, 7]]}
    nine = Policy(labels=2, min_cell_count=9)
    assert vet_scores(scores, COUNTS, nine) is None


def test_no_scores_are_none():
    assert vet_scores(None, COUNTS, POLICY) is None
    assert vet_scores({"bins": 2, "counts": COUNTS}, COUNTS, Policy(labels=3)) is None


@pytest.mark.parametrize(
    "scores",
    [
        "Jane",
        {"bins": 3, "counts": [[6, 0, 0], [0, 0, 7]]},
        {"bins": 0, "counts": []},
        {"bins": 2.0, "counts": COUNTS},
        {"bins": [2], "counts": COUNTS},
        {"bins": 128, "counts": [[6, *[0] * 127], [7, *[0] * 127]]},
        {"bins": 2, "counts": [[6, 1], [0, 7]]},
        {"bins": 2, "counts": [[7, 0], [0, 6]]},
        {"bins": 2, "counts": [[2**53, 2**53], [2**53, 2**53]]},
    ],
    ids=lambda scores: str(scores)[:40],
)
def test_scores_that_are_not_a_histogram_of_the_same_examples_do_not_leave(scores):
    with pytest.raises(Failure) as caught:
        vet_scores(scores, COUNTS, POLICY)
    assert caught.value.reason == "withheld"


def test_counts_of_more_examples_than_the_set_has_do_not_leave():
    """Else a hostile notebook could write in each cell what it likes."""
    assert filter_outcome(answer(counts=[[2, 0], [1, 0]]), ("val",), POLICY)
    with pytest.raises(Failure, match="more examples than the set has"):
        filter_outcome(answer(counts=[[3, 0], [1, 1]]), ("val",), POLICY)


def test_an_evaluation_without_counts_is_one_of_the_whole_set():
    found = filter_outcome(answer(counts=[[0, 0], [0, 0]]), ("val",), POLICY).evaluations["val"]
    assert (found.counts, found.loss) == ([[0, 0], [0, 0]], 0.5)
    assert found.examples == EXAMPLES["valset"]


@pytest.mark.parametrize("reason", sorted([*OF_LINKS, *OF_SERVERS]))
def test_a_worker_has_no_words_of_the_link_s_or_the_server_s(reason):
    told = {"reason": reason, "type": "KeyError", "file": "task.py", "line": 1}
    assert filter_failure(told).reason == "unknown"


def test_of_a_failure_only_kind_type_file_and_line_leave():
    told = {"reason": "exception", "type": "KeyError", "file": "task.py", "line": 31,
            "message": "MRN 123", "traceback": "MRN 123"}  # fmt: skip
    assert str(filter_failure(told)) == "KeyError in task.py, line 31"


def test_of_a_failure_the_form_of_what_was_found_leaves():
    told = {"reason": "targets", "type": COLUMNS, "set": "val", "dtype": "float32",
            "shape": [8, 3], "count": 2, "values": "MRN 123"}  # fmt: skip
    said = str(filter_failure(told))
    assert said.startswith("the labels of the validation set are float32 of shape (8, 3), several")
    assert "class numbers 0..1 of shape (N,)" in said
    assert "def predict(net, loader)" in said
    told = {"reason": "exception", "type": "ValueError", "file": "torch", "part": "train"}
    assert str(filter_failure(told)) == (
        "ValueError in train, outside the notebook's own lines (within torch)"
    )


@pytest.mark.parametrize(
    "told",
    [
        {"reason": "Jane Doe"},
        {"reason": "exception", "type": "JaneDoe", "file": "JaneDoe.py", "line": "JaneDoe"},
        {"reason": "exception", "type": ["JaneDoe"], "file": None, "line": 10**12},
        {"reason": "exception", "type": "JaneDoe", "file": "", "line": 4711},
        {"reason": "exception", "type": "JaneDoe", "file": "torch", "line": 4711},
        {"reason": "targets", "type": "JaneDoe", "dtype": "JaneDoe", "shape": ["JaneDoe"]},
        {"reason": "targets", "set": "JaneDoe", "part": "JaneDoe", "count": "JaneDoe"},
        {"reason": "targets", "set": ["JaneDoe"], "part": {}, "shape": [10**9, 10**12]},
        {},
    ],
)
def test_names_that_an_author_chose_do_not_leave(told):
    failure = filter_failure(told)
    assert "Jane" not in failure.write()
    assert "1000000" not in failure.write() and "4711" not in failure.write()
    assert json.loads(failure.write())["type"] == "an exception of the author's own"
