"""What an author's functions may return, and how it is read."""

import numpy as np
import pytest
import torch

from federator.runtime.outcomes import Failure
from federator.runtime.predictions import (
    decide,
    integers,
    predict_logits,
    read_prediction,
    read_test,
)


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        ([0, 1], [0, 1]),
        ([0.0, 1.0], [0, 1]),
        (torch.tensor([[1], [0]]), [1, 0]),
        ([0.5, 1.0], None),
        ([[0, 1], [1, 0]], None),
    ],
)
def test_labels_are_whole_numbers_in_a_row(labels, read):
    found = integers(labels)
    assert (found if found is None else found.tolist()) == read


@pytest.mark.parametrize(
    ("result", "read"),
    [
        ((0.5, 0.9), (0.5, {})),
        ([torch.tensor(0.5)], (0.5, {})),
        ({"loss": 0.5, "auc": 1}, (0.5, {"auc": 1.0})),
    ],
)
def test_a_test_returns_a_loss_first_or_by_name(result, read):
    assert read_test(result) == read


@pytest.mark.parametrize("result", [None, 0.5, (), {"auc": 1.0}, ("Jane Doe",), {"loss": [1, 2]}])
def test_a_test_that_returns_no_loss_has_broken_the_contract(result):
    with pytest.raises(Failure) as caught:
        read_test(result)
    assert (caught.value.reason, caught.value.type) == ("contract", "test")


@pytest.mark.parametrize(
    "result",
    [None, ([0, 1],), ([0.5], [0.5]), ([0, 1], [0.5]), ([0], [float("nan")]), ([0], ["Jane Doe"])],
)
def test_a_prediction_is_labels_and_as_many_scores(result):
    labels, scores = read_prediction(([0, 1], [0.25, 0.75]))
    assert (labels.tolist(), scores.tolist()) == ([0, 1], [0.25, 0.75])
    with pytest.raises(Failure) as caught:
        read_prediction(result)
    assert (caught.value.reason, caught.value.type) == ("contract", "predict")


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_net_without_predict_gives_logits(outputs):
    net = torch.nn.Linear(2, outputs)
    loader = [(torch.ones(4, 2), torch.tensor([0, 1, 1, 0]))] * 2
    labels, scores = predict_logits(net, loader)
    assert labels.tolist() == [0, 1, 1, 0] * 2
    assert scores.shape == ((8,) if outputs == 1 else (8, 3))
    if outputs == 3:
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("positive", "predicted"), [(1, [0, 1, 1]), (0, [1, 0, 0])])
def test_one_score_each_is_of_the_positive_label(positive, predicted):
    scores = np.array([0.4, 0.5, 0.9])
    labels, chances = decide(scores, 2, positive)
    assert labels.tolist() == predicted
    assert chances is scores


def test_a_score_for_each_label_decides_by_the_largest():
    scores = np.array([[0.1, 0.9], [0.7, 0.3]])
    labels, chances = decide(scores, 2, 1)
    assert (labels.tolist(), chances.tolist()) == ([1, 0], [0.9, 0.3])
    assert decide(np.eye(3), 3, None)[1] is None
    for shape, classes in (((4, 3), 2), ((4,), 3)):
        with pytest.raises(ValueError, match="scores of shape"):
            decide(np.zeros(shape), classes, None)
