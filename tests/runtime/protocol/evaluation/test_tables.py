"""Tables are read, joined, added and released by their form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federator.runtime.protocol.evaluation.tables import Form, add, bins, coarsen
from federator.runtime.protocol.evaluation.tasks import NAMES, Task


@pytest.mark.parametrize(("have", "want"), [(16, 12), (12, 16), (6, 4), (16, 0)])
def test_bins_that_do_not_join_are_refused(have, want):
    with pytest.raises(ValueError, match="does not join"):
        coarsen([[1] * have, [1] * have], (2, want))


@pytest.mark.parametrize("many", [[], [[[1, 0], [0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]])
def test_only_tables_of_one_form_are_added(many):
    with pytest.raises(ValueError, match=r"no table|does not join"):
        add(many)


def test_tables_of_different_sizes_are_added_at_the_coarsest():
    assert add([[[1, 2, 3, 4]], [[10, 20]]]) == [[13, 27]]
    assert add([[[0.5, 0.25]], [[1, 2]]]) == [[1.5, 2.25]]


@pytest.mark.parametrize(
    "value",
    ["x", [], [[]], [[1, 2], [3]], [[1, 2, 3], [4, 5, 6]], [[1, -1], [0, 0]], [[1, True], [0, 0]],
     [[1, 0.5], [0, 0]], [[2**54, 0], [0, 0]], [[None, 0], [0, 0]], None, {"a": 1}],
    ids=str,
)  # fmt: skip
def test_what_is_not_of_its_form_is_refused(value):
    with pytest.raises(ValueError):  # each says something else
        Form(2, 2).read(value)


def test_a_count_may_come_as_a_float_and_a_sum_may_be_one():
    assert Form(1, 2).read([[1.0, 2]]) == [[1, 2]]
    assert Form(1, 3, counted=0).read([[4.0, 2.5, -1]]) == [[4, 2.5, -1]]
    for wrong in ([[0.5, 1, 1]], [[-1, 1, 1]], [[1, float("nan"), 1]], [[1, float("inf"), 1]]):
        with pytest.raises(ValueError):
            Form(1, 3, counted=0).read(wrong)


def test_sums_leave_if_they_are_over_enough_examples():
    form = Form(1, 3, counted=0)
    assert form.release([[5, 0.1, 0.2]], 5) == [[5, 0.1, 0.2]]
    assert form.release([[4, 0.1, 0.2]], 5) is None
    assert form.release([[0, 0, 0]], 5) == [[0, 0, 0]]


def test_only_the_counted_rows_need_the_minimum():
    form = bins(2, 4, counted=1)
    assert form.release([[5, 0, 1, 4], [0.5, 0, 0.1, 0.2]], 5) == [
        [5, 5],
        [0.5, pytest.approx(0.3)],
    ]


FORMS = [
    pytest.param(form, id=f"{name}-{table}")
    for name in NAMES
    for table, form in Task(name, 2).forms.items()
    if table.endswith(("1", "confusion", "risks", "times")) and not form.rounded
]


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data(), minimum=st.integers(1, 20))
def test_no_count_below_the_minimum_leaves(form, data, minimum):
    """Whatever is in a table; and what is joined keeps its sum."""
    seed, most = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(0, 12))
    random = np.random.default_rng(seed)
    table = random.integers(0, most + 1, (form.rows, form.columns)).tolist()
    found = form.release(table, minimum)
    if found is None:
        return
    assert sum(map(sum, found)) == sum(map(sum, table))
    counted = form.counts(len(found))
    cells = [cell for row in found[:counted] for cell in row] if counted else [found[0][0]]
    assert all(cell == 0 or cell >= minimum for cell in cells)


@pytest.mark.parametrize("form", FORMS)
def test_the_number_of_cells_tells_the_size(form):
    """A message carries a table as a flat list."""
    cells = [rows * columns for rows, columns in form.sizes]
    assert len(set(cells)) == len(cells)
    assert cells == sorted(cells, reverse=True)
