"""Fixed-point numbers: exact sums that cannot overflow, and means within the quantum."""

import numpy as np
import pytest

from federator.runtime.masking.fixed_point import (
    DEFAULT_BOUND,
    MOST_SITES,
    Grid,
    mean_step,
    quantise,
)
from federator.runtime.weights.format import Tensor, WeightsError


def _shares(count: int) -> np.ndarray:
    examples = np.random.default_rng(count).integers(1, 1000, count)
    return examples / examples.sum()


@pytest.mark.parametrize("count", range(3, 13))
def test_a_mean_differs_from_the_exact_one_by_the_quantum_at_most(count):
    grid, random = Grid.finest(DEFAULT_BOUND, count), np.random.default_rng(count)
    given = random.normal(0, 1, 5000).astype(np.float32)
    trained = [(given + random.normal(0, 3, 5000)).astype(np.float32) for _ in range(count)]
    shares = _shares(count)
    parts = [quantise(one, given, share, grid) for one, share in zip(trained, shares, strict=True)]
    total = sum((part.numbers for part in parts), np.zeros(5000, np.uint32))
    exact = sum(
        s * (one.astype(np.float64) - given) for one, s in zip(trained, shares, strict=True)
    )
    assert np.abs(mean_step(total, grid) - exact).max() <= count * grid.quantum / 2
    assert not any(part.saturated for part in parts)


@pytest.mark.parametrize("bound", [0.001, 1.0, DEFAULT_BOUND, 1000.0, 2.0**28])
@pytest.mark.parametrize("count", [3, 4, 12, 1000, MOST_SITES])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sum_of_the_largest_steps_does_not_overflow(bound, count, sign):
    """The largest that there are: every site at its bound, beyond it, and with all weight."""
    grid = Grid.finest(bound, count)
    given = np.zeros(3, np.float64)
    largest = sign * np.array([bound, 10 * bound, np.finfo(np.float64).max / 4])
    for shares in (_shares(count), np.full(count, 1 / count), np.eye(1, count)[0]):
        parts = [quantise(largest, given, share, grid) for share in shares]
        total = sum((part.numbers for part in parts), np.zeros(3, np.uint32))
        mean = mean_step(total, grid)
        assert np.allclose(mean, sign * bound, atol=count * grid.quantum, rtol=0), (bound, count)
        assert all(part.saturated == 2 for part in parts)


def test_a_finer_grid_than_the_finest_would_overflow():
    """The check is no tighter and no looser than it should be."""
    grid = Grid.finest(DEFAULT_BOUND, 12)
    finer = Grid(grid.bits + 1, grid.bound)
    assert grid.holds(12) and not finer.holds(12)
    largest = np.full(1, DEFAULT_BOUND)
    parts = [quantise(largest, np.zeros(1), 1 / 12, finer).numbers for _ in range(12)]
    assert mean_step(sum(parts, np.zeros(1, np.uint32)), finer)[0] < 0
    for wrong in (Grid(-1, 1.0), Grid(10, 0.0), Grid(10, float("inf")), Grid(50, 1e-9)):
        assert not wrong.holds(3)
    with pytest.raises(ValueError, match="do not fit"):
        Grid.finest(2.0**33, 3)


def test_counters_are_summed_as_exactly_as_their_rounded_mean_needs():
    grid = Grid.finest(DEFAULT_BOUND, 12).of(Tensor("int64", ()))
    given, shares = np.full(1, 10**6), _shares(12)
    steps = np.random.default_rng(0).integers(0, 10**6, 12)
    parts = [
        quantise(given + step, given, share, grid)
        for step, share in zip(steps, shares, strict=True)
    ]
    total = sum((part.numbers for part in parts), np.zeros(1, np.uint32))
    assert abs(mean_step(total, grid)[0] - float(steps @ shares)) <= 12 / 2**9
    assert grid.holds(MOST_SITES) and not any(part.saturated for part in parts)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(WeightsError, match="NaN or infinite"):
        quantise(np.array([0, bad], np.float32), np.zeros(2, np.float32), 0.5, Grid(20, 1.0))
