"""Counts with geometric noise: of its distribution, of one epsilon, never below 0."""

import math

import numpy as np
import pytest
from scipy import stats

from federator.runtime.protocol.evaluation import noise
from federator.runtime.protocol.evaluation.tasks import NAMES, Task

TWO = Task("classification", 2)


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 3.0])
def test_the_noise_is_two_sided_geometric(epsilon):
    found = np.array([noise.geometric(epsilon, noise._uniform) for _ in range(20_000)])
    edges = np.arange(-4, 5)
    decay = math.exp(-epsilon)
    chances = (1 - decay) / (1 + decay) * decay ** np.abs(edges)
    observed = np.array([(found == k).sum() for k in edges])
    rest = len(found) - observed.sum(), len(found) * (1 - chances.sum())
    test = stats.chisquare([*observed, rest[0]], [*len(found) * chances, rest[1]])
    assert test.pvalue > 1e-4
    assert found.std() == pytest.approx(math.sqrt(2 * decay) / (1 - decay), rel=0.05)


def test_the_noise_of_two_releases_differs():
    table = {"confusion": [[500, 500], [500, 500]]}
    assert noise.release(TWO, table, 0.1) != noise.release(TWO, table, 0.1)


def test_no_count_is_negative_and_only_matrices_leave():
    tables = {"confusion": [[0, 1], [2, 3]], "scores.0": [[1] * 64] * 2}
    for _ in range(50):
        released = noise.release(TWO, tables, 0.2)
        assert set(released) == {"confusion"}
        assert all(cell >= 0 for row in released["confusion"] for cell in row)


def test_several_matrices_share_one_epsilon(monkeypatch):
    given = []
    monkeypatch.setattr(noise, "geometric", lambda epsilon, _: given.append(epsilon) or 0)
    task = Task("multilabel", 4)
    tables = {f"confusion.{k}": [[1, 2], [3, 4]] for k in range(4)}
    assert noise.release(task, tables, 0.8) == tables
    assert set(given) == {0.2}


@pytest.mark.parametrize("name", NAMES)
def test_without_matrices_or_without_a_budget_nothing_leaves(name):
    task = Task(name, 2)
    tables = {key: [[1] * form.columns] * form.rows for key, form in task.forms.items()}
    assert noise.release(task, tables, 0.0) == {}
    assert set(noise.release(task, tables, 1.0)) == set(task.matrices)


@pytest.mark.parametrize("epsilon", [0.05, 0.4, 1.0, 4.0])
def test_the_limits_hold_in_95_of_100_cases_and_are_no_wider(epsilon):
    width, decay = noise.spread(epsilon), math.exp(-epsilon)

    def beyond(w):
        return 2 * decay ** (w + 1) / (1 + decay)

    assert beyond(width) <= 0.05
    assert width == 0 or beyond(width - 1) > 0.05
    found = noise.limits([[10, 0], [3, 40]], epsilon)
    assert found.low == [[max(0, cell - width) for cell in row] for row in found.middle]
    assert found.high == [[cell + width for cell in row] for row in found.middle]
