"""Confusion matrices are rounded: no small count shows, and the receiver knows the limits."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federator.runtime.protocol.evaluation.release import few_of, release
from federator.runtime.protocol.evaluation.rounding import limits, round_matrix
from federator.runtime.protocol.evaluation.tasks import Task


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([[34, 1], [2, 20]], [[35, 0], [0, 22]]),
        ([[34, 3], [4, 20]], [[32, 5], [5, 19]]),
        ([[6, 7], [8, 9]], [[6, 7], [8, 9]]),
        ([[4, 4], [0, 9]], [[8, 0], [0, 9]]),  # no two counts of 5 in a sum of 8
        ([[30, 2], [1, 2]], [[35, 0], [0, 0]]),  # the second label has too few
        ([[0, 0], [1, 9]], [[0, 0], [0, 10]]),
    ],
)
def test_small_counts_are_rounded_to_the_nearer_one(before, after):
    assert round_matrix(before, 5).table == after


def test_a_row_of_too_few_examples_is_named():
    assert round_matrix([[30, 2], [1, 2]], 5).few == (1,)
    assert round_matrix([[30, 2], [0, 0]], 5).few == ()  # no example is no small count


@pytest.mark.parametrize("minimum", [0, 1])
def test_without_a_minimum_counts_are_exact(minimum):
    table = [[34, 1], [2, 20]]
    assert round_matrix(table, minimum).table == table
    assert limits(table, minimum).low == limits(table, minimum).high == table


def test_a_matrix_of_fewer_examples_than_the_minimum_does_not_leave():
    assert round_matrix([[2, 1], [0, 1]], 5) is None
    assert round_matrix([[0, 0], [0, 0]], 5).table == [[0, 0], [0, 0]]


@given(data=st.data(), size=st.integers(2, 5), minimum=st.integers(2, 12))
def test_the_limits_hold_whatever_is_counted(data, size, minimum):
    seed, most = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(0, 30))
    random = np.random.default_rng(seed)
    before = random.integers(0, most + 1, (size, size))
    before = (before * random.integers(0, 2, (size, size))).tolist()
    found = round_matrix(before, minimum)
    if found is None:
        sums = [sum(row) for row in before]
        assert sum(sums) < minimum or any(0 < each < minimum for each in sums)
        return
    cells = [cell for row in found.table for cell in row]
    assert all(cell == 0 or cell >= minimum for cell in cells)
    assert sum(cells) == sum(map(sum, before))
    for k, row in enumerate(before):
        if k not in found.few and (k != found.taker or not found.few):
            assert sum(found.table[k]) == sum(row)  # how many there are of a label is right
    middle, low, high = (np.array(part) for part in limits(found.table, minimum, found.few))
    assert (low <= before).all()
    assert (before <= high).all()
    assert (low <= middle).all()
    assert (middle <= high).all()


@pytest.mark.parametrize("minimum", [2, 3, 5])
def test_no_small_count_can_be_worked_out(minimum):
    """Of all matrices of two labels: whatever leaves, another small count would leave the same."""
    came_from = {}
    for row, other in product(product(range(14), repeat=2), repeat=2):
        before = (row, other)
        found = round_matrix(before, minimum)
        if found is not None and sum(row) + sum(other) < 14:
            came_from.setdefault(str((found.table, found.few)), []).append(np.array(before))
    assert came_from
    for matrices in came_from.values():
        for place in product(range(2), range(2)):
            values = {int(matrix[place]) for matrix in matrices}
            assert len(values) > 1 or not 0 < min(values) < minimum
        for sums in (np.array([matrix.sum(axis=1) for matrix in matrices])).T:
            assert len(set(sums)) > 1 or not 0 < sums[0] < minimum


THREE = Task("classification", 3)
COUNTS = [[20, 6, 0], [7, 15, 0], [1, 0, 2]]
SCORES = {f"scores.{k}": [[10] * 64, [10] * 64] for k in range(3)}


def test_what_would_tell_the_number_that_is_too_small_stays_as_well():
    found = release(THREE, {"confusion": COUNTS, **SCORES}, 5)
    assert found.withheld == ("scores.0", "scores.2", "confusion.2")
    assert set(found.tables) == {"confusion", "scores.1"}
    assert few_of(found.withheld, "confusion") == (2,)


def test_a_label_of_a_multi_label_task_with_too_few_is_withheld_alone():
    task = Task("multilabel", 2)
    found = release(task, {"confusion.0": [[30, 1], [2, 9]], "confusion.1": [[38, 1], [1, 2]]}, 5)
    assert found.withheld == ("confusion.1",)
    assert found.tables == {"confusion.0": [[31, 0], [0, 11]]}
