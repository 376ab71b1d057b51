"""What an author's functions may return, and how it is read."""

import numpy as np
import pytest
import torch

from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.predictions import (
    compare_accuracy,
    decide,
    read_number,
    read_prediction,
    read_test,
)

DECLARED = frozenset({"auc", "dice"})


@pytest.mark.parametrize(
    ("result", "loss", "accuracy"),
    [
        ((0.5, 0.9), 0.5, 0.9),
        ([torch.tensor(0.5)], 0.5, None),
        ((torch.tensor([0.5]), torch.tensor(0.75, requires_grad=True)), 0.5, 0.75),
        ((np.float32(0.5), 75), 0.5, 0.75),
        ((0.5, 0.75, "more"), 0.5, 0.75),
        ((0.5, None), 0.5, None),
        ((0.5, [0.1, 0.2]), 0.5, None),
        ((0.5, 170.5), 0.5, None),
        ((0.5, float("nan")), 0.5, None),
        ({"loss": 0.5, "accuracy": 0.75}, 0.5, 0.75),
        ({"loss": 0.5, "Acc": 75.0, "f1": [0.1, 0.2]}, 0.5, 0.75),
        ({"loss": 0.5, "balanced_accuracy": 0.9}, 0.5, None),
    ],
)
def test_a_test_returns_a_loss_and_may_return_an_accuracy(result, loss, accuracy):
    tested = read_test(result, (), "val")
    assert (tested.loss, tested.accuracy, tested.metrics, tested.notices) == (
        loss, accuracy, {}, (),
    )  # fmt: skip


def test_declared_metrics_are_read_and_told_where_they_are_no_finite_number():
    tested = read_test({"loss": 0.5, "auc": np.float64("nan"), "dice": 1}, DECLARED, "val")
    assert tested.metrics == {"dice": 1.0}
    assert tested.notices == (Notice("metric-not-finite", "val", "auc"),)
    tested = read_test({"loss": 0.5, "auc": 1e31, "dice": -1e30}, DECLARED, "val")
    assert tested == (0.5, None, {"dice": -1e30}, (Notice("metric-not-finite", "val", "auc"),))
    tested = read_test({"loss": 0.5, "auc": [0.5, 0.6], "mrn": "Jane Doe"}, DECLARED, "test")
    assert tested.metrics == {}
    assert tested.notices == (
        Notice("metric-not-number", "test", "auc"),
        Notice("metric-missing", "test", "dice"),
    )
    assert "returns as auc is not a single number (test set)" in str(tested.notices[0])


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "test returned nothing: return `loss, accuracy`, or a dictionary with `loss`"),
        (0.5, "test returned a single number"),
        (torch.tensor(0.5), "test returned a single number"),
        (torch.zeros(2), "test returned one tensor"),
        ((), "test returned an empty tuple"),
        ("Jane Doe", "test returned a text"),
        ({"auc": 1.0}, "test returned a dictionary without `loss`"),
        (("Jane Doe",), "test returned a loss that is not a single number"),
        ({"loss": [1, 2]}, "test returned a loss that is not a single number"),
        ((float("nan"), 0.5), "is not a finite number, for the validation set in round 3"),
        (
            {"loss": torch.tensor(float("inf"))},
            "the loss that test returned is not a finite number",
        ),
    ],
)
def test_a_test_that_returns_no_loss_is_told_what_it_returned(result, told):
    with pytest.raises(Failure) as caught:
        read_test(result, (), "val", 3)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, 1.0),
        (True, 1.0),
        (np.int64(3), 3.0),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (torch.tensor([[2]]), 2.0),
        (np.array([2.5]), 2.5),
        ("0.5", None),
        ([0.5], None),
        (torch.zeros(2), None),
        (1j, None),
        (10**400, None),
        (object(), None),
    ],
)
def test_a_number_is_one_number(value, read):
    assert read_number(value) == read


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "predict returned nothing: return labels, scores"),
        (([0, 1],), "predict returned a tuple of 1"),
        ({"labels": [0]}, "predict returned a dictionary"),
        (([0.5, 1.5], [0.5, 0.5]), "are float64 of shape (2,), real numbers, as of a regression"),
        ((np.eye(2), [0.5, 0.5]), "are float64 of shape (2, 2), several columns"),
        (([0, 2], [0.5, 0.5]), "has labels outside 0..1, for the 2 labels"),
        (([0, 1], [0.5]), "scores that predict returned for the validation set are float64 of"),
        (([0], np.zeros((1, 3))), "are float64 of shape (1, 3): for 2 labels, return scores"),
        (([0], ["Jane Doe"]), "are no numbers: for 2 labels, return scores of shape (N, 2)"),
        (([0], [float("nan")]), "scores that are not finite numbers, for the validation set in"),
        (([0, 1], [-3.0, 4.0]), "validation set are not in 0..1: return the probability"),
    ],
)
def test_a_prediction_of_another_form_is_told_by_it(result, told):
    with pytest.raises(Failure) as caught:
        read_prediction(result, "val", 2, 3)
    assert told in str(caught.value)
    assert "Jane" not in caught.value.write()


