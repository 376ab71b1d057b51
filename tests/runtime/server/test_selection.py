"""The best round, of those that can be compared."""

import math
from datetime import UTC, datetime

import pytest

from federator.runtime.server.journal import Evaluation
from federator.runtime.server.selection import Selection, select, select_round


def at(**losses):
    """Return what sites measured, each on a validation set of its own size."""
    sizes = {"north": 30, "south": 10, "west": 20}
    return {site: (loss, sizes[site]) for site, loss in losses.items()}


def test_the_lowest_mean_over_the_examples_wins():
    found = select({0: at(north=0.9, south=0.1), 1: at(north=0.5, south=0.6)})
    assert found.round == 1
    assert found.figures == {0: pytest.approx(0.7), 1: pytest.approx(0.525)}
    assert (found.sites, found.left_out) == (("north", "south"), {})


def test_of_equal_rounds_the_later_wins():
    assert select({number: at(north=0.5) for number in range(4)}).round == 3


def test_a_round_that_the_hardest_site_missed_does_not_win():
    measured = {number: at(north=0.3, south=2.0 - number / 10) for number in range(5)}
    measured[2] = at(north=0.2)
    found = select(measured)
    assert found.round == 4
    assert 2 not in found.figures
    assert found.left_out == {2: "not measured at south"}


def test_where_a_site_came_late_all_rounds_are_compared_at_the_others():
    measured = {number: at(north=1 - number / 20, south=0.5) for number in range(8)}
    measured |= {8: at(north=0.5, south=0.4, west=9.0), 9: at(north=0.5, south=0.5, west=8.0)}
    found = select(measured)
    assert found.round == 8
    assert found.sites == ("north", "south")
    assert len(found.figures) == 10


@pytest.mark.parametrize("loss", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_never_wins(loss):
    found = select({0: at(north=0.9), 1: at(north=0.5), 2: at(north=loss)})
    assert found.round == 1
    assert found.left_out == {2: "not measured at north"}
    assert select({0: at(north=loss), 1: {}}) == Selection()


def test_another_validation_set_is_another_measure():
    measured = {number: {"north": (0.5 - number / 100, 30)} for number in range(4)}
    measured[4] = {"north": (0.1, 3)}
    found = select(measured)
    assert found.round == 3
    assert found.left_out == {4: "another validation set at north"}


def test_a_set_without_examples_counts_for_nothing():
    assert select({0: {"north": (0.5, 0)}}).round is None
    assert select({0: {"north": (0.5, 0), "south": (0.2, 4)}}).sites == ("south",)


def validation(number, **sites):
    """Return what sites told of a round: how many of ten they got wrong, and a loss or none."""
    told = {
        site: {"tables": {"confusion": [[6, 0], [wrong, 4 - wrong]]}, "examples": 10, "loss": loss}
        for site, (wrong, loss) in sites.items()
    }
    return Evaluation(
        event="validation", time=datetime.now(UTC), model="federation", round=number, sites=told
    )


def test_without_losses_the_smallest_error_is_the_best():
    wrong = {0: (4, 3), 1: (1, 1), 2: (2, 1)}
    found = select_round(
        validation(number, north=(north, None), south=(south, None))
        for number, (north, south) in wrong.items()
    )
    assert (found.round, found.by) == (1, "error")
    assert found.figures == {0: pytest.approx(0.35), 1: 0.1, 2: pytest.approx(0.15)}


def test_losses_choose_where_all_tell_them():
    found = select_round([validation(0, north=(0, 0.9)), validation(1, north=(3, 0.5))])
    assert (found.round, found.by) == (1, "loss")


def test_errors_of_all_sites_count_more_than_the_loss_of_one():
    told = [(0, (4, 0.2), (4, None)), (1, (1, 0.3), (1, None))]
    found = select_round(validation(number, north=a, south=b) for number, a, b in told)
    assert (found.round, found.by, found.sites) == (1, "error", ("north", "south"))


def test_the_error_of_a_multilabel_task_is_of_all_labels():
    tables = {
        "confusion.0": [[3, 1], [0, 6]],
        "confusion.1": [[5, 0], [1, 4]],
        "scores.0": [[9, 1]],
    }
    one = Evaluation(event="validation", time=datetime.now(UTC), model="federation", round=0,
                     sites={"north": {"tables": tables, "examples": 10}})  # fmt: skip
    assert select_round([one]).figures == {0: pytest.approx(0.1)}
