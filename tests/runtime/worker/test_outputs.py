"""What a model's outputs are taken for, without a ``predict``."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.outputs import (
    last_operation,
    needs_more_than_one,
    predict_logits,
    probabilities,
    read_outputs,
)

TRUTH = [0, 1, 1, 0]
X = torch.tensor([[-3.0], [2.0], [1.0], [-1.0]])


class Ends(nn.Module):
    """A model with weight 1 and bias 0 for one output, or -1 and 1 for two; then a function."""

    def __init__(self, outputs, end):
        super().__init__()
        self.layer, self.end = nn.Linear(1, outputs), end
        with torch.no_grad():
            self.layer.bias[:] = 0
            self.layer.weight[:] = torch.tensor([[1.0]] if outputs == 1 else [[-1.0], [1.0]])

    def forward(self, x):
        return self.end(self.layer(x))


def predict(net, labels=TRUTH):
    return predict_logits(net.eval(), [(X, torch.tensor(labels))] * 2, "val", 2)


class Odd(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x.sigmoid()


@pytest.mark.parametrize(
    ("outputs", "end", "code"),
    [
        (1, lambda x: x, ""),
        (1, lambda x: x[:, 0], ""),
        (1, lambda x: x.sigmoid(), "probabilities"),
        (1, lambda x: x.squeeze(1).sigmoid(), "probabilities"),
        (1, lambda x: x.sigmoid().reshape(-1).unsqueeze(1), "probabilities"),
        (1, lambda x: x.double().sigmoid().clamp(1e-6, 1 - 1e-6), "probabilities"),
        (1, functional.logsigmoid, ""),
        (2, lambda x: x, ""),
        (2, lambda x: x.softmax(1), "probabilities"),
        (2, lambda x: x.log_softmax(1), ""),
        (2, lambda x: x.log_softmax(1).exp(), "probabilities"),
        (2, lambda x: x.sigmoid(), "probabilities"),
        (1, lambda x: torch.cat([1 - x.sigmoid(), x.sigmoid()], 1), "probabilities"),
    ],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_logits_and_probabilities_are_told_apart(outputs, end, code, frozen):
    labels, scores, notices = predict(Ends(outputs, end).requires_grad_(not frozen))
    assert labels.tolist() == TRUTH * 2
    assert scores.shape == (8, 2)
    assert scores.argmax(1).tolist() == TRUTH * 2
    assert [notice.code for notice in notices] == ([code] if code else [])
    if outputs == 1:
        np.testing.assert_allclose(scores[:4, 1], X[:, 0].sigmoid(), atol=2e-6)


def test_what_autograd_does_not_know_is_taken_as_logits_with_a_warning():
    hidden = Ends(1, lambda x: torch.sigmoid(x).detach())
    assert predict(hidden).notices == (Notice("perhaps-probabilities", "val"),)
    assert predict(Ends(1, Odd.apply)).notices == (Notice("perhaps-probabilities", "val"),)
    assert predict(Ends(1, lambda x: x.detach())).notices == (), "some are not in 0..1"
    in_between = Ends(1, lambda x: x)
    assert probabilities(torch.tensor([0.2, 0.7]), last_operation(in_between, X))[1] == ""


def test_the_last_operation_is_found_without_a_trace():
    net = Ends(1, torch.sigmoid)
    state = torch.get_rng_state()
    assert last_operation(net, X) == "Sigmoid"
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    in_place = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(1, 1), nn.Sigmoid())
    before = X.clone()
    for frozen in (False, True):
        assert last_operation(in_place.requires_grad_(not frozen), X.clone()) == "Sigmoid"
    assert torch.equal(X, before)
    assert last_operation(nn.Linear(5, 1), X) == "", "what is wrong is told elsewhere"


@pytest.mark.parametrize(
    ("outputs", "classes", "told"),
    [
        (torch.zeros(4, 2), 3, "output has 2 column(s), the federation file names 3 labels"),
        (torch.zeros(4, 1), 3, "output has 1 column(s), the federation file names 3 labels"),
        (torch.zeros(4), 3, "outputs are float32 of shape (4,), not (N, 3) for 3 labels"),
        (torch.zeros(4, 2, 8, 8), 2, "outputs are float32 of shape (4, 2, 8, 8), not (N, 2)"),
        (torch.zeros(()), 2, "outputs are float32 of shape (), not (N, 2)"),
        (torch.zeros(8, 2), 2, "are float32 of shape (8, 2) for a batch of 4 examples"),
        (torch.zeros(8), 2, "are float32 of shape (8,) for a batch of 4 examples"),
        ((torch.zeros(4, 2), None), 2, "the model returns a tuple of 2, not a tensor"),
        ({"logits": torch.zeros(4, 2)}, 2, "the model returns a dictionary, not a tensor"),
        (None, 2, "the model returns nothing, not a tensor"),
    ],
)
def test_outputs_of_another_form_are_named(outputs, classes, told):
    with pytest.raises(Failure) as caught:
        read_outputs(outputs, 4, classes)
    assert told in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("outputs", [1, 2])
def test_outputs_that_are_not_finite_are_told_with_set_and_round(value, outputs):
    net = Ends(outputs, lambda x: x * value)
    with pytest.raises(Failure) as caught:
        predict_logits(net, [(X, torch.tensor(TRUTH))], "test", 2, 7)
    assert str(caught.value) == (
        "the model's outputs are not finite numbers, for the test set in round 7"
    )


def test_the_logarithm_of_a_probability_of_0_is_no_fault():
    net = Ends(2, lambda x: torch.where(x < 0, -torch.inf, x))
    assert predict(net).scores.tolist()[:2] == [[1.0, 0.0], [0.0, 1.0]]


def test_a_loader_without_a_batch_gives_no_prediction():
    with pytest.raises(Failure, match="gives no batch"):
        predict_logits(Ends(1, torch.sigmoid), [], "val", 2)


def test_a_model_that_cannot_train_on_one_example_is_known_and_stays_as_it_was():
    normed = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3)).eval()
    assert needs_more_than_one(normed, X)
    assert not normed.training
    assert normed[1].num_batches_tracked == 0
    spatial = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    assert not needs_more_than_one(spatial, torch.zeros(2, 1, 8, 8))
    assert needs_more_than_one(spatial, torch.zeros(2, 1, 3, 3)), "one value per channel is left"
    assert not needs_more_than_one(nn.Linear(1, 3), X)
