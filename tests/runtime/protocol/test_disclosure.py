"""What may leave a site, and what does not whatever the worker says."""

import json
from dataclasses import asdict

import pytest

from federator.runtime.protocol.disclosure import Policy, filter_failure, filter_outcome
from federator.runtime.protocol.evaluation.labels import COLUMNS
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.outcomes import OF_LINKS, OF_SERVERS, Failure

EXAMPLES = {"trainset": 10, "valset": 4, "testset": 4}
TABLES = {"confusion": [[2, 0], [1, 1]]}
GOOD = {"tables": TABLES, "loss": 0.5, "examples": 4, "metrics": {}}
TWO = Task("classification", 2)
POLICY = Policy(TWO, metrics=frozenset({"dice"}), min_cell_count=1)


def answer(**changes):
    return {"examples": EXAMPLES, "evaluations": {"val": {**GOOD, **changes}}}


def test_counts_and_a_loss_leave():
    outcome = filter_outcome(answer(), ("val",), POLICY)
    assert outcome.examples == EXAMPLES
    assert outcome.evaluations["val"].tables == TABLES
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
        {"tables": "Jane Doe"},
        {"tables": {"confusion": "Jane Doe"}},
        {"tables": {"confusion": [[1, 2, 3], [1, 2, 3]]}},
        {"tables": {"confusion": [[1.5, 2], [3, 4]]}},
        {"tables": {"confusion": [[-1, 2], [3, 4]]}},
        {"tables": {"confusion": [[True, 2], [3, 4]]}},
        {"tables": {"confusion": [[2**60, 2], [3, 4]]}},
        {"loss": "Jane Doe"},
        {"loss": [0.1, 0.2]},
        {"loss": float("nan")},
        {"loss": 10**400},
        {"loss": -1e31},
        {"tables": {**TABLES, "scores.1": "Jane Doe"}},
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


def released(scores, minimum=1, labels=2, counts=COUNTS):
    """Return what leaves of a table of scores."""
    tables = {"confusion": counts, "scores.1": scores}
    told = {
        "examples": dict.fromkeys(EXAMPLES, 30),
        "evaluations": {"val": {**GOOD, "tables": tables}},
    }
    policy = Policy(Task("classification", labels), min_cell_count=minimum)
    return filter_outcome(told, ("val",), policy).evaluations["val"]


def test_scores_are_made_as_coarse_as_the_site_wants():
    scores = [[5, 1, 0, 0], [0, 0, 1, 6]]
    assert released(scores).tables == {"confusion": COUNTS, "scores.1": scores}
    assert released(scores, 5).tables["scores.1"] == [[6, 0], [0, 7]]
    assert released(scores, 5).withheld == ()


def test_what_the_minimum_keeps_is_named():
    found = released([[5, 1, 0, 0], [0, 0, 1, 20]], 9, counts=[[6, 0], [0, 21]])
    assert set(found.tables) == {"confusion"}
    assert found.withheld == ("scores.1", "confusion.0")


def test_counts_of_a_matrix_are_rounded_and_the_minimum_is_told():
    found = released([[5, 1, 0, 0], [0, 0, 1, 6]], 5, counts=[[5, 1], [1, 6]])
    possible = [[[a, 6 - a], [b, 7 - b]] for a in (0, 6) for b in (0, 7)]
    assert found.tables["confusion"] in possible
    assert found.rounded == 5
    assert released([[5, 1, 0, 0], [0, 0, 1, 6]], 1).rounded == 0


@pytest.mark.parametrize("rounded", [8, 2**40, -1, "5", 5.0, True])
def test_a_minimum_that_the_counts_contradict_is_none(rounded):
    """At the server: else one site could make every figure as vague as it likes."""
    told = answer(tables={"confusion": [[2, 0], [0, 2]]}, rounded=rounded)
    if rounded == 8:
        with pytest.raises(Failure, match="counts below the minimum"):
            filter_outcome(told, ("val",), POLICY)
    else:
        assert filter_outcome(told, ("val",), POLICY).evaluations["val"].rounded == 0


@pytest.mark.parametrize("withheld", [[["Jane"]], ["Jane", {}], "Jane", 5, {"Jane": 1}, [None]])
def test_only_names_of_tables_are_named(withheld):
    told = answer(withheld=withheld)
    assert filter_outcome(told, ("val",), POLICY).evaluations["val"].withheld == ()


@pytest.mark.parametrize(
    "scores",
    [
        "Jane",
        [[6, 0, 0], [0, 0, 7]],
        [],
        [[6, *[0] * 127], [7, *[0] * 127]],
        [[6, 1], [0, 7]],
        [[7, 0], [0, 6]],
        [[2**53, 2**53], [2**53, 2**53]],
    ],
    ids=lambda scores: str(scores)[:40],
)
def test_scores_that_are_not_a_histogram_of_the_same_examples_do_not_leave(scores):
    with pytest.raises(Failure) as caught:
        released(scores)
    assert caught.value.reason == "withheld"


def test_scores_without_counts_do_not_leave():
    with pytest.raises(Failure, match="scores without counts"):
        filter_outcome(answer(tables={"scores.1": COUNTS}), ("val",), POLICY)


def test_counts_of_more_examples_than_the_set_has_do_not_leave():
    """Else a hostile notebook could write in each cell what it likes."""
    assert filter_outcome(answer(tables={"confusion": [[2, 0], [1, 0]]}), ("val",), POLICY)
    with pytest.raises(Failure, match="more examples than the set has"):
        filter_outcome(answer(tables={"confusion": [[3, 0], [1, 1]]}), ("val",), POLICY)


PARTIAL = {
    "multilabel": {"confusion.0": [[1, 0], [0, 1]], "scores.1": [[0] * 63 + [3], [0] * 64]},
    "segmentation": {
        "voxels.1": [[3, 5, 1, 2]],
        "histogram.0": [[2] + [0] * 31],
        "surfaces.1": [[3, 4.5, 7.0]],
    },
}


@pytest.mark.parametrize("task", PARTIAL)
def test_where_an_example_counts_in_some_tables_only_all_that_were_evaluated_count(task):
    policy = Policy(Task(task, 2), min_cell_count=1)
    told = answer(tables=PARTIAL[task], examples=4)
    evaluation = filter_outcome(told, ("val",), policy).evaluations["val"]
    assert evaluation.examples == 4
    assert evaluation.tables == PARTIAL[task]
    with pytest.raises(Failure, match="counts of more examples than were evaluated"):
        filter_outcome(answer(tables=PARTIAL[task], examples=2), ("val",), policy)


def test_sums_of_a_set_that_the_site_keeps_do_not_leave_and_are_named():
    task = Task("regression", 1)
    sums = [[4, *(0.5 for _ in range(task.forms["errors.0"].columns - 1))]]
    told = answer(tables={"errors.0": sums})
    for name, leaves in (("val", False), ("test", True)):
        policy = Policy(task, min_cell_count=1, sums=("train", "test"))
        answered = {**told, "evaluations": {name: told["evaluations"]["val"]}}
        found = filter_outcome(answered, (name,), policy).evaluations[name]
        assert ("errors.0" in found.tables) is leaves
        assert ("errors.0" in found.withheld) is not leaves


def test_an_evaluation_without_counts_is_one_of_the_whole_set():
    evaluations = answer(tables={}, examples=None)
    found = filter_outcome(evaluations, ("val",), POLICY).evaluations["val"]
    assert (found.tables, found.loss) == ({}, 0.5)
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
