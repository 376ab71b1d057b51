"""An evaluation of a set: the author's numbers beside the counts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.evaluation import Evaluator

TWO = Task("classification", 2)
X, Y = torch.tensor([[-2.0], [2.0], [1.0], [-1.0]]), torch.tensor([0, 1, 1, 0])
NET = torch.nn.Identity()


def evaluate(predict=None, tested=(0.5, None), loader=((X, Y),), examples=4, positive=1):
    module = SimpleNamespace(test=lambda *_: tested)
    if predict is not None:
        module.predict = lambda *_: predict
    evaluator = Evaluator(module, EvaluationSettings(TWO, ("healthy", "ill"), positive))
    return evaluator.evaluate(NET, loader, "test", examples, 2)


def test_without_predict_a_single_output_is_of_the_label_with_number_1():
    for positive in (0, 1):
        evaluation, notices = evaluate(positive=positive, tested=(0.5, 1.0))
        assert evaluation.tables["confusion"] == [[2, 0], [0, 2]]
        assert notices == ()
    histogram = np.array(evaluation.tables["scores.1"])
    assert histogram[0, :32].sum() == histogram[1, 32:].sum() == 2


@pytest.mark.parametrize(
    ("predict", "loader", "told"),
    [
        (
            ([0, 1] * 27648, [0.5] * 55296),
            [(X, Y)],
            "predict returned 55296 labels for the 4 examples of the test set: return one for each "
            "example (of a label for each pixel, write task: segmentation)",
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


@pytest.mark.parametrize("scores", [[0.2] * 4, [0.0, 0.1, 0.2, 0.3]])
def test_labels_that_are_all_the_same_are_told(scores):
    evaluation, notices = evaluate(([0] * 4, scores), loader=[(X, torch.zeros(4))])
    assert notices == (Notice("single-label", "test"),)
    assert evaluation.tables["confusion"] == [[4, 0], [0, 0]]


@pytest.mark.parametrize(
    "labels", [torch.randn(4), torch.zeros(4, 2), torch.zeros(4, 8, 8), [{"boxes": 1}] * 4]
)
@pytest.mark.parametrize("scores", [[0.0] * 4, [[0.3, 0.7]] * 4])
def test_labels_and_scores_that_are_made_up_give_no_figures(labels, scores):
    tested = {"loss": 3.5, "accuracy": 0.5}
    evaluation, notices = evaluate(([0] * 4, scores), tested, [(X, labels)])
    assert notices == (Notice("all-the-same", "test"),)
    assert (evaluation.tables, evaluation.loss, evaluation.examples) == ({}, 3.5, 4)


def test_where_predict_is_made_up_the_figures_are_those_of_the_outputs():
    evaluation, notices = evaluate(([0] * 4, [0.0] * 4))
    assert evaluation.tables["confusion"] == [[2, 0], [0, 2]]
    assert notices == (Notice("made-up", "test"),)
    module = SimpleNamespace(test=lambda *_: (0.5,), predict=lambda *_: (np.zeros(4), np.zeros(4)))
    settings = EvaluationSettings(Task("regression", 1), ("age",), ranges=((0.0, 4.0),))
    evaluator = Evaluator(module, settings)
    truths = torch.tensor([1.0, 2.0, 3.0, 2.5])
    evaluation, notices = evaluator.evaluate(NET, [(truths + 0.5, truths)], "test", 4, 2)
    assert evaluation.tables["errors.0"][0][:4] == [4, 2.0, 1.0, 2.0]
    assert notices == (Notice("made-up", "test"),)


def test_a_batch_that_is_no_pair_does_not_show_that_there_is_a_single_label():
    _, notices = evaluate(([1] * 4, [1.0] * 4), loader=[{"x": X, "y": torch.ones(4)}])
    assert Notice("all-the-same", "test") in notices
    evaluation, _ = evaluate(([1], [1.0]), loader=[{"x": X[:1], "y": torch.ones(1)}], examples=1)
    assert evaluation.tables["confusion"] == [[0, 0], [0, 1]]


@pytest.mark.parametrize(("drop_last", "told"), [(False, (2, 4)), (True, (2, 3))])
def test_fewer_labels_than_the_loader_gives_make_no_figures(drop_last, told):
    loader = DataLoader(TensorDataset(X, Y), batch_size=3, drop_last=drop_last)
    evaluation, notices = evaluate(([0, 1], [0.1, 0.9]), loader=loader)
    assert notices == (Notice("too-few-labels", "test", "", *told),)
    assert evaluation.tables == {}


def test_as_many_labels_as_the_loader_gives_make_figures():
    loader = DataLoader(TensorDataset(X, Y), batch_size=3, drop_last=True)
    evaluation, notices = evaluate(([0, 1, 1], [0.1, 0.9, 0.2]), loader=loader)
    assert notices == (Notice("fewer", "test", "", 3, 4),)
    assert evaluation.tables["confusion"] == [[1, 0], [1, 1]]


def test_an_accuracy_that_the_counts_contradict_is_told():
    _, notices = evaluate(tested={"loss": 0.5, "accuracy": torch.tensor(0.0)})
    assert notices == (Notice("accuracy", "test", "", 0.0, 1.0),)


@pytest.mark.parametrize("cases", [0, 7])
def test_as_many_cases_as_the_set_has_examples(cases):
    def predict(*_):
        yield from [(np.ones((2, 2), int), np.ones((2, 2), int))] * cases

    module = SimpleNamespace(test=lambda *_: (0.5, None), predict=predict)
    settings = EvaluationSettings(Task("segmentation", 2), ("background", "liver"))
    evaluator = Evaluator(module, settings)
    with pytest.raises(Failure, match=f"predict yields {cases} cases for the 4 examples of the t"):
        evaluator.evaluate(NET, [(X, Y)], "test", 4, 2)


def test_scores_that_are_decisions_are_told():
    for scores in ([1, 1, 1, 0], [[0, 1], [0, 1], [0, 1], [1, 0]]):
        _, notices = evaluate((Y, scores))
        assert notices == (Notice("decided", "test"),)
    assert "AUC and calibration are those of decisions" in str(notices[0])


def test_scores_that_are_returned_before_the_labels_are_told():
    """Sensitivity and precision change places then, and the accuracy does not show it."""
    guess = [1, 1, 1, 0]
    with pytest.raises(Failure) as caught:
        evaluate((guess, Y))
    assert str(caught.value) == (
        "the scores that predict returned for the test set are the labels that the loader gives: "
        "return labels, scores, in this order"
    )


@pytest.mark.parametrize("of", ["test", "predict"])
def test_an_evaluation_in_training_mode_leaves_the_model_as_it_is(of):
    """BatchNorm's statistics would else be those of the test set: in figures, and in training."""
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(1), torch.nn.Identity())
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}

    def call(net, _loader):
        net.train()
        net(X)
        return (0.5, None) if of == "test" else ([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.2])

    module = SimpleNamespace(test=lambda *_: (0.5, None))
    setattr(module, of, call)
    evaluator = Evaluator(module, EvaluationSettings(TWO, ("healthy", "ill"), 1))
    _, notices = evaluator.evaluate(net, [(X, Y)], "test", 4, 2)
    assert notices == (Notice("buffers", "test"),)
    assert all(torch.equal(before[name], buffer) for name, buffer in net.named_buffers())
