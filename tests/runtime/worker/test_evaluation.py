"""An evaluation of a set: the author's numbers beside the counts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.targets import Labels
from federator.runtime.worker.evaluation import Evaluator

LABELS = Labels(("healthy", "ill"), 1)
X, Y = torch.tensor([[-2.0], [2.0], [1.0], [-1.0]]), torch.tensor([0, 1, 1, 0])
NET = torch.nn.Identity()


def evaluate(predict=None, tested=(0.5, None), loader=((X, Y),), examples=4, positive=1):
    module = SimpleNamespace(test=lambda *_: tested)
    if predict is not None:
        module.predict = lambda *_: predict
    evaluator = Evaluator(module, Labels(LABELS.names, positive), frozenset())
    return evaluator.evaluate(NET, loader, "test", examples, 2)


def test_without_predict_a_single_output_is_of_the_label_with_number_1():
    for positive in (0, 1):
        evaluation, notices = evaluate(positive=positive, tested=(0.5, 1.0))
        assert evaluation.counts == [[2, 0], [0, 2]]
        assert notices == ()
    histogram = np.array(evaluation.scores["counts"])
    assert histogram[0, :32].sum() == histogram[1, 32:].sum() == 2


@pytest.mark.parametrize(
    ("predict", "loader", "told"),
    [
        (
            ([0] * 55296, [0.5] * 55296),
            [(X, Y)],
            "predict returned 55296 labels for the 4 examples of the test set: return one for each",
        ),
        (([], []), [(X, Y)], "predict returned 0 labels for the 4 examples"),
        (None, [(X, Y)] * 2, "the loader of the test set gives 8 examples, load_data says 4"),
    ],
)
def test_as_many_labels_as_the_set_has_examples(predict, loader, told):
    with pytest.raises(Failure) as caught:
        evaluate(predict, loader=loader)
    assert told in str(caught.value)


def test_fewer_labels_than_examples_are_told():
    evaluation, notices = evaluate(examples=5)
    assert notices == (Notice("fewer", "test", "", 4, 5),)
    assert evaluation.examples == 4
    assert "4 of the 5 examples were evaluated (test set)" in str(notices[0])


def test_labels_that_are_all_the_same_are_told():
    _, notices = evaluate(([0] * 4, [0.0] * 4))
    assert notices == (Notice("single-label", "test"),)


def test_an_accuracy_that_the_counts_contradict_is_told():
    _, notices = evaluate(tested={"loss": 0.5, "accuracy": torch.tensor(0.0)})
    assert notices == (Notice("accuracy", "test", "", 0.0, 1.0),)
