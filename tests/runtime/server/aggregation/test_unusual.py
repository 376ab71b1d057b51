"""An update is named if its norm or its direction is beyond what the others' spread explains."""

import numpy as np
import pytest

from federator.runtime.server.aggregation.geometry import Geometry
from federator.runtime.server.aggregation.inspection import inspect
from federator.runtime.server.aggregation.robust import Weighting
from federator.runtime.server.aggregation.unusual import unusual

SITES = ["east", "hill", "north", "south", "west"]


def updates(seed=1, sites=SITES):
    """Changes of which each has much in common with the others."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=200) + rng.normal(size=(len(sites), 200))


def named(ways, sites=SITES):
    return unusual(sites, Geometry(ways @ ways.T, np.zeros((len(sites), len(sites)))))


def test_nobody_is_named_where_nobody_poisons():
    assert not [found for seed in range(200) if (found := named(updates(seed)))]


@pytest.mark.parametrize("factor", [-10, 10, 0.05, 1e30, 0])
def test_a_norm_that_is_far_off_is_named_with_its_factor(factor):
    ways = updates()
    ways[3] *= factor
    (found,) = named(ways).items()
    assert found[0] == "south"
    assert "its norm is " in found[1] and "times the median of all sites" in found[1]


def test_a_direction_that_is_far_off_is_named_with_its_angle():
    ways = updates()
    ways[1] *= -1
    (found,) = named(ways).items()
    assert found[0] == "hill" and "° from that of the others" in found[1]
    assert "norm" not in found[1]


def test_two_of_five_are_named():
    ways = updates()
    ways[[0, 4]] *= 20
    assert named(ways).keys() == {"east", "west"}


def test_of_three_the_one_that_is_far_off_is_named_and_of_two_nobody():
    ways = updates(sites=SITES[:3])
    ways[2] *= -10
    assert named(ways, SITES[:3]).keys() == {"north"}
    assert not named(ways[1:], SITES[:2])


def test_sites_that_differ_much_hide_what_is_within_their_spread():
    ways = updates() * np.array([[0.1], [0.4], [1.0], [4.0], [10.0]])
    assert not named(ways)


def test_the_journal_gets_norm_cosine_share_and_scale():
    ways = np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]])
    geometry = Geometry(ways @ ways.T, np.zeros((3, 3)))
    weighting = Weighting((0.5, 0.25, 0.25), (1.0, 0.123456, 1.0), (1.0, 1.0, 1.0))
    told = inspect(SITES[:3], geometry, weighting).updates
    assert told["east"].model_dump(exclude_unset=True) == {
        "norm": 5.0, "cosine": 1.0, "share": 0.5
    }  # fmt: skip
    assert told["hill"].scale == 0.1235
    assert told["north"].model_dump(exclude_unset=True) == {"norm": 0.0, "share": 0.25}
    assert inspect(SITES[:3], geometry).updates["east"].share is None