@pytest.mark.parametrize("scores", [[0.25, 0.75], torch.tensor([[0.25], [0.75]]), np.eye(2) - 4])
def test_a_prediction_is_labels_and_as_many_scores(scores):
    labels, read, notices = read_prediction((torch.tensor([[0.0], [1.0]]), scores), "val", 2)
    assert labels.tolist() == [0, 1]
    assert read.tolist() == np.squeeze(np.asarray(scores)).tolist()
    assert notices == ()


@pytest.mark.parametrize(("positive", "predicted"), [(1, [0, 1, 1]), (0, [1, 0, 0])])
def test_one_score_each_is_of_the_positive_label(positive, predicted):
    scores = np.array([0.4, 0.5, 0.9])
    labels, chances = decide(scores, positive)
    assert labels.tolist() == predicted
    assert chances is scores


def test_a_score_for_each_label_decides_by_the_largest():
    labels, chances = decide(np.array([[0.1, 0.9], [0.7, 0.3]]), 1)
    assert (labels.tolist(), chances.tolist()) == ([1, 0], [0.9, 0.3])
    assert decide(np.eye(3), None)[1] is None


COUNTS = [[8, 3], [1, 12]]  # 20 of 24


@pytest.mark.parametrize(
    ("said", "size", "warned"),
    [
        (20 / 24, 8, False),
        (0.83, 8, False),
        (21 / 24, None, False),  # a tie
        (4 / 24, 8, True),  # the labels swapped
        (0.958, 24, True),
        (0.5, None, True),
        # Batches of 23 and 1, the one wrong: (20 / 23 + 0) / 2; or right: (19 / 23 + 1) / 2.
        (0.435, 23, False),
        (0.913, 23, False),
        (0.435, 24, True),
        (0.99, 23, True),
        # Batches of 10, 10 and 4.
        (0.9, 10, False),
        (0.6, 10, True),
    ],
)
def test_an_accuracy_may_be_rounded_or_a_mean_over_batches_and_nothing_else(said, size, warned):
    notice = compare_accuracy(said, COUNTS, "val", size)
    assert (notice is not None) is warned
    if warned:
        assert notice == Notice("accuracy", "val", "", round(said, 3), 0.833)


@pytest.mark.parametrize(("examples", "size"), [(100, 32), (24, 23), (9, 8), (16, 16), (7, 3)])
def test_every_mean_over_batches_of_right_counts_is_taken(examples, size):
    rng = np.random.default_rng(examples)
    for _ in range(200):
        right = rng.random(examples) < rng.random()
        parts = [right[i : i + size].mean() for i in range(0, examples, size)]
        counts = [[int(right.sum()), 0], [int((~right).sum()), 0]]
        assert compare_accuracy(float(np.mean(parts)), counts, "val", size) is None


def test_no_examples_have_no_accuracy():
    assert compare_accuracy(0.5, [[0, 0], [0, 0]], "val", 8) is None
