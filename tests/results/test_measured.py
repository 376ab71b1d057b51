"""One site that gives no table leaves the figure of the others, which says so."""

import pytest

from federator.results import measured
from federator.results.tasks.classification import ClassificationView
from federator.results.tasks.regression import RegressionView
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.server.evaluations.result import Result, pool

TWO = ClassificationView(EvaluationSettings(Task("classification", 2), ("well", "ill"), 1))
SCORES = {"scores.1": [[20, 10], [5, 25]]}
MATRIX = {"confusion": [[20, 10], [5, 25]]}


def result(tables, withheld=()):
    return Result(tables=tables, loss=0.5, examples=60, withheld=list(withheld))


def test_a_figure_is_pooled_over_the_sites_that_gave_its_table_and_names_the_others():
    both = result({**MATRIX, **SCORES})
    pooled = pool({"alder": both, "birch": both, "cedar": result(MATRIX, ["scores.1"])}, {})
    assert (pooled.examples, pooled.without) == (180, {"scores.1": ["cedar"]})
    found, alone = measured.figures(TWO, pooled), TWO.figures(both.tables)
    assert found["auc"].value == pytest.approx(alone["auc"].value)
    assert found["auc"].without == ("cedar",)
    assert all(one.without == () for name, one in found.items() if name != "auc")


def test_a_table_of_one_site_alone_is_not_shown_as_that_of_all():
    """What is published of all sites together would be what one of them said."""
    one = result({**MATRIX, **SCORES})
    pooled = pool({"alder": one, "birch": result(MATRIX), "cedar": result(MATRIX)}, {})
    assert set(pooled.tables) == {"confusion"}
    assert pooled.without == {}
    assert set(pool({"alder": one}, {}).tables) == {"confusion", "scores.1"}


def test_a_site_without_examples_is_missed_by_nobody():
    one, empty = result({**MATRIX, **SCORES}), Result(examples=0)
    assert pool({"alder": one, "birch": empty}, {}).without == {}


def test_of_several_targets_each_figure_names_the_sites_that_are_not_in_it():
    settings = EvaluationSettings(Task("regression", 2), ("edv", "esv"), ranges=((0, 9),) * 2)
    sums = [[60, 12.0, 5.0, 1.0, 60.0, 90.0, 61.0, 92.0, 88.0]]
    both, one = {"errors.0": sums, "errors.1": sums}, {"errors.0": sums}
    pooled = pool({"a": result(both), "b": result(both), "c": result(one)}, {})
    found = measured.parts(RegressionView(settings), pooled)
    assert found["edv"]["mae"].without == ()
    assert found["esv"]["mae"].without == ("c",)
