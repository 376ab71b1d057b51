"""Figures of rounded confusion matrices: what is shown covers what is true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federator.results.tasks import counts
from federator.results.tasks.classification import ClassificationView
from federator.results.tasks.multilabel import MultilabelView
from federator.runtime.protocol.evaluation.release import release
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tables import add
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.server.evaluations.result import Result, pool
from federator.runtime.worker.tasks.classification import confusion

TWO = EvaluationSettings(Task("classification", 2), ("benign", "malignant"), 1)
FOUR = EvaluationSettings(Task("classification", 4), ("none", "mild", "moderate", "severe"))


def site(seed: int, classes: int, size: int, wrong: float) -> list[list[int]]:
    """Return the exact matrix of a site: rarer labels have fewer examples."""
    random = np.random.default_rng(seed)
    share = np.arange(classes, 0, -1) / sum(range(classes + 1))
    true = random.choice(classes, size, p=share)
    guess = np.where(random.random(size) < wrong, random.integers(0, classes, size), true)
    return confusion(true, guess, classes)


def pooled(task: Task, matrices, minimum: int) -> Result:
    parts = []
    for matrix in matrices:
        found = release(task, {"confusion": matrix}, minimum)
        kept = {name: [list(row) for row in table] for name, table in found.tables.items()}
        parts.append(
            Result(tables=kept, examples=sum(map(sum, matrix)), withheld=list(found.withheld),
                   rounded=minimum)
        )  # fmt: skip
    # As from the journal, in which a published run has the sums only.
    return Result.model_validate_json(
        pool({str(k): part for k, part in enumerate(parts)}, {}).model_dump_json()
    )


@given(seed=st.integers(0, 2**31), size=st.integers(30, 200), wrong=st.sampled_from([0.02, 0.5]))
@pytest.mark.parametrize("settings", [TWO, FOUR], ids=["two", "four"])
def test_what_rounding_hides_is_within_what_is_shown(settings, seed, size, wrong):
    task = settings.task
    matrix = site(seed, task.size, size, wrong)
    result = pooled(task, [matrix], 5)
    if "confusion" not in result.tables:
        return
    view = ClassificationView(settings)
    shown = {settings.positive or 0: view.figures(result.tables, result.limits)}
    if parts := view.parts(result.tables, result.limits):
        shown = dict(enumerate(parts.values()))
    for label, figures in shown.items():
        true, sure = counts.summarise(matrix, label), counts.intervals(matrix, label)
        for name in counts.NAMES:
            figure, value = figures[name], getattr(true, name)
            if figure.least is None or figure.most is None:
                continue
            assert figure.least - 1e-9 <= value <= figure.most + 1e-9
            if name in sure:
                assert figure.low <= sure[name][0] + 1e-9
                assert figure.high >= sure[name][1] - 1e-9


def test_three_small_sites_still_give_figures_worth_reading():
    """Some 57 patients each, as in the breast cancer example; the mean of many releases."""
    matrices = [[[35, 1], [1, 20]], [[33, 2], [2, 20]], [[36, 0], [3, 18]]]
    found = ClassificationView(TWO).figures
    exact = found({"confusion": add(matrices)})
    accuracies = []
    for _ in range(300):
        result = pooled(TWO.task, matrices, 5)
        figure = found(result.tables, result.limits)
        assert figure["accuracy"].most - figure["accuracy"].least < 0.2
        accuracies.append(figure["accuracy"].value)
    assert exact["accuracy"].value == pytest.approx(0.947, abs=1e-3)
    assert np.mean(accuracies) == pytest.approx(exact["accuracy"].value, abs=0.01)
    assert np.std(accuracies) < 0.035


def test_a_model_is_not_called_perfect_without_saying_what_rounding_hides():
    result = Result(tables={"confusion": [[36, 0], [0, 21]]}, examples=57, rounded=5)
    sensitivity = ClassificationView(TWO).figures(result.tables, result.limits)["sensitivity"]
    assert (sensitivity.value, sensitivity.least) == (1, pytest.approx(17 / 21))
    assert sensitivity.low < 0.7


def test_the_micro_average_covers_the_rounding_of_each_label():
    settings = EvaluationSettings(Task("multilabel", 2), ("edema", "mass"))
    exact = {"confusion.0": [[30, 1], [2, 9]], "confusion.1": [[20, 2], [4, 16]]}
    found = release(settings.task, exact, 5)
    tables = {name: [list(row) for row in table] for name, table in found.tables.items()}
    result = Result(tables=tables, examples=42, rounded=5)
    micro = MultilabelView(settings).parts(tables, result.limits)["Micro average"]["sensitivity"]
    assert micro.least <= 25 / 31 <= micro.most
    assert micro.note.endswith("by rounding or noise")
