"""Regression: what is read as truths and predictions, and what is refused in which words."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.tasks.regression import RegressionReader

NAN = float("nan")
AGES = torch.tensor([[41.0], [58], [73], [66], [29]])
GUESSES = torch.tensor([[44.0], [57], [80], [60], [31]])
ONE = "1 column(s), (N, 1), of real numbers (of one target, (N,) will do)"


def reader(targets: int = 1, predicts: bool = False) -> RegressionReader:
    names = tuple("abcdef"[:targets])
    ranges = ((20.0, 100.0),) * targets
    settings = EvaluationSettings(Task("regression", targets), names, ranges=ranges)
    return RegressionReader(settings, predicts)


def loader(inputs=GUESSES, targets=AGES, **how) -> DataLoader:
    return DataLoader(TensorDataset(inputs, targets), batch_size=2, **how)


def told(reason) -> str:
    with pytest.raises(Failure) as error:
        reason()
    return str(error.value)


@pytest.mark.parametrize("flat_outputs", [True, False])
@pytest.mark.parametrize("targets", [AGES, AGES[:, 0], AGES.double(), AGES.long()])
def test_the_models_outputs_are_the_predictions(targets, flat_outputs):
    """Neither (N,) against (N, 1) nor the other way round becomes an (N, N) table of errors."""
    net = nn.Flatten(0) if flat_outputs else nn.Identity()
    counted = reader().from_outputs(net, loader(targets=targets), "test", 0)
    n, absolute, squared, error, *_ = counted.tables["errors.0"][0]
    assert (n, absolute, squared, error) == (5, 19, 99, 5)
    assert (counted.examples, counted.notices) == (5, [])


def test_predict_gives_the_same_as_the_outputs():
    by_outputs = reader().from_outputs(nn.Identity(), loader(), "test", 0)
    for truths, guesses in [
        (AGES, GUESSES),
        (AGES[:, 0].tolist(), GUESSES[:, 0].tolist()),
        (AGES.numpy(), GUESSES.to(torch.bfloat16)),
    ]:
        counted = reader(predicts=True).from_predict((truths, guesses), loader(), "test", 0)
        assert counted.tables == by_outputs.tables


def test_what_is_checked_before_training_is_what_is_read_after():
    read = reader()
    batch = next(iter(loader()))
    assert read.check_training_set(loader()) == ()
    read.check_batch(batch, "val")
    read.check_outputs(nn.Identity(), batch, "val")


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (torch.rand(2, 3), "float32 of shape (2, 3), of another shape: give " + ONE),
        (torch.rand(2, 1, 8, 8), "float32 of shape (2, 1, 8, 8), of another shape"),
        (torch.tensor([1.0, float("inf")]), "float32 of shape (2,), numbers of which some are not"),
        (torch.tensor([1.0, 3e12]), "float32 of shape (2,), of which some are beyond 10^10"),
        (["old", "young"], "no numbers, texts"),
        ({"age": AGES}, "no numbers, dictionaries or other objects"),
        ((AGES, AGES), "no numbers, several arrays in a list (of batches or examples: concatenate"),
        (torch.complex(AGES, AGES)[:2], "complex64 of shape (2, 1), complex numbers"),
    ],
)
def test_targets_are_refused_by_what_they_are(targets, said):
    words = told(lambda: reader().check_batch((GUESSES[:2], targets), "val"))
    assert words.startswith("the targets of the validation set are ")
    assert said in words
    assert words.endswith("or write `def predict(net, loader): ... return truths, predictions`")


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"x": GUESSES, "y": AGES}, "a batch of the test set is a dictionary, not a pair"),
        ((GUESSES, AGES, AGES), "a batch of the test set is a tuple of 3, not a pair"),
        (({"x": GUESSES}, AGES), "the inputs in a batch of the test set are a dictionary"),
    ],
)
def test_a_batch_that_is_no_pair_asks_for_a_predict(batch, said):
    assert said in told(lambda: reader().check_batch(batch, "test"))


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nn.Linear(1, 3), "the model's outputs are float32 of shape (2, 3), of another shape"),
        (lambda x: x[None], "the model's outputs are float32 of shape (1, 2, 1), of another"),
        (lambda x: x.sum(), "the model's outputs are float32 of shape (), of another shape"),
        (lambda x: {"age": x}, "the model returns a dictionary, not a tensor"),
        (lambda x: x * 1e12, "of which some are beyond 10^10"),
    ],
)
def test_outputs_are_refused_by_what_they_are(net, said):
    module = net if isinstance(net, nn.Module) else Wrapped(net)
    assert said in told(lambda: reader().check_outputs(module, (GUESSES, AGES), "val"))


class Wrapped(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (AGES, "predict returned one tensor: write `def predict(net, loader)"),
        ((AGES, GUESSES, GUESSES), "predict returned a tuple of 3"),
        ((AGES.repeat(1, 2), GUESSES), "the truths that predict returned for the test set are"),
        ((AGES, GUESSES[:4]), "the predictions that predict returned for the test set are float32 "
         "of shape (4, 1), of another shape: return " + ONE + ", one row for each truth"),
        ((AGES, GUESSES * NAN), "numbers of which some are not finite"),
    ],
)  # fmt: skip
def test_what_predict_returns_is_refused_by_what_it_is(result, said):
    assert said in told(lambda: reader(predicts=True).from_predict(result, loader(), "test", 0))


def test_truths_that_were_not_measured_are_told_without_their_number():
    two = torch.cat([AGES, AGES], 1)
    guesses, two[1, 1] = two + 1, NAN
    counted = reader(2, True).from_predict((two, guesses), loader(), "val", 0)
    assert [counted.tables[f"errors.{k}"][0][0] for k in (0, 1)] == [5, 4]
    assert counted.notices == [Notice("unmeasured", "val")]
    assert counted.examples == 5


def test_numbers_that_are_made_up_make_no_figure():
    zeros = np.zeros(5)
    counted = reader(predicts=True).from_predict((zeros, zeros), loader(), "test", 0)
    assert (counted.tables, counted.notices) == ({}, (Notice("all-one-value", "test"),))
    few = reader(predicts=True).from_predict((AGES[:3], GUESSES[:3]), loader(), "test", 0)
    assert (few.tables, few.notices) == ({}, (Notice("too-few-labels", "test", "", 3, 5),))


def test_a_loader_without_a_batch_is_told():
    alone = DataLoader(TensorDataset(GUESSES[:1], AGES[:1]), batch_size=2, drop_last=True)
    assert "gives no batch" in told(lambda: reader().from_outputs(nn.Identity(), alone, "val", 0))


def test_truths_in_another_unit_than_the_plausible_values_are_told():
    for truths in (AGES / 100, AGES * 12, AGES * 0 + 100, AGES * 0 - 5):
        counted = reader().from_outputs(nn.Identity(), loader(targets=truths), "test", 0)
        assert counted.notices == [Notice("range", "test", "", 1)]
    words = "all truths of target 1 lie at an end of its plausible values, or beyond (test set)"
    assert str(counted.notices[0]).startswith(words)
    for truths in (AGES[:1], AGES * torch.tensor([[0.01], [1], [1], [1], [1]])):
        inputs = GUESSES[: len(truths)]
        counted = reader().from_outputs(nn.Identity(), loader(inputs, truths), "test", 0)
        assert counted.notices == []


def test_predictions_that_are_returned_before_the_truths_are_told():
    """R² is not the same with the two exchanged, and nothing else shows it."""
    exchanged = (GUESSES.numpy(), AGES.numpy())
    said = told(lambda: reader(predicts=True).from_predict(exchanged, loader(), "test", 0))
    assert said == (
        "what predict returned last for the test set is what the loader gives as true: in this "
        "order, `def predict(net, loader): ... return truths, predictions`"
    )
