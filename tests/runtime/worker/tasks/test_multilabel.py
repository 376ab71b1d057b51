"""Multi-label: what of targets and scores is counted, and what is refused in which words."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.tasks.multilabel import MultilabelReader, count

NAN = float("nan")
TARGETS = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0]])
LOGITS = np.array([[-1.0, 2, 0.5], [3, -2, -0.5], [-1, 1, -3], [0.25, -1, 4]])


def reader(size=3, predicts=False):
    names = tuple("abcdefgh"[:size])
    return MultilabelReader(EvaluationSettings(Task("multilabel", size), names), predicts)


def loader(targets=TARGETS, logits=LOGITS, batch=3):
    inputs = torch.tensor(logits, dtype=torch.float32)
    return DataLoader(TensorDataset(inputs, torch.as_tensor(targets)), batch_size=batch)


class Same(nn.Module):
    """A model whose outputs are its inputs, after a function."""

    def __init__(self, end=lambda x: x):
        super().__init__()
        self.end, self.layer = end, nn.Linear(3, 3)
        with torch.no_grad():
            self.layer.weight[:], self.layer.bias[:] = torch.eye(3), 0

    def forward(self, x):
        return self.end(self.layer(x))


def told(reason):
    with pytest.raises(Failure) as error:
        reason()
    return str(error.value)


@given(st.integers(1, 4).flatmap(
    lambda size: st.tuples(
        arrays(float, (20, size), elements=st.sampled_from([0.0, 1.0, NAN])),
        arrays(float, (20, size), elements=st.floats(0, 1)),
    )
))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_each_label_is_counted_over_what_is_labelled_for_it(pair):
    targets, scores = pair
    tables = count(targets, scores)
    for k in range(targets.shape[1]):
        known = ~np.isnan(targets[:, k])
        truth, guess = targets[known, k].astype(int), (scores[known, k] >= 0.5).astype(int)
        if known.any():
            expected = confusion_matrix(truth, guess, labels=[0, 1])
            assert tables[f"confusion.{k}"] == expected.tolist()
        rows = [sum(row) for row in tables[f"scores.{k}"]]
        assert rows == [int((truth == 0).sum()), int((truth == 1).sum())]
        # The decision stands on a bin's edge, so that counts and bins agree.
        above = [sum(row[32:]) for row in tables[f"scores.{k}"]]
        assert above == [row[1] for row in tables[f"confusion.{k}"]]


def test_minus_one_and_nan_are_not_labelled():
    given_as = [[0, -1], [1, NAN], [1, 1]]
    counted = reader(2).from_predict((given_as, np.full((3, 2), 0.75)), [], "test", 0)
    assert counted.tables["confusion.0"] == [[0, 1], [0, 2]]
    assert counted.tables["confusion.1"] == [[0, 0], [0, 1]]
    assert counted.examples == 3
    assert counted.notices == [Notice("labels-undefined", "test", "", 1, 2)]


@pytest.mark.parametrize(
    ("end", "notices"),
    [
        (lambda x: x, []),
        (torch.sigmoid, [Notice("probabilities")]),
        (nn.functional.logsigmoid, []),
    ],
)
def test_outputs_are_read_as_predict_would_give_them(end, notices):
    counted = reader().from_outputs(Same(end).eval(), loader(), "test", 1)
    scores = 1 / (1 + np.exp(-LOGITS.astype(np.float32)))
    assert counted.tables == reader().from_predict((TARGETS, scores), loader(), "test", 1).tables
    assert counted.examples == 4
    assert counted.notices == notices


def test_a_logit_of_zero_is_a_prediction():
    counted = reader().from_outputs(Same(), loader(logits=np.zeros((4, 3))), "val", 0)
    assert [counted.tables[f"confusion.{k}"] for k in range(3)] == [[[0, 2], [0, 2]]] * 3


def test_fewer_rows_than_the_loader_gives_are_no_figures():
    result = (TARGETS[:3], np.full((3, 3), 0.5))
    counted = reader().from_predict(result, loader(), "test", 0)
    assert counted.tables == {}
    assert counted.notices == (Notice("too-few-labels", "test", "", 3, 4),)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.zeros(4, int), "int64 of shape (4,), of another shape"),
        (np.zeros((4, 2)), "float64 of shape (4, 2), of another shape"),
        (np.full((4, 3), 2), "int64 of shape (4, 3), of which some are neither 0 nor 1"),
        (np.full((4, 3), 0.3), "float64 of shape (4, 3), of which some are neither 0 nor 1"),
        ([["a", "b", "c"]], "no numbers, texts"),
        ([[0, 1], [1]], "no numbers, of different lengths"),
        (np.zeros((4, 3), complex), "complex128 of shape (4, 3)"),
    ],
)
def test_targets_that_are_none_are_named_with_what_to_write(targets, words):
    said = told(lambda: reader().check_batch((torch.zeros(4, 3), targets), "val"))
    assert said.startswith(f"the targets of the validation set are {words}")
    assert "for 3 labels, give 0 or 1 (NaN or -1: not labelled) of shape (N, 3), or write" in said
    assert "`def predict(net, loader): ... return targets, scores`" in said
    said = told(lambda: reader().from_predict((targets, np.zeros((4, 3))), [], "test", 0))
    assert said.startswith(f"the targets that predict returned for the test set are {words}")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "predict returned nothing"),
        ((TARGETS, TARGETS, TARGETS), "predict returned a tuple of 3"),
        (TARGETS, "predict returned one array"),
        ((TARGETS, np.zeros(4)), "float64 of shape (4,), of another shape"),
        ((TARGETS, LOGITS), "float64 of shape (4, 3), of which some are not in 0..1"),
        ((TARGETS, np.full((4, 3), NAN)), "float64 of shape (4, 3), of which some are not in 0..1"),
        ((TARGETS, np.zeros((4, 3), complex)), "complex128 of shape (4, 3)"),
        ((TARGETS, [["high"] * 3] * 4), "no numbers, texts"),
    ],
)
def test_what_predict_returns_wrongly_is_named(result, words):
    said = told(lambda: reader().from_predict(result, loader(), "test", 0))
    assert words in said


def test_scores_that_are_not_asked_for_may_be_anything():
    counted = reader(1).from_predict(([1, -1, 0], [0.9, NAN, 0.2]), [], "test", 0)
    assert counted.tables["confusion.0"] == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda x: x[:, :2], "float32 of shape (2, 2): for 3 labels, give logits"),
        (lambda x: x.sum(1), "float32 of shape (2,): for 3 labels, give logits"),
        (
            lambda x: {"logits": x},
            "the model returns a dictionary, not a tensor: write `def predict",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_told_before_training(end, words):
    batch = next(iter(loader()))
    assert words in told(lambda: reader().check_outputs(Same(end), batch, "val"))
    reader().check_outputs(Same(), batch, "val")


def test_batches_and_outputs_that_cannot_be_read_are_told():
    check = reader().check_batch
    assert "a batch of the test set is a dictionary, not a pair" in told(lambda: check({}, "test"))
    assert "a batch of the test set is nothing, not a pair" in told(lambda: check(None, "test"))
    assert "are a dictionary, not a tensor" in told(lambda: check(({}, TARGETS), "test"))
    broken = Same(lambda x: x * torch.nan)
    said = told(lambda: reader().from_outputs(broken, loader(), "test", 3))
    assert said == "the model's outputs are not finite numbers, for the test set in round 3"
    assert "gives no batch" in told(lambda: reader().from_outputs(Same(), [], "test", 0))


def test_an_exception_of_the_model_is_told_by_its_type():
    def fail(_):
        raise KeyError("Jane")

    said = told(lambda: reader().from_outputs(Same(fail), loader(), "test", 0))
    assert said.startswith("KeyError in Model")
    assert "Jane" not in said


def test_decisions_in_place_of_probabilities_are_told():
    decisions = (LOGITS > 0).astype(int)
    own = reader(predicts=True)
    counted = own.from_predict((TARGETS, decisions), loader(), "test", 0)
    assert Notice("decided", "test") in counted.notices
    with pytest.raises(Failure, match="in this order, `def predict"):
        reader(predicts=True).from_predict((decisions, TARGETS), loader(), "test", 0)
