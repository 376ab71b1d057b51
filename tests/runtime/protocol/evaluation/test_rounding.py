"""Confusion matrices are rounded at random: what leaves tells next to nothing of one patient."""

from collections import Counter
from fractions import Fraction
from itertools import product
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federator.runtime.protocol.evaluation.release import few_of, release
from federator.runtime.protocol.evaluation.rounding import add_limits, limits, round_matrix
from federator.runtime.protocol.evaluation.tasks import Task


def chances(row, minimum):
    """Return how probable each rounded row is: of every chance that can be drawn, the share."""
    total, found = sum(row), Counter()
    gap = total - (total // minimum - 1) * minimum
    for up, end in product(range(minimum), range(gap)):
        drawn = iter([up, end])
        rounded = round_matrix([row, [0] * len(row)], minimum, lambda _, d=drawn: next(d))
        found[tuple(rounded.table[0])] += Fraction(1, minimum * gap)
    return found


@pytest.mark.parametrize("minimum", [0, 1])
def test_without_a_minimum_counts_are_exact(minimum):
    table = [[34, 1], [2, 20]]
    assert round_matrix(table, minimum).table == table
    assert limits(table, minimum).low == limits(table, minimum).high == table


def test_a_matrix_of_fewer_examples_than_the_minimum_does_not_leave():
    assert round_matrix([[2, 1], [0, 1]], 5) is None
    assert round_matrix([[3, 1], [0, 4]], 5) is None
    assert round_matrix([[0, 0], [0, 0]], 5).table == [[0, 0], [0, 0]]


def test_a_row_of_too_few_examples_is_named_and_counted_with_the_largest():
    found = round_matrix([[30, 0], [1, 2]], 5, lambda _: 0)
    assert (found.few, found.taker, found.table) == ((1,), 0, [[33, 0], [0, 0]])
    assert round_matrix([[30, 2], [0, 0]], 5).few == ()  # no example is no small count
    # The third label has one: with more of them the first would not be the largest without them.
    assert round_matrix([[6, 0, 0], [0, 6, 0], [1, 0, 0]], 5) is None


@given(data=st.data(), size=st.integers(2, 5), minimum=st.integers(2, 12))
def test_the_limits_hold_whatever_is_counted(data, size, minimum):
    seed, most = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(0, 40))
    random = np.random.default_rng(seed)
    before = random.integers(0, most + 1, (size, size))
    before = (before * random.integers(0, 2, (size, size))).tolist()
    found = round_matrix(before, minimum)
    sums = [sum(row) for row in before]
    if found is None:
        assert any(0 < each < minimum for each in sums)
        return
    cells = [cell for row in found.table for cell in row]
    assert all(cell == 0 or cell >= minimum for cell in cells)
    assert sum(cells) == sum(sums)
    for k, row in enumerate(found.table):
        if k not in found.few and (k != found.taker or not found.few):
            assert sum(row) == sums[k]  # how many there are of a label is right
    middle, low, high = (np.array(part) for part in limits(found.table, minimum, found.few))
    assert (low <= before).all()
    assert (before <= high).all()
    assert (low <= middle).all()
    assert (middle <= high).all()


@pytest.mark.parametrize("minimum", [2, 3, 5])
def test_a_count_is_right_in_the_mean(minimum):
    for right, wrong in product(range(18), repeat=2):
        if right + wrong >= minimum:
            found = chances([right, wrong], minimum)
            assert sum(each[1] * share for each, share in found.items()) == wrong


def capacity(apart):
    """Return the most bits that an answer tells of which of two cases holds (Z-channel).

    The capacity of a channel whose output differs with the probability ``apart`` is at most that
    of the one where the other output never comes in the first case (Golomb 1980).
    """
    stay = 1 - apart
    return log2(1 + apart * stay ** (stay / apart))


@pytest.mark.parametrize("minimum", [3, 5, 10])
def test_an_answer_tells_little_of_whether_a_patient_is_on_one_side_or_the_other(minimum):
    """Of two labels: whatever the others are, a patient changes one answer in ``minimum``."""
    for total in range(minimum, 5 * minimum):
        for wrong in range(total):
            one, other = (chances([total - k, k], minimum) for k in (wrong, wrong + 1))
            apart = sum(abs(one[each] - other[each]) for each in one | other) / 2
            assert apart <= Fraction(1, minimum)
    assert capacity(1 / 5) == pytest.approx(0.114, abs=5e-4)  # the threat model says so


def test_several_sites_together_are_nearer_than_the_sum_of_what_each_may_be_off():
    random = np.random.default_rng(3)
    outside, tries = 0, 400
    for _ in range(tries):
        exact = [[[40 - a, a], [b, 25 - b]] for a, b in random.integers(0, 9, (8, 2))]
        found = [round_matrix(one, 5).table for one in exact]
        summed = add_limits([limits(one, 5) for one in found])
        true = np.sum(exact, axis=0)
        outside += not (np.array(summed.low) <= true).all()
        outside += not (true <= np.array(summed.high)).all()
    apart = sum(each.high[0][1] - each.low[0][1] for each in (limits(one, 5) for one in found))
    assert summed.high[0][1] - summed.low[0][1] < 0.75 * apart
    assert outside / (2 * tries) < 0.05


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
    assert set(found.tables) == {"confusion.0"}
