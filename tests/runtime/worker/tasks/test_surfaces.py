"""Distances between surfaces: those of SciPy's distance transform, in less memory."""

import tracemalloc

import numpy as np
import pytest
from fixtures.surfaces import hd95
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from federator.runtime.worker.tasks.surfaces import hausdorff95

SHAPES = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple)
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, (2, *shape)))


def ball(shape, centre, radii):
    parts = zip(np.indices(shape, sparse=True), centre, radii, strict=True)
    return sum(((at - of) / radius) ** 2 for at, of, radius in parts) < 1


@given(MASKS, st.data(), st.sampled_from([2.0, 15.0, 1000.0]))
@settings(max_examples=300, deadline=None)
def test_the_distance_is_that_of_a_distance_transform(pair, data, limit):
    mask, predicted = pair
    spacing = data.draw(st.lists(st.floats(0.2, 5), min_size=mask.ndim, max_size=mask.ndim))
    found = hausdorff95(mask, predicted, spacing, limit)
    assert found == pytest.approx(hd95(mask, predicted, spacing, limit), abs=1e-9)
    assert hausdorff95(mask, predicted, None, limit) == hausdorff95(
        predicted, mask, (1,) * mask.ndim, limit
    )


@pytest.mark.parametrize("limit", [7.0, 30.0, 200.0])
def test_surfaces_far_from_one_another_are_looked_for_further_and_further(limit):
    shape, spacing = (30, 70, 80), (2.0, 0.7, 0.9)
    mask = ball(shape, (12, 30, 30), (9, 20, 16))
    for predicted in (ball(shape, (14, 33, 31), (9, 22, 15)), ball(shape, (25, 60, 70), (4, 5, 6))):
        expected = hd95(mask, predicted, spacing, limit)
        assert hausdorff95(mask, predicted, spacing, limit) == pytest.approx(expected, abs=1e-9)


def test_a_distance_that_is_known():
    """Two squares, of which one is shifted by three voxels along an axis of 0.5 mm."""
    mask, predicted = np.zeros((2, 40, 60), bool)
    mask[10:30, 10:30] = predicted[10:30, 13:33] = True
    assert hausdorff95(mask, predicted, (2.0, 0.5), 50.0) == 1.5
    assert hausdorff95(mask, predicted, None, 50.0) == 3.0
    assert hausdorff95(mask, mask, None, 50.0) == 0.0


def test_a_volume_takes_a_third_of_the_memory_of_a_distance_transform():
    mask = ball((80, 120, 120), (40, 60, 60), (30, 50, 50))
    predicted = np.roll(mask, 2, axis=1)
    peaks = []
    for measure in (hausdorff95, hd95):
        tracemalloc.start()
        value = measure(mask, predicted, (1.5, 0.8, 0.8), 50.0)
        peaks.append(tracemalloc.get_traced_memory()[1] / mask.size)
        tracemalloc.stop()
        assert value == pytest.approx(1.6)
    assert peaks[0] < 10 < 30 < peaks[1]  # bytes a voxel
