"""Distances between surfaces: the 95 % Hausdorff distance of a mask and a predicted one.

By numpy alone: SciPy's distance transform would add 35 MB (its wheel) to a worker's image, and
takes three times the memory (see the test).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Squares = npt.NDArray[np.float64]
_FIRST_REACH = 8  # voxels: how far is looked before it is looked twice as far, and so on


def hausdorff95(
    mask: Mask, predicted: Mask, spacing: Sequence[float] | None, limit: float
) -> float:
    """Return the 95 % Hausdorff distance between the surfaces of two masks, at most ``limit``.

    A surface is the voxels of a mask of which a neighbour by a face is not in the mask, or not in
    the image. The distance is the larger of the two 95 % quantiles (interpolated linearly) of the
    distances from each voxel of one surface to the nearest of the other, by their centres: as MONAI
    defines it (``compute_hausdorff_distance(percentile=95)``), and Maier-Hein et al., Nature
    Methods 2024;21:195. Distances beyond the limit count as the limit.

    Args:
        mask: of any shape with two axes or more.
        predicted: of the same shape.
        spacing: of voxels along each axis, above 0; None if it is 1.
        limit: in the unit of the spacing.

    Returns:
        The distance; the limit where a mask is empty.
    """
    if not mask.any() or not predicted.any():
        return limit
    box, spacing = _box(mask | predicted), spacing or (1.0,) * mask.ndim
    drawn, found = _surface(mask[box]), _surface(predicted[box])
    there_and_back = (
        np.quantile(_distances(one, other, spacing, limit), 0.95)
        for one, other in ((drawn, found), (found, drawn))
    )
    return float(max(there_and_back))


def _box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box around a mask that is not empty."""
    axes, box = set(range(mask.ndim)), []
    for axis in range(mask.ndim):
        places = np.flatnonzero(mask.any(axis=tuple(axes - {axis})))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def _surface(mask: Mask) -> Mask:
    inside = mask.copy()
    for axis in range(mask.ndim):
        at, of = np.moveaxis(inside, axis, 0), np.moveaxis(mask, axis, 0)
        at[1:] &= of[:-1]
        at[:-1] &= of[1:]
        at[0] = at[-1] = False
    return mask & ~inside


def _distances(here: Mask, there: Mask, spacing: Sequence[float], limit: float) -> Squares:
    """Return the distance from each voxel of one surface to the nearest of another, exactly.

    Squared distances add up over the axes, so that they spread along one after the other
    (Felzenszwalb and Huttenlocher, Theory of Computing 2012;8:415). After the first axis, planes
    are independent of one another: only those with a voxel of ``here`` are looked at.
    """
    steps, found = _along_first(there), []
    for number, points in enumerate(here):
        if points.any():
            squares = np.where(steps[number] < len(there), steps[number] * spacing[0], limit) ** 2
            found.append(_in_plane(squares, points, spacing[1:], limit))
    return np.sqrt(np.concatenate(found))


def _along_first(there: Mask) -> npt.NDArray[np.unsignedinteger]:
    """Count the steps along the first axis to the nearest True; its length where there is none."""
    far = len(there)
    steps = np.where(there, 0, far).astype(np.min_scalar_type(far + 1))
    for number in range(1, far):
        np.minimum(steps[number], steps[number - 1] + 1, out=steps[number])
    for number in range(far - 2, -1, -1):
        np.minimum(steps[number], steps[number + 1] + 1, out=steps[number])
    steps[steps > far] = far
    return steps


def _in_plane(squares: Squares, points: Mask, spacing: Sequence[float], limit: float) -> Squares:
    """Spread squared distances along each axis of a plane; return those at some points."""
    reach = _FIRST_REACH * max(spacing)
    while True:
        reach = min(reach, limit)
        spread = np.minimum(squares, reach**2)
        for axis, each in enumerate(spacing[:-1]):
            spread = _spread(spread, axis, each)
        rows = points.any(axis=-1)  # along the last axis, only those with a point
        spread = _spread(spread[rows], spread[rows].ndim - 1, spacing[-1])
        found = spread[points[rows]]
        if reach >= limit or found.max() < reach**2:
            return found
        reach *= 2


def _spread(squares: Squares, axis: int, spacing: float) -> Squares:
    """Return, at each place, the least of the squares along an axis, each with the way from it."""
    spread = squares.copy()
    at, of = np.moveaxis(spread, axis, 0), np.moveaxis(squares, axis, 0)
    for steps in range(1, len(of)):
        way = (steps * spacing) ** 2
        if way >= spread.max():
            break
        np.minimum(at[steps:], of[:-steps] + way, out=at[steps:])
        np.minimum(at[:-steps], of[steps:] + way, out=at[:-steps])
    return spread
